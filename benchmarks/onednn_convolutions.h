#pragma once
// oneDNN's own convolution: the yardstick for ours. Made once, run many times.

#include <cstdint>
#include <memory>

namespace tandem::bench {

/// Sizes of a convolution of square images by square kernels, padded to keep their size at stride 1.
struct ConvolutionSizes {
  int64_t batch, channels, size, outputs, kernel, stride;
  int64_t output_size() const { return (size + 2 * (kernel / 2) - kernel) / stride + 1; }
};

class OneDnnConvolution {
 public:
  /// y = x convolved with w, all in row-major order.
  OneDnnConvolution(const ConvolutionSizes& sizes, const float* x, const float* w, float* y);
  ~OneDnnConvolution();
  /// The whole job: into oneDNN's layouts, the convolution, and back.
  void run();
  /// The convolution alone, in oneDNN's own layouts.
  void run_blocked();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace tandem::bench
