#pragma once
// Images as a network wants them: numbers around 0, cut into batches.

#include <cstdint>

#include "tandem/tensor.h"

namespace tandem::cli {

/// Images of uint8, handed out as float32.
class Pixels {
 public:
  /// Learns the mean and the deviation of all pixels of these images.
  explicit Pixels(const Tensor& images);
  /// The same scale for other images.
  Pixels(const Tensor& images, const Pixels& scale);

  /// `size` images from `begin` on, with mean 0 and deviation 1: float32, (size, 28, 28). Indices beyond the
  /// last image begin again with the first.
  Tensor scaled(int64_t begin, int64_t size) const;

 private:
  Tensor images_;
  float mean_ = 0, deviation_ = 1;
};

/// `size` labels from `begin` on, beginning again after the last.
Tensor batch_of_labels(const Tensor& labels, int64_t begin, int64_t size);

}  // namespace tandem::cli
