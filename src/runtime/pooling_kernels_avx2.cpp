#ifdef __AVX2__
#define TANDEM_POOLING pooling_kernels_avx2
#include "runtime/pooling_kernels.inc"
#else
#include "runtime/pooling_kernels.h"

namespace tandem::runtime {

PoolingKernels pooling_kernels_avx2() { return pooling_kernels_baseline(); }

}  // namespace tandem::runtime
#endif
