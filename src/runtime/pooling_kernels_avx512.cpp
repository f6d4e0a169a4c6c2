#ifdef __AVX512F__
#define TANDEM_POOLING pooling_kernels_avx512
#include "runtime/pooling_kernels.inc"
#else
#include "runtime/pooling_kernels.h"

namespace tandem::runtime {

PoolingKernels pooling_kernels_avx512() { return pooling_kernels_baseline(); }

}  // namespace tandem::runtime
#endif
