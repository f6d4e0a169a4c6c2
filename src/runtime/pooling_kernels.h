#pragma once
// The inner loops of pooling in float32, once for each instruction set. All give the same bits.

#include <cstdint>

namespace tandem::runtime {

/// One element of all windows of a row of results: windows [first, end) have it inside the input, that of
/// window n at x[n * step].
struct PoolingTap {
  const float* x;
  int32_t position;  ///< in the plane, of window 0's
  int32_t first, end;
};

struct PoolingKernels {
  /// y[n] becomes the largest element of window n, a NaN if there is one, and at[n] its position; where no
  /// element is above -infinity, that and -1.
  void (*largest)(const PoolingTap* taps, int count, int32_t step, int32_t width, float* y, int32_t* at);
  /// y[n] becomes the sum of window n's elements, in order.
  void (*sum)(const PoolingTap* taps, int count, int32_t step, int32_t width, float* y);
  /// y[n] becomes the largest of y[n] and taps[...][n], a NaN if there is one, for all n below `width`.
  void (*largest_of)(const float* const* taps, int count, int64_t width, float* y);
  /// y[n] += taps[0][n], then taps[1][n], and so on.
  void (*add_all)(const float* const* taps, int count, int64_t width, float* y);
  /// x[n * step] += y[n]
  void (*add_back)(const float* y, int64_t step, int64_t count, float* x);
};

/// The best ones for this machine.
const PoolingKernels& pooling_kernels();

PoolingKernels pooling_kernels_baseline();
PoolingKernels pooling_kernels_avx2();
PoolingKernels pooling_kernels_avx512();

}  // namespace tandem::runtime
