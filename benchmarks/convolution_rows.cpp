// Single convolutions of the sizes that networks have, against oneDNN alone.

#include <fmt/format.h>
#include <tandem/tandem.h>

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
  const std::string whole = fmt::format("conv_{}", c.name), blocked = whole + "_blocked";
  if (!harness.wants(whole) && !harness.wants(blocked)) return;
  const Tensor x = noise({s.batch, s.channels, s.size, s.size}),
               w = noise({s.outputs, s.channels, s.kernel, s.kernel});
  std::vector<float> y(static_cast<size_t>(s.batch * s.outputs * s.output_size() * s.output_size()));
  OneDnnConvolution peer(s, x.data<float>(), w.data<float>(), y.data());
  const ConvOptions options{.strides = {s.stride}, .pads = {s.kernel / 2}};
  const auto ours = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(conv(x, w, nullptr, options));
  };
  const auto same_job = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) peer.run();
  };
  const auto convolution_alone = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) peer.run_blocked();
  };
  if (harness.wants(whole)) harness.compare(whole, ours, "oneDNN", same_job);
  if (harness.wants(blocked)) harness.compare(blocked, ours, "oneDNN, its layouts", convolution_alone);
}

}  // namespace

void convolution_rows(Harness& harness) {
  // batch, channels, size, outputs, kernel, stride
  for (const Case& c :
       {Case{"3x224_b4", {4, 3, 224, 64, 7, 2}}, Case{"64x56_b8", {8, 64, 56, 64, 3, 1}},
        Case{"256x14_b8", {8, 256, 14, 256, 3, 1}}, Case{"64x56_1x1_b8", {8, 64, 56, 256, 1, 1}},
        Case{"512x7_b1", {1, 512, 7, 512, 3, 1}}, Case{"16x14_b32", {32, 16, 14, 32, 3, 1}}})
    measure(harness, c);
}

}  // namespace tandem::bench
