// Channels last between convolutions: what the pass rewrites, what must stop it, and that not a bit changes.

#include <cstring>

#include "compiler/pass.h"
#include "compiler/passes/passes.h"
#include "graph/verify.h"
#include "runtime/convolution.h"
#include "runtime/parallel.h"
#include "tandem/tandem.h"
#include "tandem/tape.h"
#include "tests/graph_expressions.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using td::Tensor;
using td::testing::expressions_of;
using td::testing::graph_of;

/// Whether convolutions of a usual size compute with channels last on this machine.
bool is_order_of_this_machine() {
  td::runtime::Convolution c{td::DType::f32, 2, 1, 16, 16};
  c.windows.rank = 2;
  for (int d : {1, 2}) {
    c.windows.input[d] = c.windows.output[d] = 16;
    c.windows.kernel[d] = 3;
    c.windows.before[d] = c.windows.after[d] = 1;
  }
  const td::runtime::ChannelOrder order = td::runtime::preferred_order(c, false);
  return order.x_last && order.y_last;
}
#define NEEDS_CHANNELS_LAST() \
  if (!is_order_of_this_machine()) GTEST_SKIP() << "convolutions have another order on this machine"

struct Case {
  const char* from;
  const char* to;
  const char* inputs =
      "x: float32(2, 16, 16, 16), y: float32(2, 16, 16, 16), b: float32(16, 1, 1), w: float32(16, 16, 3, 3), "
      "v: float32(16, 16, 3, 3)";
};

/// Runs the pass twice: the second time nothing may change. Compares bits on random numbers.
void expect_rewrites(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.from);
    const td::Graph before = graph_of(c.inputs, c.from);
    td::Graph after = before;
    const td::Interface interface(before);
    const bool changed = td::passes::keep_channels_last(after);
    td::verify(after, "the pass", true);
    interface.check(after, "the pass");
    EXPECT_EQ(expressions_of(after), c.to);
    EXPECT_EQ(changed, expressions_of(before) != c.to);
    EXPECT_FALSE(td::passes::keep_channels_last(after)) << expressions_of(after);
    td::testing::expect_same_results(before, after, 2);
  }
}

#define P "{pads=[1, 1, 1, 1]}"

TEST(KeepChannelsLast, ConvolutionsInARow) {
  NEEDS_CHANNELS_LAST();
  const std::string inner = "Transpose{perm=[0, 3, 1, 2]}(";
  expect_rewrites({
      {"Conv" P "(Conv" P "(x, w), v)",
       "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(ConvChannelsLast" P "(x, w)), v)"},
      {"Conv" P "(Relu(Conv" P "(x, w)), v)",
       "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(Relu(ConvChannelsLast" P "(x, w))), v)"},
      // A value for each channel, and one for all.
      {"Conv" P "(Mul(Add(Conv" P "(x, w), b), 2), v)",
       "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(Mul(Add(ConvChannelsLast" P
       "(x, w), Transpose{perm=[0, 2, 3, 1]}(Reshape(b, [1, 16, 1, 1]))), 2)), v)"},
      // Pools work in either order.
      {"Conv" P "(MaxPool{kernel_shape=[2, 2]}(Conv" P "(x, w)), v)",
       "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(MaxPoolChannelsLast{kernel_shape=[2, 2]}(ConvChannelsLast" P
       "(x, w))), v)"},
      {"Conv" P "(AveragePool{kernel_shape=[2, 2]}(Conv" P "(x, w)), v)",
       "Conv" P
       "(Transpose{perm=[0, 3, 1, 2]}(AveragePoolChannelsLast{kernel_shape=[2, 2]}(ConvChannelsLast" P
       "(x, w))), v)"},
  });
}

// Kernels of one element are products, which save nothing and cost nothing.
TEST(KeepChannelsLast, KernelsOfOneElementTakeEitherOrder) {
  NEEDS_CHANNELS_LAST();
  const char* inputs =
      "x: float32(2, 16, 16, 16), w: float32(16, 16, 3, 3), v: float32(32, 16, 1, 1), u: float32(16, 32, 3, "
      "3)";
  expect_rewrites({
      {"Conv" P "(Relu(Conv(Conv" P "(x, w), v)), u)",
       "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(Relu(ConvChannelsLast(Transpose{perm=[0, 3, 1, 2]}"
       "(ConvChannelsLast" P "(x, w)), v))), u)",
       inputs},
      {"Conv(Relu(Conv(x, v)), v)", "Conv(Relu(Conv(x, v)), v)",
       "x: float32(2, 32, 16, 16), v: float32(32, 32, 1, 1)"},
  });
}

TEST(KeepChannelsLast, TransposesOfTheUserVanish) {
  NEEDS_CHANNELS_LAST();
  const char* inputs = "x: float32(2, 16, 16, 16), w: float32(16, 16, 3, 3), v: float32(16, 16, 3, 3)";
  expect_rewrites({
      {"Transpose{perm=[0, 2, 3, 1]}(Relu(Conv" P "(Transpose{perm=[0, 3, 1, 2]}(x), w)))",
       "Relu(ConvChannelsLast" P "(Transpose{perm=[0, 3, 1, 2]}(x), w))", inputs},
  });
}

TEST(KeepChannelsLast, OnlyWhereItSaves) {
  const char* small = "x: float32(1, 2, 3, 3), w: float32(2, 2, 3, 3), v: float32(2, 2, 3, 3)";
  const char* doubles = "x: float64(2, 16, 16, 16), w: float64(16, 16, 3, 3), v: float64(16, 16, 3, 3)";
  const char* unknown = "x: float32(2, 16, ?0, ?1), w: float32(16, 16, 3, 3), v: float32(16, 16, 3, 3)";
  const char* pointwise = "x: float32(2, 16, 16, 16), w: float32(16, 16, 1, 1), v: float32(16, 16, 1, 1)";
  const auto stays = [](const char* text, const char* inputs = Case{}.inputs) {
    expect_rewrites({{text, text, inputs}});
  };
  stays("Conv" P "(x, w)");
  stays("Relu(Conv" P "(Relu(x), w))");
  // Each of the two results is wanted in the usual order: as much would move as before.
  stays("Conv" P "(x, w); Conv" P "(y, v)");
  stays("Softmax{axis=3}(Conv" P "(x, w))");
  stays("Conv" P "(Conv" P "(x, w), v)", small);
  stays("Conv" P "(Conv" P "(x, w), v)", doubles);
  stays("Conv" P "(Conv" P "(x, w), v)", unknown);
  stays("Conv(Conv(x, w), v)", pointwise);
}

TEST(KeepChannelsLast, UnknownBatches) {
  NEEDS_CHANNELS_LAST();
  const char* inputs = "x: float32(?0, 16, 16, 16), w: float32(16, 16, 3, 3), v: float32(16, 16, 3, 3)";
  expect_rewrites(
      {{"Conv" P "(Relu(Conv" P "(x, w)), v)",
        "Conv" P "(Transpose{perm=[0, 3, 1, 2]}(Relu(ConvChannelsLast" P "(x, w))), v)", inputs}});
}

TEST(KeepChannelsLast, BelongsToPlans) {
  NEEDS_CHANNELS_LAST();
  const td::Graph g = graph_of(Case{}.inputs, "Conv" P "(Relu(Conv" P "(x, w)), v)");
  td::Graph saved = g, run = g, off = g;
  td::optimize(saved);
  EXPECT_EQ(expressions_of(saved), expressions_of(g));
  std::vector<std::string> dumped;
  td::optimize(run, {.for_plans = true,
                     .dump = [&](std::string_view pass, const td::Graph&) { dumped.emplace_back(pass); }});
  EXPECT_EQ(dumped, std::vector<std::string>{"keep_channels_last"});
  td::optimize(off, {.disabled = {"keep_channels_last"}, .for_plans = true});
  EXPECT_EQ(expressions_of(off), expressions_of(g));
}

// ---- bits

Tensor waves(const td::Shape& shape) {
  return td::sin(td::reshape(td::arange(0, shape.element_count(), 1, td::float32), shape) * 0.37f);
}

std::vector<std::byte> bytes(const Tensor& t) {
  const Tensor dense = t.contiguous();
  const auto* p = static_cast<const std::byte*>(dense.impl()->data);
  return {p, p + static_cast<size_t>(dense.size()) * td::size_of(dense.dtype())};
}

struct Sizes {
  td::Shape x, w;
  td::ConvOptions options;
};
const Sizes all_sizes[] = {
    {{3, 16, 20, 18}, {32, 16, 3, 3}, {.pads = {1}}},
    {{5, 24, 15, 16}, {40, 24, 3, 3}, {.strides = {2}}},
    {{2, 33, 19, 19}, {17, 33, 5, 5}, {.pads = {2}, .dilations = {2}}},
    {{5, 32, 28, 28}, {32, 1, 3, 3}, {.pads = {1}, .group = 32}},
    {{3, 64, 14, 14}, {64, 16, 3, 3}, {.pads = {1}, .group = 4}},
    {{4, 3, 32, 32}, {16, 3, 7, 7}, {.strides = {2}, .pads = {3}}},
    {{1, 1, 40, 40}, {8, 1, 5, 5}, {}},
    {{1, 64, 30, 30}, {48, 64, 1, 1}, {}},
    {{5, 24, 9, 8}, {40, 24, 1, 1}, {}},
    {{2, 24, 9, 8}, {24, 12, 1, 1}, {.strides = {2}, .group = 2}},
    {{1, 128, 7, 7}, {160, 128, 3, 3}, {.pads = {1}}},
    {{9, 20, 300}, {40, 20, 5}, {.strides = {3}, .pads = {2}}},
    {{2, 6, 12, 13, 12}, {10, 6, 3, 3, 3}, {.pads = {1}}},
    {{0, 16, 20, 18}, {32, 16, 3, 3}, {.pads = {1}}},
    // Single images that are cut.
    {{1, 64, 40, 41}, {64, 64, 3, 3}, {.pads = {1}}},
    {{1, 32, 61, 50}, {64, 32, 5, 3}, {.strides = {2, 1}, .pads = {2, 1}, .dilations = {3, 1}}},
    {{1, 1, 90, 70}, {32, 1, 11, 11}, {.pads = {5}}},
    {{1, 48, 900}, {96, 48, 7}, {.pads = {12}}},
    {{1, 24, 9, 40, 30}, {32, 12, 2, 3, 3}, {.group = 2}},
};

// The same elements in other orders of memory, into all three convolutions.
TEST(ChannelsLast, MemoryChangesNoBit) {
  const auto last = [](const Tensor& t) { return td::moveaxis(td::moveaxis(t, 1, -1).contiguous(), -1, 1); };
  const auto outputs_last = [](const Tensor& t) {
    td::Dims order, back{t.rank() - 1, t.rank() - 2};
    for (int i = 2; i < t.rank(); ++i) order.push_back(i), back.push_back(i - 2);
    order.push_back(1);
    order.push_back(0);
    return td::transpose(td::transpose(t, order).contiguous(), back);
  };
  for (const Sizes& s : all_sizes)
    for (const td::DType dtype : {td::float32, td::float64, td::float16}) {
      SCOPED_TRACE(td::to_string(s.x));
      const Tensor x = td::cast(waves(s.x), dtype), w = td::cast(waves(s.w), dtype),
                   b = td::cast(waves({s.w[0]}), dtype);
      const Tensor y = td::conv(x, w, b, s.options), dy = td::sin(y);
      EXPECT_EQ(bytes(td::conv(last(x), outputs_last(w), b, s.options)), bytes(y));
      EXPECT_EQ(bytes(td::conv_input_gradient(last(dy), outputs_last(w), s.x, s.options)),
                bytes(td::conv_input_gradient(dy, w, s.x, s.options)));
      EXPECT_EQ(bytes(td::conv_weight_gradient(last(x), last(dy), s.w, s.options)),
                bytes(td::conv_weight_gradient(x, dy, s.w, s.options)));
    }
}

// conv, relu, conv by the same number of channels, add, pool, conv: forwards, and with gradients.
TEST(ChannelsLast, GraphsEqualEagerCode) {
  const int threads = td::runtime::thread_count();
  for (const Sizes& s : all_sizes) {
    SCOPED_TRACE(td::to_string(s.x));
    const int spatial = s.x.rank() - 2;
    td::Shape square = s.w;
    square[0] = s.w[0];
    square[1] = s.w[0];
    for (int i = 0; i < spatial; ++i) square[2 + i] = 3;
    const td::ConvOptions same{.pads = {1}};
    const Tensor x = waves(s.x), w = waves(s.w), v = waves(square) * 0.1f, b = waves({s.w[0]});
    const auto network = [&](const Tensor& image) {
      const Tensor y = td::relu(td::conv(image, w, b, s.options));
      const Tensor z = td::relu(td::conv(y, v, nullptr, same) * 0.5f + y);
      const Tensor small = td::max_pool(z, td::Dims::filled(spatial, 2), {.strides = {2}});
      const Tensor smooth = td::average_pool(small, td::Dims::filled(spatial, 2), {.pads = {1}});
      return td::conv(smooth, v, b, same);
    };
    const auto slopes = [&](const Tensor& image) {
      td::GradientTape tape;
      tape.watch(image);
      tape.watch(v);
      const Tensor y = network(image);
      const auto d = tape.gradient(td::sum(y * y), image, v);
      return std::vector<Tensor>{y, d[0], d[1]};
    };
    const std::vector<Tensor> expected = slopes(x);
    for (const int count : {1, 2}) {
      td::runtime::set_thread_count(count);
      EXPECT_EQ(bytes(network(x)), bytes(expected[0]));
      auto forward = td::function([&](Tensor t) { return network(t); });
      const Tensor y = forward(x);
      EXPECT_TRUE(y.is_contiguous());
      EXPECT_EQ(bytes(y), bytes(expected[0]));
      auto both = td::function([&](Tensor t) { return slopes(t); });
      const std::vector<Tensor> results = both(x);
      for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(bytes(results[i]), bytes(expected[i])) << i;
    }
    td::runtime::set_thread_count(threads);
  }
}

// Layers of Keras's order: no channels move between them, in graph mode.
TEST(ChannelsLast, LayersInGraphMode) {
  td::random::seed(3);
  const auto block = [](const td::nn::Value& x, int64_t filters) {
    namespace nn = td::nn;
    nn::Value y = nn::Conv2D(filters, 3, "relu", {.padding = "same"})(x);
    y = nn::BatchNormalization()(y);
    y = nn::Conv2D(filters, 3, {}, {.padding = "same"})(y);
    return nn::ReLU()(nn::Add()({y, x}));
  };
  namespace nn = td::nn;
  const nn::Value input = nn::Input({24, 24, 16});
  nn::Value y = block(block(input, 16), 16);
  y = nn::MaxPooling2D(2)(y);
  y = nn::GlobalAveragePooling2D()(nn::Conv2D(32, 3, "relu")(y));
  nn::Model model(input, nn::Dense(4)(y));
  const Tensor x = waves({3, 24, 24, 16});
  const Tensor expected = model(x);
  auto f = td::function([&](Tensor t) { return model(t); });
  EXPECT_EQ(bytes(f(x)), bytes(expected));
  NEEDS_CHANNELS_LAST();
  // Nothing else moves channels.
  const std::string graph = f.trace(0).graph;
  EXPECT_NE(graph.find("= ConvChannelsLast("), std::string::npos) << graph;
  EXPECT_EQ(graph.find("= ChannelsFirst("), std::string::npos) << graph;
  EXPECT_EQ(graph.find("= ChannelsLast("), std::string::npos) << graph;
}

}  // namespace
