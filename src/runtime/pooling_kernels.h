#pragma once
// The inner loops of pooling in float32, once for each instruction set. All give the same bits.

#include <cstdint>

namespace tandem::runtime {

/// Each runs over elements of x that are `step` apart and as many neighbouring windows.
struct PoolingKernels {
  /// y becomes the larger of y and x, a NaN if there is one; `at` the position of what wins: `position`,
  /// `position` + step, ...
  void (*take_largest)(const float* x, int64_t step, int32_t position, int64_t count, float* y, int32_t* at);
  /// y += x
  void (*add)(const float* x, int64_t step, int64_t count, float* y);
  /// x += y
  void (*add_back)(const float* y, int64_t step, int64_t count, float* x);
};

/// The best ones for this machine.
const PoolingKernels& pooling_kernels();

PoolingKernels pooling_kernels_baseline();
PoolingKernels pooling_kernels_avx2();
PoolingKernels pooling_kernels_avx512();

}  // namespace tandem::runtime
