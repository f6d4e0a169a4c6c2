// td::nn: layers, models, losses, optimizers; eager equals graph bit for bit.

#include "tandem/nn.h"

#include <cmath>
#include <sstream>

#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;
using td::testing::names_of;
using td::testing::same_bits;

using Floats = std::vector<float>;

namespace {

template <class T>
std::string text_of(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

using Names = std::vector<std::string>;

struct Net : nn::Module {
  nn::Dense hidden = member("hidden", nn::Dense(4, "relu"));
  nn::Dense out = member("out", nn::Dense(2));
  td::Tensor operator()(const td::Tensor& x) const { return out(hidden(x)); }
};

}  // namespace

// ---- layers

TEST(Layers, DenseIsBuiltFromTheFirstInput) {
  const nn::Dense dense(3, {}, {.kernel_initializer = "ones", .bias_initializer = "ones"});
  EXPECT_TRUE(dense.variables().empty());
  EXPECT_EQ(dense(td::Tensor({{1.f, 2.f}})).to_vector<float>(), (Floats{4, 4, 4}));
  EXPECT_EQ(names_of(dense), (Names{"kernel(2, 3)", "bias(3,)"}));
  EXPECT_EQ(dense.parameter_count(), 9);
  EXPECT_EQ(dense.variables()[0].name(), "dense/kernel");
  const nn::Layer copy = dense;  // shares
  EXPECT_TRUE(copy.variables()[1].is(dense.variables()[1]));
  EXPECT_EQ(dense(td::ones({2, 5, 2})).shape(), (td::Shape{2, 5, 3}));
}

TEST(Layers, DenseTakesTheInputsDtypeAndMayHaveNoBias) {
  const nn::Dense dense(3, "relu", {.use_bias = false, .name = "wide"});
  EXPECT_EQ(dense(td::zeros({1, 2}, td::float64)).dtype(), td::float64);
  EXPECT_EQ(names_of(dense), (Names{"kernel(2, 3)"}));
  EXPECT_EQ(dense.variables()[0].name(), "wide/kernel");
}

TEST(Layers, InitializersKeepTheirRange) {
  const nn::Dense dense(100);
  dense(td::zeros({1, 50}));
  const double limit = std::sqrt(6.0 / 150);
  double largest = 0, sum = 0;
  for (float v : dense.variables()[0].value().to_vector<float>()) {
    largest = std::max<double>(largest, std::abs(v));
    sum += v;
  }
  EXPECT_LE(largest, limit);
  EXPECT_GE(largest, 0.99 * limit);
  EXPECT_LT(std::abs(sum / 5000), 0.01);
  EXPECT_EQ(dense.variables()[1].value().to_vector<float>(), Floats(100, 0));
}

TEST(Layers, FlattenKeepsTheBatch) {
  const nn::Flatten flatten;
  EXPECT_EQ(flatten(td::ones({2, 3, 4})).shape(), (td::Shape{2, 12}));
  EXPECT_EQ(flatten(td::ones({5})).shape(), (td::Shape{5, 1}));
  EXPECT_EQ(flatten(td::ones({0, 3, 4})).shape(), (td::Shape{0, 12}));
  EXPECT_EQ(flatten(td::ones({5, 3, 0})).shape(), (td::Shape{5, 0}));
}

TEST(Layers, ActivationsByNameOrFunction) {
  const td::Tensor x = {{-1.f, 2.f}};
  EXPECT_EQ(nn::ReLU()(x).to_vector<float>(), (Floats{0, 2}));
  EXPECT_EQ(nn::Activation("relu")(x).to_vector<float>(), (Floats{0, 2}));
  EXPECT_EQ(nn::Activation([](const td::Tensor& t) { return t * 2; })(x).to_vector<float>(), (Floats{-2, 4}));
  EXPECT_TRUE(same_bits(nn::Softmax()(x), td::softmax(x)));
  EXPECT_TRUE(same_bits(nn::Softmax({.axis = 0})(x), td::ones({1, 2})));
}

// ---- models

TEST(Models, FunctionalSharesLayers) {
  const nn::Value input = nn::Input({4});
  const nn::Dense shared(4, "relu");
  const nn::Value h = shared(shared(input));
  const nn::Model model(input, nn::Dense(2)(h));
  EXPECT_EQ(h.shape(), (td::Shape{-1, 4}));
  EXPECT_EQ(text_of(h), "Value(\"dense\", shape=(?, 4), dtype=float32)");
  EXPECT_EQ(names_of(model),
            (Names{"dense/kernel(4, 4)", "dense/bias(4,)", "dense_1/kernel(4, 2)", "dense_1/bias(2,)"}));
  EXPECT_EQ(model.variables()[2].name(), "model/dense_1/kernel");
  const td::Tensor x = td::ones({3, 4});
  const nn::Layer last = model.layers()[1];
  EXPECT_TRUE(same_bits(model(x), last(shared(shared(x)))));
}

TEST(Models, SeveralInputsAndOutputs) {
  struct Sum : nn::Module {
    td::Tensor operator()(const td::Tensor& x) const { return x + 1; }
  };
  const nn::Value a = nn::Input({2}, {.name = "a"}), b = nn::Input({2}, {.name = "b"});
  const nn::Value c = nn::Layer(Sum())(a), d = nn::Flatten()(b);
  const nn::Model model({a, b}, {d, c});
  const td::Tensor x = {{1.f, 2.f}}, y = {{3.f, 4.f}};
  const std::vector<td::Tensor> results = model(std::vector<td::Tensor>{x, y});
  EXPECT_EQ(results[0].to_vector<float>(), (Floats{3, 4}));
  EXPECT_EQ(results[1].to_vector<float>(), (Floats{2, 3}));
  EXPECT_ERROR(model(std::vector<td::Tensor>{x}),
               "model: the model takes 2 inputs and got 1 (nn_test.cpp:LINE)");
  EXPECT_ERROR(model(std::vector<td::Tensor>{x, td::ones({1, 3})}),
               "model: input \"b\" has shape (1, 3) and the model takes (?, 2) (nn_test.cpp:LINE)");
}

TEST(Models, SequentialWithAndWithoutInput) {
  const nn::Sequential lazy({nn::Flatten(), nn::Dense(3, "relu"), nn::Dense(2, "softmax")});
  EXPECT_TRUE(lazy.variables().empty());
  EXPECT_EQ(lazy(td::ones({5, 2, 2})).shape(), (td::Shape{5, 2}));
  const nn::Sequential built(
      {nn::Input({2, 2}), nn::Flatten(), nn::Dense(3, "relu"), nn::Dense(2, "softmax")});
  EXPECT_EQ(names_of(built), names_of(lazy));
  EXPECT_EQ(names_of(built),
            (Names{"dense/kernel(4, 3)", "dense/bias(3,)", "dense_1/kernel(3, 2)", "dense_1/bias(2,)"}));
  EXPECT_EQ(built.layers().size(), 3u);
}

TEST(Models, SubclassesRegisterMembers) {
  Net net;
  const td::Tensor x = td::ones({3, 5});
  const td::Tensor y = net(x);
  EXPECT_EQ(y.shape(), (td::Shape{3, 2}));
  EXPECT_EQ(names_of(net),
            (Names{"hidden/kernel(5, 4)", "hidden/bias(4,)", "out/kernel(4, 2)", "out/bias(2,)"}));
  const Net copy = net;
  EXPECT_TRUE(same_bits(copy(x), y));
  const nn::Model model(net);
  EXPECT_TRUE(same_bits(model(x), y));
  EXPECT_EQ(model.path(), "net");
  EXPECT_TRUE(same_bits(td::function(net)(x), y));
  EXPECT_TRUE(same_bits(td::function(model)(x), y));
}

TEST(Models, ParametersOfOnesOwn) {
  constexpr int line = __LINE__ + 3;
  struct Scale : nn::Module {
    td::Tensor operator()(const td::Tensor& x) const {
      return x * parameter("scale", {x.shape().back()}, "ones");
    }
  };
  Scale scale;
  EXPECT_EQ(scale(td::ones({1, 2})).to_vector<float>(), (Floats{1, 1}));
  EXPECT_EQ(names_of(scale), (Names{"scale(2,)"}));
  EXPECT_ERROR(scale(td::ones({1, 3})),
               "parameter: parameter scale has shape (2,) and is asked for with shape (3,) (nn_test.cpp:" +
                   std::to_string(line) + ")");
}

TEST(Models, FirstUseInsideAFunction) {
  const nn::Sequential model({nn::Flatten(), nn::Dense(3, "relu"), nn::Dense(2, "softmax")});
  auto graph = td::function(model);
  const td::Tensor x = td::ones({4, 2, 2}), more = td::ones({6, 2, 2});
  const td::Tensor y = graph(x);
  EXPECT_TRUE(same_bits(model(x), y));
  EXPECT_TRUE(same_bits(model(more), graph(more)));
  EXPECT_EQ(graph.trace_count(), 2);
  EXPECT_EQ(model.variables().size(), 4u);
}

// ---- training

TEST(Training, EagerEqualsGraph) {
  const td::Tensor x = {{1.f, 2.f, -1.f}, {0.1f, -0.7f, 0.3f}, {0.5f, 0.25f, 2.f}};
  const td::Tensor target = {{1.f, 0.f}, {0.f, 1.f}, {1.f, 0.f}};
  for (const nn::SGDOptions& options : {nn::SGDOptions{}, nn::SGDOptions{.momentum = 0.9},
                                        nn::SGDOptions{.momentum = 0.9, .nesterov = true}}) {
    const nn::Sequential eager_model({nn::Input({3}), nn::Dense(8, "relu"), nn::Dense(2, "softmax")});
    const nn::Sequential graph_model({nn::Input({3}), nn::Dense(8, "relu"), nn::Dense(2, "softmax")});
    for (size_t i = 0; i < 4; ++i) graph_model.variables()[i].assign(eager_model.variables()[i]);
    auto step_of = [&](const nn::Sequential& model) {
      return [model, target, optimizer = nn::SGD(0.1, options)](const td::Tensor& input) {
        td::GradientTape tape;
        const td::Tensor error = model(input) - target;
        const td::Tensor loss = td::sum(error * error);
        const auto variables = model.trainable_variables();
        optimizer.apply_gradients(tape.gradient(loss, variables), variables);
        return loss;
      };
    };
    auto eager = step_of(eager_model);
    auto graph = td::function(step_of(graph_model));
    float first = 0, last = 0;
    for (int i = 0; i < 20; ++i) {
      const td::Tensor a = eager(x), b = graph(x);
      EXPECT_TRUE(same_bits(a, b)) << i;
      last = a.item<float>();
      if (i == 0) first = last;
    }
    EXPECT_LT(last, first);
    for (size_t i = 0; i < 4; ++i)
      EXPECT_TRUE(same_bits(eager_model.variables()[i].value(), graph_model.variables()[i].value()));
    EXPECT_EQ(graph.trace_count(), 1);
  }
}
