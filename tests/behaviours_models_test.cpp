// What Keras's own tests require of models: T-01 to T-17, in both modes with equal bits.

#include <cmath>
#include <cstring>
#include <sstream>

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;

using Floats = std::vector<float>;
using Tensors = std::vector<td::Tensor>;

namespace {

bool same_bits(const td::Tensor& a, const td::Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  const td::Tensor x = a.contiguous(), y = b.contiguous();
  return std::memcmp(x.data<float>(), y.data<float>(), static_cast<size_t>(x.size()) * 4) == 0;
}

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

}  // namespace

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
  // A class that is called by itself: a new call replaces what the last one added.
  const Penalty alone;
  for (int call = 0; call < 3; ++call) alone(x);
  EXPECT_EQ(alone.losses().size(), 1u);
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
