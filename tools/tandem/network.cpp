#include "network.h"

#include <cmath>
#include <random>

#include "tandem/ops.h"

namespace tandem::cli {

Network::Network(const std::vector<int64_t>& sizes, uint64_t seed) : input_size_(sizes.front()) {
  std::mt19937_64 engine(seed);
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const float limit = std::sqrt(6.f / static_cast<float>(sizes[i] + sizes[i + 1]));
    std::vector<float> weights(static_cast<size_t>(sizes[i] * sizes[i + 1]));
    for (float& w : weights) w = limit * (static_cast<float>(engine() >> 40) * 0x1p-23f - 1.f);
    layers_.push_back({Variable(from_vector(std::move(weights), {sizes[i], sizes[i + 1]})),
                       Variable(zeros({sizes[i + 1]}))});
  }
}

Tensor Network::operator()(const Tensor& images) const {
  Tensor x = reshape(images, {-1, input_size_});
  for (size_t i = 0; i < layers_.size(); ++i) {
    x = matmul(x, layers_[i].weights) + layers_[i].bias;
    if (i + 1 < layers_.size()) x = maximum(x, 0.f);
  }
  return x;
}

std::vector<Variable> Network::variables() const {
  std::vector<Variable> list;
  for (const Layer& layer : layers_) {
    list.push_back(layer.weights);
    list.push_back(layer.bias);
  }
  return list;
}

}  // namespace tandem::cli
