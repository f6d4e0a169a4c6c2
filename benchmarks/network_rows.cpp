// 100 images of 28x28 through Dense 256 relu, three times, and Dense 10 softmax.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include <algorithm>
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

/// The network as Tandem's user writes it, with Variables for what is learnt.
struct Network {
  std::vector<Variable> weights, biases;

  explicit Network(const Numbers& numbers) {
    int64_t before = inputs;
    for (int i = 0; i < layers; ++i) {
      weights.emplace_back(tensor(numbers.weights[i], {before, sizes[i]}));
      biases.emplace_back(tensor(numbers.biases[i], {sizes[i]}));
      before = sizes[i];
    }
  }
  Tensor operator()(Tensor x) const {
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

/// The same numbers for libtorch; checks that it computes the same.
PeerWork torch_network(const Peer& torch, const Numbers& numbers, const Tensor& expected) {
  const float *weights[layers], *biases[layers];
  for (int i = 0; i < layers; ++i)
    weights[i] = numbers.weights[i].data(), biases[i] = numbers.biases[i].data();
  std::vector<float> probabilities(batch * sizes[layers - 1]);
  const PeerWork work = torch.network(
      {batch, inputs, numbers.images.data(), layers, sizes, weights, biases, probabilities.data()});
  check_same(expected, probabilities);
  return work;
}

}  // namespace

void network_rows(Harness& harness, const Peer* torch) {
  const char* names[] = {"mlp256x3_b100_eager", "mlp256x3_b100_graph", "mlp256x3_b100_limit",
                         "mlp256x3_b100_graph_to_eager"};
  if (std::none_of(std::begin(names), std::end(names), [&](const char* name) { return harness.wants(name); }))
    return;

  const Numbers numbers;
  const Network network(numbers);
  const Tensor images = tensor(numbers.images, {batch, inputs});
  const auto function = tandem::function([&](Tensor x) { return network(x); });
  const auto eager = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(network(images));
  };
  const auto graph = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(function(images));
  };
  if (torch != nullptr) {
    const PeerWork theirs = torch_network(*torch, numbers, network(images));
    const auto libtorch = [&](int64_t times) { theirs.run(theirs.state, times); };
    if (harness.wants(names[0])) harness.compare(names[0], eager, "libtorch", libtorch);
    if (harness.wants(names[1])) harness.compare(names[1], graph, "libtorch", libtorch);
  } else {
    if (harness.wants(names[0])) harness.alone(names[0], eager, "libtorch is not installed");
    if (harness.wants(names[1])) harness.alone(names[1], graph, "libtorch is not installed");
  }
  if (harness.wants(names[2])) {
    Limit limit(numbers);
    harness.compare(names[2], graph, "onednn", [&](int64_t times) {
      for (int64_t i = 0; i < times; ++i) limit.run();
    });
    harness.note("the graph against oneDNN's four products alone, without bias, relu and softmax");
  }
  if (harness.wants(names[3])) harness.compare(names[3], graph, "eager", eager);
}

}  // namespace tandem::bench
