#include "runtime/cpu.h"

#define TANDEM_POOLING pooling_kernels_baseline
#include "runtime/pooling_kernels.inc"

namespace tandem::runtime {

const PoolingKernels& pooling_kernels() {
  static const PoolingKernels best = [] {
    switch (instruction_set()) {
      case InstructionSet::avx512:
        return pooling_kernels_avx512();
      case InstructionSet::avx2:
        return pooling_kernels_avx2();
      default:
        return pooling_kernels_baseline();
    }
  }();
  return best;
}

}  // namespace tandem::runtime
