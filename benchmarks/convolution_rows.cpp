// Single convolutions of the sizes that networks have, and a network of them, against oneDNN alone.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include <memory>
#include <random>
#include <vector>

#include "onednn_convolutions.h"
#include "rows.h"

namespace tandem::bench {

namespace {

struct Case {
  const char* name;
  ConvolutionSizes sizes;
};

Tensor noise(const Shape& shape) {
  static std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (float& v : values) v = uniform(random);
  return from_vector(std::move(values), shape);
}

void measure(Harness& harness, const Case& c) {
  const ConvolutionSizes& s = c.sizes;
  const std::string whole = fmt::format("conv_{}", c.name), blocked = whole + "_blocked",
                    last = whole + "_last";
  if (!harness.wants(whole) && !harness.wants(blocked) && !harness.wants(last)) return;
  const Tensor x = noise({s.batch, s.channels, s.size, s.size}),
               w = noise({s.outputs, s.channels, s.kernel, s.kernel});
  std::vector<float> y(static_cast<size_t>(s.batch * s.outputs * s.output_size() * s.output_size()));
  OneDnnConvolution peer(s, x.data<float>(), w.data<float>(), y.data());
  const ConvOptions options{.strides = {s.stride}, .pads = {s.kernel / 2}};
  const auto ours = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(conv(x, w, nullptr, options));
  };
  // As between two layers of channels last.
  const Tensor x_last = moveaxis(x, 1, -1).contiguous();
  const auto graph =
      function([&](Tensor t) { return moveaxis(conv(moveaxis(t, -1, 1), w, nullptr, options), 1, -1); });
  const auto ours_last = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(graph(x_last));
  };
  const auto same_job = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) peer.run();
  };
  const auto convolution_alone = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) peer.run_blocked();
  };
  if (harness.wants(whole)) harness.compare(whole, ours, "oneDNN", same_job);
  if (harness.wants(blocked)) harness.compare(blocked, ours, "oneDNN, its layouts", convolution_alone);
  if (harness.wants(last)) harness.compare(last, ours_last, "oneDNN, its layouts", convolution_alone);
}

/// Two residual blocks of 64 channels, a pool, and two convolutions of 128: six convolutions and what stands
/// between them, as one graph, against the six alone in oneDNN's own layouts.
void measure_network(Harness& harness, int64_t batch) {
  const std::string name = fmt::format("residual_b{}_graph", batch),
                    eager_name = fmt::format("residual_b{}_eager", batch);
  if (!harness.wants(name) && !harness.wants(eager_name)) return;
  constexpr int64_t layers = 6;
  const ConvolutionSizes wide{batch, 64, 56, 64, 3, 1},
      sizes[layers] = {wide, wide, wide, wide, {batch, 64, 28, 128, 3, 1}, {batch, 128, 28, 128, 3, 1}};
  const Tensor image = noise({batch, 64, 56, 56});
  std::vector<Tensor> weights, biases, inputs;
  std::vector<std::vector<float>> results;
  std::vector<std::unique_ptr<OneDnnConvolution>> peers;
  for (const ConvolutionSizes& s : sizes) {
    weights.push_back(noise({s.outputs, s.channels, 3, 3}) * 0.05f);
    biases.push_back(noise({s.outputs}));
    inputs.push_back(noise({batch, s.channels, s.size, s.size}));
    results.emplace_back(static_cast<size_t>(batch * s.outputs * s.size * s.size));
    peers.push_back(std::make_unique<OneDnnConvolution>(s, inputs.back().data<float>(),
                                                        weights.back().data<float>(), results.back().data()));
  }
  const auto network = [&](Tensor x) {
    const auto layer = [&](const Tensor& t, int64_t i) {
      return conv(t, weights[i], biases[i], {.pads = {1}});
    };
    for (int64_t i = 0; i < 4; i += 2) x = relu(layer(relu(layer(x, i)), i + 1) + x);
    return layer(relu(layer(max_pool(x, {2}, {.strides = {2}}), 4)), 5);
  };
  const auto graph = function(network);
  const auto ours = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(graph(image));
  };
  const auto eager = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(network(image));
  };
  const auto convolutions_alone = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i)
      for (const auto& peer : peers) peer->run_blocked();
  };
  if (harness.wants(name)) harness.compare(name, ours, "oneDNN, its layouts", convolutions_alone);
  if (harness.wants(eager_name))
    harness.compare(eager_name, eager, "oneDNN, its layouts", convolutions_alone);
  harness.note("six convolutions with bias, relu, additions and a pool, against the six convolutions alone");
}

}  // namespace

void convolution_rows(Harness& harness) {
  // batch, channels, size, outputs, kernel, stride
  for (const Case& c :
       {Case{"3x224_b4", {4, 3, 224, 64, 7, 2}}, Case{"64x56_b8", {8, 64, 56, 64, 3, 1}},
        Case{"256x14_b8", {8, 256, 14, 256, 3, 1}}, Case{"64x56_1x1_b8", {8, 64, 56, 256, 1, 1}},
        Case{"512x7_b1", {1, 512, 7, 512, 3, 1}}, Case{"16x14_b32", {32, 16, 14, 32, 3, 1}}})
    measure(harness, c);
  for (const int64_t batch : {1, 8}) measure_network(harness, batch);
}

}  // namespace tandem::bench
