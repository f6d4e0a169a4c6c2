// What Keras's own tests require of models: T-01 to T-17, in both modes with equal bits.

#include <cmath>
#include <sstream>

#include "nn/probe.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;
using td::testing::names_of;
using td::testing::same_bits;

using Floats = std::vector<float>;
using Tensors = std::vector<td::Tensor>;

namespace {

/// What is written to standard error while `f` runs.
template <class F>
std::string warnings_of(const F& f) {
  ::testing::internal::CaptureStderr();
  f();
  return ::testing::internal::GetCapturedStderr();
}

/// Runs `f` on these tensors eagerly and as a graph; both must give the same bits.
template <class F>
Tensors in_both_modes(const F& f, const Tensors& inputs) {
  const Tensors eager = f(inputs);
  const Tensors graph = td::Function<Tensors(Tensors)>(f)(inputs);
  EXPECT_EQ(eager.size(), graph.size());
  for (size_t i = 0; i < eager.size(); ++i) EXPECT_TRUE(same_bits(eager[i], graph[i])) << "result " << i;
  return eager;
}

Floats floats(const td::Tensor& x) { return x.contiguous().to_vector<float>(); }

/// Positions whose first feature is 0 do not count.
struct Masking : nn::Module {
  td::Tensor operator()(const td::Tensor& x) const {
    const td::Tensor y = x * 1.f;
    nn::set_mask(y, x[{td::all, td::all, 0}] != 0.f);
    return y;
  }
};
/// Keeps the mask.
struct Twice : nn::Module {
  static constexpr bool supports_masking = true;
  td::Tensor operator()(const td::Tensor& x) const { return x * 2.f; }
};
/// The mean over the positions that count.
struct MaskedMean : nn::Module {
  td::Tensor operator()(const td::Tensor& x) const {
    const td::Tensor mask = nn::mask_of(x);
    if (!mask.defined()) return td::mean(x, {1});
    const td::Tensor weights = td::unsqueeze(td::cast(mask, td::float32), {2});
    return td::sum(x * weights, {1}) / td::sum(weights, {1});
  }
};
struct Penalty : nn::Module {
  td::Tensor operator()(const td::Tensor& x) const {
    add_loss(td::sum(x));
    return x;
  }
};

/// Says whether it is in training; Prefers is by itself.
struct Flag : nn::Module {
  td::Tensor operator()(const td::Tensor& x) const { return x * 0.f + (nn::is_training() ? 1.f : 0.f); }
};
struct Prefers : Flag {
  static constexpr bool training_default = true;
};

}  // namespace

using Names = std::vector<std::string>;

TEST(Behaviour, T_01_SequentialIsBuiltByInputCallOrBuild) {
  const nn::Sequential declared({nn::Input({3}), nn::Dense(4, "relu"), nn::Dense(2)});
  EXPECT_EQ(declared.layers().size(), 2u);
  const Names names = {"dense/kernel(3, 4)", "dense/bias(4,)", "dense_1/kernel(4, 2)", "dense_1/bias(2,)"};
  EXPECT_EQ(names_of(declared), names);
  const nn::Sequential called({nn::Dense(4, "relu"), nn::Dense(2)}),
      built({nn::Dense(4, "relu"), nn::Dense(2)});
  EXPECT_TRUE(called.variables().empty());
  const td::Tensor x = {{1.f, 2.f, 3.f}, {0.f, -1.f, 5.f}};
  called(x);
  built.build({-1, 3});
  for (const nn::Sequential& model : {called, built}) {
    EXPECT_EQ(names_of(model), names);
    model.set_weights(declared.get_weights());
    const Tensors y = in_both_modes([&](const Tensors& t) { return Tensors{model(t[0])}; }, {x});
    EXPECT_TRUE(same_bits(y[0], declared(x)));
  }
}

TEST(Behaviour, T_02_SequentialGrowsAndShrinks) {
  nn::Sequential model({nn::Input({3}), nn::Dense(4, "relu")});
  const td::Tensor x = td::ones({2, 3});
  const td::Tensor first = model(x);
  model.add(nn::Dense(2));
  EXPECT_EQ(model(x).shape(), (td::Shape{2, 2}));
  EXPECT_EQ(model.output().shape(), (td::Shape{-1, 2}));
  EXPECT_EQ(model.variables().size(), 4u);
  model.pop();
  EXPECT_TRUE(same_bits(model(x), first));
  EXPECT_EQ(model.output().shape(), (td::Shape{-1, 4}));
  EXPECT_EQ(names_of(model), (Names{"dense/kernel(3, 4)", "dense/bias(4,)"}));
  // Also in graphs of the model and of one around it.
  nn::Sequential outer({model, nn::Flatten()});
  outer.set_mode(nn::Mode::graph);
  model.set_mode(nn::Mode::graph);
  EXPECT_EQ(outer(x).shape(), (td::Shape{2, 4}));
  model.add(nn::Dense(5));
  EXPECT_EQ(model(x).shape(), (td::Shape{2, 5}));
  EXPECT_EQ(outer(x).shape(), (td::Shape{2, 5}));
  // Before it is built.
  nn::Sequential lazy({nn::Dense(4), nn::Dense(7)});
  lazy.pop().add(nn::Dense(3, {}, {.name = "last"}));
  EXPECT_EQ(lazy(x).shape(), (td::Shape{2, 3}));
  EXPECT_EQ(names_of(lazy)[2], "last/kernel(4, 3)");

  EXPECT_ERROR(lazy.add(nn::Input({3})),
               "sequential: an Input may only come first (behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(lazy.add(nn::Dense(1, {}, {.name = "last"})),
               "member: module sequential has two members named last (behaviours_models_test.cpp:LINE)");
  nn::Sequential empty;
  EXPECT_ERROR(empty(x), "sequential: the model has no layers yet (behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(empty.pop(), "pop: the model has no layers (behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(model.build({-1, 4}),
               "build: the shape is (?, 4) and the model begins with an Input of (?, 3) "
               "(behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_03_ModelsInModels) {
  const nn::Sequential inner({nn::Input({3}), nn::Dense(4, "relu"), nn::Sequential({nn::Dense(2)})});
  const nn::Value input = nn::Input({3});
  const nn::Model middle(input, nn::Dense(5)(inner(input)));
  const nn::Sequential outer({nn::Input({3}), middle, nn::Dense(1)});
  EXPECT_EQ(names_of(outer), (Names{"model/sequential/dense/kernel(3, 4)", "model/sequential/dense/bias(4,)",
                                    "model/sequential/sequential/dense/kernel(4, 2)",
                                    "model/sequential/sequential/dense/bias(2,)", "model/dense/kernel(2, 5)",
                                    "model/dense/bias(5,)", "dense/kernel(5, 1)", "dense/bias(1,)"}));
  const td::Tensor x = {{1.f, 2.f, 3.f}};
  const Tensors y = in_both_modes([&](const Tensors& t) { return Tensors{outer(t[0])}; }, {x});
  EXPECT_TRUE(same_bits(y[0], outer.layers()[1](middle(x))));
}

TEST(Behaviour, T_04_StructuresOfInputsAndOutputs) {
  const nn::Value a = nn::Input({2}, {.name = "a"}), b = nn::Input({2}, {.name = "b"});
  const nn::Value sum = nn::Layer(Twice())(a), other = nn::Flatten()(b);
  const td::Tensor x = {{1.f, 2.f}}, y = {{3.f, 4.f}};
  const nn::Model by_list({a, b}, {{"sum", sum}, {"both", {sum, other}}});
  for (const td::Nest& given : {td::Nest{x, y}, td::Nest{{"a", x}, {"b", y}}}) {
    const td::Nest result = by_list(given);
    EXPECT_EQ(result.form(), "{both: [*, *], sum: *}");
    EXPECT_EQ(floats(result["sum"].leaf()), (Floats{2, 4}));
    EXPECT_EQ(floats(result["both"][1].leaf()), (Floats{3, 4}));
    const td::Nest graph =
        td::Function<td::Nest(td::Nest)>([&](const td::Nest& n) { return by_list(n); })(given);
    EXPECT_TRUE(graph.same_form(result));
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(graph.flatten()[i], result.flatten()[i]));
  }
  const nn::Model by_key({{"left", a}, {"right", {b}}}, sum);
  EXPECT_EQ(floats(by_key(td::Nest{{"left", x}, {"right", {y}}}).leaf()), (Floats{2, 4}));
  const nn::Model single(a, {sum});
  EXPECT_EQ(floats(single(x)), (Floats{2, 4}));
  EXPECT_EQ(single(td::Nest(x)).form(), "[*]");
  EXPECT_EQ(floats(single(td::Nest{{"a", x}})[0].leaf()), (Floats{2, 4}));
}

TEST(Behaviour, T_05_UnusualInputs) {
  const nn::Value a = nn::Input({2}, {.name = "a"}), b = nn::Input({3}, {.name = "b", .optional = true});
  const nn::Value doubled = nn::Layer(Twice())(a);
  struct Join : nn::Module {
    td::Tensor operator()(const Tensors& x) const { return td::concat(x, 1); }
  };
  const nn::Value joined = nn::Layer(Join())({doubled, b});
  const nn::Model model({{"a", a}, {"b", b}}, joined);
  const td::Tensor x = {{1.f, 2.f}}, y = {{3.f, 4.f, 5.f}};
  EXPECT_EQ(floats(model(td::Nest{{"a", x}, {"b", y}}).leaf()), (Floats{2, 4, 3, 4, 5}));
  EXPECT_EQ(floats(model(td::Nest{{"a", x}}).leaf()), (Floats{2, 4}));
  EXPECT_ERROR(model(td::Nest{{"b", y}}),
               "model: input \"a\" is missing; given {b: *} (behaviours_models_test.cpp:LINE)");
  const auto call = [&](const td::Nest& given) {
    EXPECT_EQ(floats(model(given).leaf()), (Floats{2, 4, 3, 4, 5}));
  };
  const td::Nest extra = {{"a", x}, {"b", y}, {"c", x}};
  EXPECT_EQ(warnings_of([&] { call(extra); }),
            "tandem: a model has no input \"c\"; what is given for it is not used\n");
  EXPECT_EQ(warnings_of([&] { call(extra); }), "");
  const nn::Model again({{"a", a}, {"b", b}}, joined);
  EXPECT_EQ(
      warnings_of([&] {
        EXPECT_EQ(floats(again(Tensors{x, y})[0]), (Floats{2, 4, 3, 4, 5}));
      }),
      "tandem: a model whose inputs have the form {a: *, b: *} is given [*, *]; they are taken in order\n");
  EXPECT_ERROR(model(Tensors{x, y, y}),
               "model: the model takes 2 inputs and got 3 (behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_06_ErrorsNameInputAndLayer) {
  const nn::Value a = nn::Input({3}, {.name = "features"});
  const nn::Model model(a, nn::Dense(2)(nn::Dense(4)(a)));
  EXPECT_ERROR(model(td::ones({5, 4})),
               "model: input \"features\" has shape (5, 4) and the model takes (?, 3) "
               "(behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(
      model(td::ones({3})),
      "model: input \"features\" has shape (3,) and the model takes (?, 3); the batch is missing, which data "
      "sets get from .batch(n) (behaviours_models_test.cpp:LINE)");
  const nn::Sequential lazy({nn::Sequential({nn::Dense(4)}), nn::Dense(2)});
  lazy(td::ones({1, 3}));
  try {
    lazy(td::ones({1, 4}));
    FAIL();
  } catch (const td::Error& e) {
    EXPECT_NE(std::string(e.what()).find("in layer sequential/sequential/dense"), std::string::npos)
        << e.what();
  }
  const auto join = nn::Value();
  EXPECT_ERROR(nn::Model(a, join),
               "model: an empty model value was used; values come from nn::Input and from layers "
               "(behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_07_RanksAndDtypesAreRepaired) {
  const nn::Value flat = nn::Input({3}), column = nn::Input({3, 1});
  const nn::Model takes_flat(flat, nn::Layer(Twice())(flat)),
      takes_column(column, nn::Layer(Twice())(column));
  const td::Tensor x = {{1.f, 2.f, 3.f}};
  const td::Tensor tall = td::reshape(x, {1, 3, 1});
  in_both_modes([&](const Tensors& t) { return Tensors{takes_flat(t[0]), takes_column(t[1])}; }, {tall, x});
  EXPECT_EQ(takes_flat(tall).shape(), (td::Shape{1, 3}));
  EXPECT_EQ(takes_column(x).shape(), (td::Shape{1, 3, 1}));
  EXPECT_EQ(floats(takes_flat(td::Tensor({{1, 2, 3}}))), (Floats{2, 4, 6}));
  EXPECT_ERROR(
      takes_flat(td::ones({1, 3, 1, 1})),
      "model: the input has shape (1, 3, 1, 1) and the model takes (?, 3) (behaviours_models_test.cpp:LINE)");
  const nn::Model nested({{"left", {flat, column}}}, flat);
  EXPECT_ERROR(nested(td::Nest{{"left", {x, td::ones({1, 3, 2})}}}),
               "model: input \"left/1\" has shape (1, 3, 2) and the model takes (?, 3, 1) "
               "(behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_08_ConnectionsOfInputsAndOutputs) {
  const nn::Value a = nn::Input({2}, {.name = "a"}), b = nn::Input({2}, {.name = "b"});
  const nn::Value sum = nn::Dense(2)(a);
  const std::string line = std::to_string(__LINE__ - 2);
  EXPECT_ERROR(nn::Model(b, sum),
               "model: the outputs need input \"a\" (behaviours_models_test.cpp:" + line +
                   "), which is not among the model's inputs (behaviours_models_test.cpp:LINE)");
  const nn::Model unused({a, b}, {a, b});  // inputs returned unchanged
  const td::Tensor x = {{1.f, 2.f}}, y = {{3.f, 4.f}};
  const Tensors results = in_both_modes([&](const Tensors& t) { return unused(t); }, {x, y});
  EXPECT_EQ(floats(results[1]), (Floats{3, 4}));
  EXPECT_EQ(nn::Model({a, b}, sum)(Tensors{x, y})[0].shape(), (td::Shape{1, 2}));
}

TEST(Behaviour, T_09_InnerValuesBeginAndEndModels) {
  const nn::Value input = nn::Input({3});
  const nn::Model model(input, nn::Dense(2)(nn::Dense(4, "relu", {.name = "hidden"})(nn::Flatten()(input))));
  EXPECT_EQ(model.layer("hidden").path(), "model/hidden");
  EXPECT_EQ(model.layer(-1).name(), "dense");
  const nn::Model features(model.inputs(), model.layer("hidden").output());
  const nn::Model head(model.layer("hidden").output(), model.output());
  const td::Tensor x = {{1.f, 2.f, 3.f}};
  const Tensors y = in_both_modes(
      [&](const Tensors& t) {
        return Tensors{features(t[0]), head(features(t[0]))};
      },
      {x});
  EXPECT_EQ(y[0].shape(), (td::Shape{1, 4}));
  EXPECT_TRUE(same_bits(y[1], model(x)));
  EXPECT_TRUE(features.variables()[0].is(model.variables()[0]));
  const nn::Sequential sequential({nn::Input({3}), nn::Dense(4), nn::Dense(2)});
  EXPECT_EQ(nn::Model(sequential.inputs(), sequential.layer(0).output())(x).shape(), (td::Shape{1, 4}));
  EXPECT_ERROR(model.layer("conv"),
               "layer: model model has no layer \"conv\"; it has: flatten, hidden, dense "
               "(behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(model.layer(3),
               "layer: layer 3 was asked for; model model has 3 (behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(nn::Dense(3).output(),
               "outputs: layer dense was not called on Values, as nn::Input gives them "
               "(behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_10_SharedLayers) {
  const nn::Dense shared(3, {}, {.use_bias = false, .kernel_initializer = "ones"});
  const nn::Value input = nn::Input({3});
  const nn::Model model(input, shared(shared(input)));
  EXPECT_EQ(names_of(model), (Names{"dense/kernel(3, 3)"}));
  EXPECT_EQ(model.layers().size(), 1u);
  EXPECT_EQ(shared.output(0).shape(), (td::Shape{-1, 3}));
  EXPECT_ERROR(shared.output(),
               "outputs: layer model/dense was called on Values 2 times; say which call, 0 to 1 "
               "(behaviours_models_test.cpp:LINE)");
  const auto gradient = [&](const Tensors& t) {
    td::GradientTape tape;
    const td::Tensor loss = td::sum(model(t[0]));
    return Tensors{tape.gradient(loss, model.variables()[0])};
  };
  // sum(x W W) = x W W 1: each place gives x_i * 3 and (sum x) * 1 for each entry.
  const Tensors g = in_both_modes(gradient, {td::Tensor({{1.f, 2.f, 3.f}})});
  EXPECT_EQ(floats(g[0]), (Floats{9, 9, 9, 12, 12, 12, 15, 15, 15}));
}

TEST(Behaviour, T_11_TheTrainingFlag) {
  struct Throws : nn::Module {
    td::Tensor operator()(const td::Tensor&) const { throw std::runtime_error("no"); }
  };
  const td::Tensor x = td::ones({1, 1});
  const nn::Layer flag{Flag()}, eager{Prefers()};
  const nn::Sequential deep({nn::Sequential({nn::Sequential({flag})})});
  const auto value = [&](const nn::Layer& layer, nn::CallOptions options = {}) {
    return in_both_modes([&](const Tensors& t) { return Tensors{layer(t[0], options)}; }, {x})[0]
        .item<float>();
  };
  EXPECT_EQ(value(flag), 0);
  EXPECT_EQ(value(deep, {.training = true}), 1);
  EXPECT_EQ(value(deep), 0);
  {
    const nn::TrainingScope training(true);
    EXPECT_EQ(value(deep), 1);
    EXPECT_EQ(value(deep, {.training = false}), 0);
  }
  // A default holds for its layer alone, and only where no caller says.
  EXPECT_EQ(value(eager), 1);
  EXPECT_EQ(value(nn::Sequential({eager, flag})), 0);
  EXPECT_EQ(value(nn::Sequential({eager}), {.training = false}), 0);
  // Fixed when the model was described.
  const nn::Value input = nn::Input({1});
  const nn::Model fixed(input, flag(input, {.training = false}));
  EXPECT_EQ(value(fixed, {.training = true}), 0);
  EXPECT_THROW(nn::Sequential({nn::Layer(Throws())})(x, {.training = true}), std::runtime_error);
  EXPECT_FALSE(nn::is_training());
  EXPECT_EQ(value(flag), 0);
}

TEST(Behaviour, T_12_Freezing) {
  const nn::Sequential inner({nn::Input({3}), nn::Dense(2, "relu")});
  const nn::Sequential model({nn::Input({3}), inner, nn::Dense(1)});
  EXPECT_EQ(model.trainable_variables().size(), 4u);
  model.set_trainable(false);
  EXPECT_FALSE(inner.layers()[0].trainable());
  EXPECT_TRUE(model.trainable_variables().empty());
  const std::vector<td::Variable> all = model.variables(), frozen = model.non_trainable_variables();
  ASSERT_EQ(frozen.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(all[i].is(frozen[i]));
  model.set_trainable(true);
  EXPECT_EQ(model.trainable_variables().size(), 4u);
  inner.set_trainable(false);
  EXPECT_EQ(model.trainable_variables().size(), 2u);
  EXPECT_EQ(model.non_trainable_variables().size(), 2u);
}

TEST(Behaviour, T_12_FitLeavesWhatIsFrozen) {
  const td::Tensor x = td::ones({4, 3}), y = td::zeros({4, 1});
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::Sequential model({nn::Input({3}), nn::Dense(2, "tanh"), nn::Dense(1)});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.1), .loss = "mse"});
    const auto changed = [&] {
      const Tensors before = model.get_weights();
      const nn::History history = model.fit(x, y, {.verbose = 0});
      EXPECT_GT(history["loss"][0], 0);
      const Tensors after = model.get_weights();
      int count = 0;
      for (size_t i = 0; i < 4; ++i) count += same_bits(before[i], after[i]) ? 0 : 1;
      return count;
    };
    EXPECT_EQ(changed(), 4);
    model.set_trainable(false);
    EXPECT_EQ(changed(), 0);
    model.layer(1).set_trainable(true);  // inside a frozen model
    EXPECT_EQ(changed(), 0);
    model.set_trainable(true);
    model.layer(0).set_trainable(false);
    EXPECT_EQ(changed(), 2);
  }
}

TEST(Behaviour, T_13_BatchNormalization) {
  const td::Tensor x = {{1.f, 10.f}, {3.f, 30.f}};
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::BatchNormalization layer({.momentum = 0.9, .epsilon = 0});
    const nn::Sequential model({nn::Input({2}), layer});
    model.set_mode(mode);
    const td::Tensor y = model(x, {.training = true});
    EXPECT_EQ(floats(y), (Floats{-1, -1, 1, 1}));  // mean 0, deviation 1
    const Tensors moving = layer.get_weights();
    EXPECT_FLOAT_EQ(floats(moving[2])[0], 0.2f);               // 0.9 * 0 + 0.1 * 2
    EXPECT_FLOAT_EQ(floats(moving[3])[1], 0.9f + 0.1f * 100);  // 0.9 * 1 + 0.1 * 100
    layer.set_trainable(false);
    const td::Tensor inference = model(x, {.training = false});
    EXPECT_TRUE(same_bits(model(x, {.training = true}), inference));
    EXPECT_TRUE(same_bits(layer.get_weights()[2], moving[2]));

    const nn::Sequential masked({nn::Input({2, 1}), nn::Masking(), nn::BatchNormalization({.epsilon = 0})});
    masked.set_mode(mode);
    const td::Tensor steps = td::reshape(td::Tensor({1.f, 3.f, 0.f, 0.f}), {2, 2, 1});
    const Floats normal = floats(masked(steps, {.training = true}));
    EXPECT_EQ(normal[0], -1);
    EXPECT_EQ(normal[1], 1);
    const nn::Sequential nothing({nn::Input({2, 1}), nn::Masking(), nn::BatchNormalization()});
    nothing.set_mode(mode);
    for (float v : floats(nothing(steps * 0.f, {.training = true}))) EXPECT_TRUE(std::isfinite(v));
    for (const td::Tensor& w : nothing.get_weights()) EXPECT_TRUE(std::isfinite(floats(w)[0]));
  }
}

TEST(Behaviour, T_14_Dropout) {
  const nn::Dropout dropout(0.5, {.seed = 7});
  const td::Tensor x = td::ones({50, 40});
  EXPECT_TRUE(same_bits(dropout(x), x));
  const td::Variable seed = dropout.variables()[0];
  EXPECT_FALSE(seed.trainable());
  const auto counter = [&] { return seed.value().contiguous().to_vector<uint64_t>(); };
  const auto first = counter();
  const td::Tensor y = dropout(x, {.training = true});
  const auto second = counter();
  const td::Tensor z = dropout(x, {.training = true});
  EXPECT_NE(first, second);
  EXPECT_NE(second, counter());
  EXPECT_FALSE(same_bits(y, z));
  double sum = 0;
  for (float v : floats(y)) {
    EXPECT_TRUE(v == 0 || v == 2);
    sum += v;
  }
  EXPECT_NEAR(sum / 2000, 1, 0.15);
  // The same draws as a graph.
  seed.assign(td::Tensor({static_cast<int64_t>(0), static_cast<int64_t>(3)}).to(td::uint64));
  const td::Tensor eager = dropout(x, {.training = true});
  const auto after = counter();
  seed.assign(td::Tensor({static_cast<int64_t>(0), static_cast<int64_t>(3)}).to(td::uint64));
  const nn::Sequential model({nn::Input({40}), dropout});
  model.set_mode(nn::Mode::graph);
  seed.assign(td::Tensor({static_cast<int64_t>(0), static_cast<int64_t>(3)}).to(td::uint64));
  EXPECT_TRUE(same_bits(model(x, {.training = true}), eager));
  EXPECT_EQ(counter(), after);
  // One draw for a whole row.
  const nn::Dropout rows(0.5, {.noise_shape = {-1, 1}, .seed = 7});
  const td::Tensor by_row = rows(x, {.training = true});
  for (int64_t i = 0; i < 50; ++i) {
    const Floats row = floats(by_row[{i}]);
    EXPECT_EQ(row, Floats(40, row[0]));
  }
  EXPECT_ERROR(nn::Dropout(1.5), "dropout: rate is 1.5; expected 0 to 1 (behaviours_models_test.cpp:LINE)");
}

TEST(Behaviour, T_15_AddedLosses) {
  const nn::Layer penalty{Penalty()};
  const nn::Sequential inner({penalty});
  const nn::Sequential model({inner, nn::Flatten(), Penalty()});
  const td::Tensor x = {{1.f, 2.f}};
  const auto total = [&](const Tensors& inputs) {
    const td::Tensor y = model(inputs[0]);
    Tensors losses = model.losses();
    EXPECT_EQ(losses.size(), 2u);
    losses.push_back(inner.losses().at(0));
    return losses;
  };
  for (int call = 0; call < 2; ++call) {
    const Tensors losses = in_both_modes(total, {x});
    for (const td::Tensor& t : losses) EXPECT_EQ(t.item<float>(), 3.f);
  }
  // Also where the model itself is called as a graph.
  model.set_mode(nn::Mode::graph);
  for (int call = 0; call < 2; ++call) {
    const nn::MaskScope masks;
    EXPECT_EQ(model(x).shape(), (td::Shape{1, 2}));
    ASSERT_EQ(model.losses().size(), 2u);
    EXPECT_EQ(model.losses()[0].item<float>(), 3.f);
  }
  // A class that is called by itself: a new call replaces what the last one added.
  const Penalty alone;
  for (int call = 0; call < 3; ++call) alone(x);
  EXPECT_EQ(alone.losses().size(), 1u);
}

TEST(Behaviour, T_15_ActivityPenaltiesAndModelsWithoutALoss) {
  const nn::Dense dense(2, {},
                        {.kernel_initializer = "ones", .activity_regularizer = nn::regularizers::L2(1)});
  const nn::Sequential model({nn::Input({2}), dense});
  for (const td::Shape& shape : {td::Shape{4, 2}, td::Shape{0, 2}}) {
    const auto losses = [&](const Tensors& t) {
      model(t[0]);
      return model.losses();
    };
    // Each output is 2: 4 rows of 2 * 2 * 2, by the size of the batch.
    EXPECT_EQ(in_both_modes(losses, {td::ones(shape)})[0].item<float>(), shape[0] == 0 ? 0.f : 8.f);
  }
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::Sequential trained(
        {nn::Input({2}), nn::Dense(2, {}, {.activity_regularizer = nn::regularizers::L2(1)})});
    trained.set_mode(mode);
    trained.compile({.optimizer = nn::SGD(0.01)});
    const nn::History history = trained.fit(td::ones({4, 2}), td::Nest(), {.epochs = 5, .verbose = 0});
    EXPECT_LT(history["loss"].back(), history["loss"].front());
  }
}

TEST(Behaviour, T_16_MasksFlowThroughModels) {
  const td::Tensor x = td::reshape(td::Tensor({1.f, 2.f, 3.f, 4.f, 0.f, 9.f}), {1, 3, 2});
  const nn::Value input = nn::Input({3, 2});
  const nn::Layer masking{Masking()}, twice{Twice()}, mean{MaskedMean()};
  struct Net : nn::Module {
    nn::Layer masking = member("masking", nn::Layer(Masking()));
    nn::Layer twice = member("twice", nn::Layer(Twice()));
    nn::Layer mean = member("mean", nn::Layer(MaskedMean()));
    td::Tensor operator()(const td::Tensor& t) const { return mean(twice(masking(t))); }
  };
  const nn::Sequential sequential({masking, nn::Sequential({twice}), mean});
  const nn::Model functional(input, mean(twice(masking(input))));
  for (const nn::Layer& model : {nn::Layer(sequential), nn::Layer(functional), nn::Layer(Net())}) {
    const Tensors y = in_both_modes([&](const Tensors& t) { return Tensors{model(t[0])}; }, {x});
    EXPECT_EQ(floats(y[0]), (Floats{4, 6}));
  }
  const nn::Sequential as_graph({masking, twice});
  as_graph.set_mode(nn::Mode::graph);
  {
    const nn::MaskScope open;
    EXPECT_EQ(floats(mean(as_graph(x))), (Floats{4, 6}));
  }
  // Flatten changes the positions: the mask ends there, also where it returns its input.
  const nn::Sequential dropped({masking, nn::Flatten(), twice});
  const nn::Sequential kept({masking, twice});
  const nn::MaskScope masks;
  EXPECT_EQ(nn::mask_of(kept(x)).contiguous().to_vector<bool>(), (std::vector<bool>{true, true, false}));
  EXPECT_FALSE(nn::mask_of(dropped(x)).defined());
  // A mask that is given counts for that call.
  const td::Tensor given = twice(x, {.mask = td::Tensor({{true, false, false}})});
  EXPECT_EQ(floats(mean(given)), (Floats{2, 4}));
  EXPECT_FALSE(nn::mask_of(x).defined());
}

TEST(Behaviour, T_16_LossesCountWhatTheMaskLets) {
  const td::Tensor x =
      td::reshape(td::Tensor({1.f, 1.f, 2.f, 2.f, 0.f, 0.f, 3.f, 3.f, 0.f, 0.f, 0.f, 0.f}), {2, 3, 2});
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::Sequential model(
        {nn::Input({3, 2}), nn::Masking(), nn::Dense(1, {}, {.kernel_initializer = "ones"})});
    model.set_mode(mode);
    model.compile({.loss = "mse"});
    // Results 2, 4 and 6 count.
    EXPECT_NEAR(model.evaluate(x, td::zeros({2, 3, 1}))["loss"], 56.0 / 3, 1e-5);
    EXPECT_EQ(model.evaluate(x * 0.f, td::ones({2, 3, 1}))["loss"], 0);
  }
}

TEST(Behaviour, T_17_WeightsAsLists) {
  const nn::Sequential model({nn::Input({3}), nn::Dense(2, "relu"), nn::Dense(1)});
  const Tensors weights = model.get_weights();
  ASSERT_EQ(weights.size(), 4u);
  Tensors others = weights;
  for (td::Tensor& w : others) w = w + 1.f;
  model.set_weights(others);
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(same_bits(model.get_weights()[i], others[i]));
  EXPECT_ERROR(
      model.set_weights({weights[0], weights[1]}),
      "set_weights: 2 tensors were given for 4 variables; the first without one is \"dense_1/kernel\" of "
      "shape (2, 1) (behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(
      model.set_weights({weights[0], weights[1], weights[2], weights[3], weights[0]}),
      "set_weights: 5 tensors were given for 4 variables; the first without a variable has shape (3, 2) "
      "(behaviours_models_test.cpp:LINE)");
  EXPECT_ERROR(
      model.set_weights({weights[0], weights[0], weights[2], weights[3]}),
      "set_weights: \"dense/bias\" has shape (2,) and was given (3, 2) (behaviours_models_test.cpp:LINE)");
  EXPECT_TRUE(same_bits(model.get_weights()[0], others[0]));  // a refused list changes nothing
}

TEST(Behaviour, T_17_ClonesShareNothing) {
  struct Net : nn::Module {
    nn::Dense first = member("first", nn::Dense(3, "relu"));
    nn::Dense again = first;
    nn::Layer inner = member("inner", nn::Layer(nn::Sequential({nn::Dense(3), nn::Activation("tanh")})));
    td::Tensor operator()(const td::Tensor& x) const {
      return inner(again(first(x))) * parameter("scale", {1}, "ones");
    }
  };
  const td::Tensor x = {{1.f, 2.f, 3.f}};
  const nn::Dense shared(3);
  const nn::Value input = nn::Input({3});
  const nn::Value twice = shared(nn::Activation("relu")(shared(input)));
  const nn::Model functional(input, nn::Dense(2)(twice));
  const nn::Sequential sequential({nn::Input({3}), shared, nn::Sequential({nn::Dense(3)}), shared});
  const auto check = [&](const auto& model) {
    const td::Tensor before = model(x);
    const auto copy = nn::clone(model);
    const auto names = model.named_parameters(), copied = copy.named_parameters();
    ASSERT_EQ(names.size(), copied.size());
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_EQ(names[i].first, copied[i].first);
      EXPECT_EQ(names[i].second.shape(), copied[i].second.shape());
      EXPECT_FALSE(names[i].second.is(copied[i].second));
    }
    const Tensors weights = model.get_weights(), fresh = copy.get_weights();
    EXPECT_FALSE(std::equal(weights.begin(), weights.end(), fresh.begin(), same_bits));
    copy.set_weights(model.get_weights());
    in_both_modes([&](const Tensors& t) { return Tensors{copy(t[0])}; }, {x});
    EXPECT_TRUE(same_bits(copy(x), before));
    for (const td::Variable& v : copy.variables()) v.assign(v.value() * 0.f);
    EXPECT_TRUE(same_bits(model(x), before));
  };
  check(functional);
  check(sequential);
  Net net;
  net(x);
  EXPECT_EQ(net.parameter_count(), 25);
  check(net);
  check(nn::Model(net));
}

TEST(Models, DtypePoliciesMixPrecisions) {
  for (const td::DType compute : {td::bfloat16, td::float16}) {
    const bool short_float = compute == td::float16;
    const nn::DTypePolicy policy(short_float ? "mixed_float16" : "mixed_bfloat16");
    nn::set_dtype_policy(policy);
    struct Scale : nn::Module {
      td::Tensor operator()(const td::Tensor& x) const { return x * parameter("scale", {1}, "ones"); }
    };
    const nn::Dense last(2);
    last.set_dtype_policy("float32");
    const nn::Sequential model({nn::Dense(4, "relu"), Scale(), last});
    const nn::Sequential body({nn::Dense(4, "relu"), Scale()});
    nn::set_dtype_policy({});
    EXPECT_EQ(body.layers()[0].dtype_policy()->name(), policy.name());
    const td::Tensor x = {{1.f, 2.f}, {-3.f, 0.5f}};
    const auto step = [&](const Tensors& t) {
      td::GradientTape tape;
      const td::Tensor y = model(t[0]);
      const td::Tensor loss = td::sum(y * y);
      Tensors results = tape.gradient(loss, model.trainable_variables());
      results.push_back(y);
      return results;
    };
    model(x);
    const Tensors results = in_both_modes(step, {x});
    EXPECT_EQ(results.back().dtype(), td::float32);
    EXPECT_EQ(body(x).dtype(), compute);
    for (const td::Variable& v : model.variables()) EXPECT_EQ(v.dtype(), td::float32);
    for (const td::Tensor& g : results) EXPECT_EQ(g.dtype(), td::float32);
    EXPECT_EQ(results.size(), 6u);
  }
  EXPECT_ERROR(nn::DTypePolicy("mixed_float8"),
               "dtype_policy: \"mixed_float8\" is not known; known: float32, float64, float16, bfloat16, "
               "mixed_float16, mixed_bfloat16 (behaviours_models_test.cpp:LINE)");
}

TEST(Models, SummaryIsATable) {
  const nn::Sequential model({nn::Input({4}, {.name = "x"}), nn::Dense(3, "relu"), nn::Dense(2)});
  model.layer(0).set_trainable(false);
  EXPECT_EQ(model.summary(), R"(sequential (Sequential)
layer    type   output shape  parameters  trained  FLOPs
────────────────────────────────────────────────────────
dense    Dense  (?, 3)                15        0     30
dense_1  Dense  (?, 2)                 8        8     14
23 parameters (92 B), 8 of them trained
44 FLOPs an example, 136 B of memory beside the parameters
)");
  EXPECT_EQ(nn::Sequential({nn::Dense(3)}).summary(), R"(sequential (Sequential)
layer  type   output shape  parameters  trained  FLOPs
──────────────────────────────────────────────────────
dense  Dense  -                      -        -      -
0 parameters (0 B); 1 layer has not been called, which is when parameters are made
)");
}

TEST(Models, FirstBadLayerIsNamed) {
  struct Log : nn::Module {
    td::Tensor operator()(const td::Tensor& x) const { return td::log(x); }
  };
  const nn::Sequential model({nn::Input({2}), nn::Sequential({nn::Layer(Log())}), nn::Dense(2)});
  EXPECT_EQ(nn::detail::first_bad_layer(model, td::Tensor({{1.f, 2.f}}), true), "");
  EXPECT_EQ(nn::detail::first_bad_layer(model, td::Tensor({{0.f, -2.f}}), true),
            "layer sequential/sequential/log (Log) gave 1 NaN and 1 infinite of 2 values");
  EXPECT_EQ(nn::detail::first_bad_layer(model, td::Tensor({{0.f, std::nanf("")}}), true),
            "the input has 1 NaN of 2 values");
  model.variables()[0].assign(td::full({2, 2}, INFINITY));
  EXPECT_EQ(nn::detail::first_bad_layer(model, td::Tensor({{1.f, 2.f}}), true),
            "parameter sequential/dense/kernel has 4 infinite of 4 values");
}

TEST(Models, FitNamesTheLayerOfALossThatIsNotFinite) {
  struct Log : nn::Module {
    td::Tensor operator()(const td::Tensor& x) const { return td::log(x); }
  };
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::Sequential model({nn::Input({2}), nn::Layer(Log()), nn::Dense(1)});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.1), .loss = "mse"});
    const Tensors before = model.get_weights();
    EXPECT_ERROR(
        model.fit(td::zeros({2, 2}) - 1.f, td::zeros({2, 1}), {.verbose = 0}),
        "fit: the loss is nan at batch 0 of epoch 0: layer sequential/log (Log) gave 4 NaN of 4 values "
        "(behaviours_models_test.cpp:LINE)");
    for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(same_bits(model.get_weights()[i], before[i]));
    model.fit(td::ones({2, 2}), td::zeros({2, 1}), {.verbose = 0});  // and training may go on
  }
}
