#include "batches.h"

#include <cmath>
#include <vector>

namespace tandem::cli {

Pixels::Pixels(const Tensor& images) : images_(images) {
  // Whole numbers: the sums are exact.
  uint64_t sum = 0, squares = 0;
  for (const uint8_t pixel : images.span<uint8_t>()) {
    sum += pixel;
    squares += uint64_t{pixel} * pixel;
  }
  const auto count = static_cast<double>(images.size());
  const double mean = static_cast<double>(sum) / count;
  const double variance = static_cast<double>(squares) / count - mean * mean;
  mean_ = static_cast<float>(mean);
  deviation_ = static_cast<float>(std::sqrt(variance > 0 ? variance : 1));
}

Pixels::Pixels(const Tensor& images, const Pixels& scale)
    : images_(images), mean_(scale.mean_), deviation_(scale.deviation_) {}

Tensor Pixels::scaled(int64_t begin, int64_t size) const {
  const Shape& shape = images_.shape();
  const int64_t image = shape[1] * shape[2];
  const uint8_t* pixels = images_.data<uint8_t>();
  std::vector<float> values(static_cast<size_t>(size * image));
  for (int64_t i = 0; i < size; ++i) {
    const uint8_t* from = pixels + (begin + i) % shape[0] * image;
    for (int64_t j = 0; j < image; ++j)
      values[static_cast<size_t>(i * image + j)] = (static_cast<float>(from[j]) - mean_) / deviation_;
  }
  return from_vector(std::move(values), {size, shape[1], shape[2]});
}

Tensor batch_of_labels(const Tensor& labels, int64_t begin, int64_t size) {
  const int64_t count = labels.shape()[0];
  std::vector<int64_t> values;
  for (int64_t i = 0; i < size; ++i) values.push_back(labels.data<int64_t>()[(begin + i) % count]);
  return from_vector(std::move(values), {size});
}

}  // namespace tandem::cli
