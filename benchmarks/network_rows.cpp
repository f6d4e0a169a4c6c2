// 100 images of 28x28 through Dense 256 relu, three times, and Dense 10 softmax.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include <array>
#include <cmath>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "onednn_products.h"
#include "rows.h"

namespace tandem::bench {

namespace {

constexpr int64_t batch = 100, inputs = 784;
constexpr int layers = 4;
constexpr int64_t sizes[layers] = {256, 256, 256, 10};

/// The numbers, the same for everyone.
struct Numbers {
  std::vector<float> images;
  std::vector<float> weights[layers], biases[layers];

  Numbers() {
    std::mt19937 random(1);
    const auto fill = [&](std::vector<float>& values, int64_t count, float limit) {
      std::uniform_real_distribution<float> uniform(-limit, limit);
      values.resize(count);
      for (float& value : values) value = uniform(random);
    };
    fill(images, batch * inputs, 1);
    int64_t before = inputs;
    for (int i = 0; i < layers; ++i) {
      fill(weights[i], before * sizes[i], std::sqrt(6.f / static_cast<float>(before + sizes[i])));
      fill(biases[i], sizes[i], 0.1f);
      before = sizes[i];
    }
  }
};

Tensor tensor(const std::vector<float>& values, const Shape& shape) {
  return from_span<float>(values, shape);
}

/// The network as Tandem's user writes it.
struct Network {
  Tensor images;
  std::vector<Tensor> weights, biases;

  explicit Network(const Numbers& numbers) : images(tensor(numbers.images, {batch, inputs})) {
    int64_t before = inputs;
    for (int i = 0; i < layers; ++i) {
      weights.push_back(tensor(numbers.weights[i], {before, sizes[i]}));
      biases.push_back(tensor(numbers.biases[i], {sizes[i]}));
      before = sizes[i];
    }
  }
  Tensor forward() const {
    Tensor x = images;
    for (int i = 0; i < layers; ++i) {
      x = matmul(x, weights[i]) + biases[i];
      x = i + 1 < layers ? maximum(x, 0.f) : softmax(x);
    }
    return x;
  }
};

/// Nothing but the four products, by oneDNN.
class Limit {
 public:
  explicit Limit(const Numbers& numbers) {
    int64_t before = inputs;
    const float* x = numbers.images.data();
    for (int i = 0; i < layers; ++i) {
      results_[i].resize(batch * sizes[i]);
      products_[i] = std::make_unique<OneDnnProduct>(batch, before, sizes[i], x, false,
                                                     numbers.weights[i].data(), false, results_[i].data());
      x = results_[i].data();
      before = sizes[i];
    }
  }
  void run() {
    for (const auto& product : products_) product->run();
  }

 private:
  std::array<std::unique_ptr<OneDnnProduct>, layers> products_;
  std::array<std::vector<float>, layers> results_;
};

void check_same(const Tensor& ours, const std::vector<float>& theirs) {
  const std::vector<float> values = ours.to_vector<float>();
  for (size_t i = 0; i < values.size(); ++i)
    if (!(std::abs(values[i] - theirs[i]) < 1e-5f))
      throw std::runtime_error(
          fmt::format("the peer computes something else: {} instead of {}", theirs[i], values[i]));
}

}  // namespace

void network_rows(Harness& harness, const Peer* torch) {
  if (!harness.wants("mlp256x3_b100_eager") && !harness.wants("mlp256x3_b100_eager_limit")) return;
  const Numbers numbers;
  const Network network(numbers);
  const auto eager = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(network.forward());
  };
  if (harness.wants("mlp256x3_b100_eager")) {
    if (torch != nullptr) {
      const float *weights[layers], *biases[layers];
      for (int i = 0; i < layers; ++i)
        weights[i] = numbers.weights[i].data(), biases[i] = numbers.biases[i].data();
      std::vector<float> probabilities(batch * sizes[layers - 1]);
      const PeerWork theirs = torch->network(
          {batch, inputs, numbers.images.data(), layers, sizes, weights, biases, probabilities.data()});
      check_same(network.forward(), probabilities);
      harness.compare("mlp256x3_b100_eager", eager, "libtorch",
                      [&](int64_t times) { theirs.run(theirs.state, times); });
    } else {
      harness.alone("mlp256x3_b100_eager", eager, "libtorch is not installed");
    }
  }
  if (harness.wants("mlp256x3_b100_eager_limit")) {
    Limit limit(numbers);
    harness.compare("mlp256x3_b100_eager_limit", eager, "onednn", [&](int64_t times) {
      for (int64_t i = 0; i < times; ++i) limit.run();
    });
  }
}

}  // namespace tandem::bench
