// Dense, Embedding, activations, merging, and layers that only rearrange; masks.

#include "tests/layers.h"

namespace td = tandem;
namespace nn = td::nn;
using namespace tandem::testing;

namespace {

using Numbers = std::vector<double>;
using Shape = td::Shape;

td::Tensor words(const Shape& shape) {
  return td::mod(td::reshape(td::arange(shape.element_count(), td::int32), shape), 5);
}

const LayerRow rows[] = {
    {"Dense", [] { return nn::Dense(3, "tanh"); }, {2, 4}, {2, 3}, 15},
    {"Dense of steps", [] { return nn::Dense(3, {}, {.use_bias = false}); }, {2, 2, 4}, {2, 2, 3}, 12},
    {"Embedding", [] { return nn::Embedding(5, 3); }, {2, 4}, {2, 4, 3}, 15, false, false, words},
    {"Masking", [] { return nn::Masking(); }, {2, 3, 2}, {2, 3, 2}},
    {"Flatten", [] { return nn::Flatten(); }, {2, 3, 2}, {2, 6}},
    {"Flatten first", [] { return nn::Flatten({.data_format = "channels_first"}); }, {2, 3, 2}, {2, 6}},
    {"Reshape",
     [] {
       return nn::Reshape({2, -1});
     },
     {3, 2, 4},
     {3, 2, 4}},
    {"Permute",
     [] {
       return nn::Permute({3, 1, 2});
     },
     {2, 2, 3, 4},
     {2, 4, 2, 3}},
    {"RepeatVector", [] { return nn::RepeatVector(3); }, {2, 4}, {2, 3, 4}},
    {"Identity", [] { return nn::Identity(); }, {2, 4}, {2, 4}},
    {"ActivityRegularization", [] { return nn::ActivityRegularization({.l1 = 0.1}); }, {2, 4}, {2, 4}},
    {"Lambda", [] { return nn::Lambda([](const td::Tensor& x) { return td::square(x); }); }, {2, 4}, {2, 4}},
    {"Activation", [] { return nn::Activation("softplus"); }, {2, 4}, {2, 4}},
    {"Softmax", [] { return nn::Softmax(); }, {2, 4}, {2, 4}},
    {"Softmax axes",
     [] {
       return nn::Softmax({.axis = {1, 2}});
     },
     {2, 3, 2},
     {2, 3, 2}},
    {"ReLU",
     [] { return nn::ReLU({.max_value = 0.8, .negative_slope = 0.1, .threshold = 0.05}); },
     {2, 4},
     {2, 4}},
    {"LeakyReLU", [] { return nn::LeakyReLU(); }, {2, 4}, {2, 4}},
    {"PReLU",
     [] { return nn::PReLU({.alpha_initializer = "ones", .shared_axes = {1}}); },
     {2, 3, 4},
     {2, 3, 4},
     4},
    {"ELU", [] { return nn::ELU({.alpha = 0.5}); }, {2, 4}, {2, 4}},
};

td::Tensor doubles(Numbers values, const Shape& shape) { return td::from_vector(std::move(values), shape); }

void expect_near(const td::Tensor& found, const Numbers& wanted, double tolerance = 1e-12) {
  const Numbers values = td::cast(found, td::float64).to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], tolerance) << "at " << i;
}

}  // namespace

TEST(CoreLayers, HoldWhatEveryLayerDoes) {
  for (const LayerRow& row : rows) check_layer(row);
}

TEST(CoreLayers, ActivationsHaveKerassNumbers) {
  const struct {
    const char* name;
    Numbers wanted;
  } known[] = {
      {"linear", {-2, -0.5, 0.25, 3}},
      {"relu", {0, 0, 0.25, 3}},
      {"relu6", {0, 0, 0.25, 3}},
      {"leaky_relu", {-0.4, -0.1, 0.25, 3}},
      {"elu", {std::expm1(-2), std::expm1(-0.5), 0.25, 3}},
      {"celu", {std::expm1(-2), std::expm1(-0.5), 0.25, 3}},
      {"hard_sigmoid", {1. / 6, 5. / 12, 13. / 24, 1}},
      {"hard_tanh", {-1, -0.5, 0.25, 1}},
      {"hard_shrink", {-2, 0, 0, 3}},
      {"soft_shrink", {-1.5, 0, 0, 2.5}},
      {"tanh_shrink", {-2 - std::tanh(-2), -0.5 - std::tanh(-0.5), 0.25 - std::tanh(0.25), 3 - std::tanh(3)}},
      {"sparse_plus", {0, 0.0625, 0.390625, 3}},
      {"sparse_sigmoid", {0, 0.25, 0.625, 1}},
      {"squareplus",
       {(-2 + std::sqrt(8)) / 2, (-0.5 + std::sqrt(4.25)) / 2, (0.25 + std::sqrt(4.0625)) / 2,
        (3 + std::sqrt(13)) / 2}},
      {"log_sigmoid",
       {-std::log1p(std::exp(2)), -std::log1p(std::exp(0.5)), -std::log1p(std::exp(-0.25)),
        -std::log1p(std::exp(-3))}},
      {"glu", {-2 / (1 + std::exp(-0.25)), -0.5 / (1 + std::exp(-3))}},
      {"sparsemax", {0, 0, 0, 1}},
      {"exponential", {std::exp(-2), std::exp(-0.5), std::exp(0.25), std::exp(3)}},
  };
  const td::Tensor x = doubles({-2, -0.5, 0.25, 3}, {1, 4});
  for (const auto& row : known) {
    SCOPED_TRACE(row.name);
    expect_near(nn::Activation(row.name)(x), row.wanted, 1e-6);
  }
  expect_near(nn::Activation("sparsemax")(doubles({0.5, 0.25, -1}, {1, 3})), {0.625, 0.375, 0});
  expect_near(nn::ReLU({.max_value = 2, .negative_slope = 0.5, .threshold = 1})(x), {-1.5, -0.75, -0.375, 2});
  expect_near(nn::LeakyReLU()(x), {-0.6, -0.15, 0.25, 3}, 1e-6);
}

TEST(CoreLayers, EmbeddingsGatherAndTrain) {
  const nn::Embedding embedding(4, 2, {.embeddings_initializer = [](const Shape& shape, td::DType) {
                                  return td::reshape(td::arange(0.f, 8.f), shape);
                                }});
  EXPECT_EQ(embedding(td::Tensor({{3, 0}})).to_vector<float>(), (std::vector<float>{6, 7, 0, 1}));
  EXPECT_EQ(embedding.variables()[0].name(), "embedding/embeddings");
  td::GradientTape tape;
  const td::Tensor loss = td::sum(embedding(td::Tensor({{3, 0, 3}})));
  EXPECT_EQ(tape.gradient(loss, embedding.variables()[0]).to_vector<float>(),
            (std::vector<float>{1, 1, 0, 0, 0, 0, 2, 2}));
}

TEST(CoreLayers, MergingMakesOneOfSeveral) {
  const td::Tensor a = doubles({1, 5, 3, 4}, {2, 2}), b = doubles({4, 2, 2, 4}, {2, 2});
  expect_near(nn::Add()({a, b}), {5, 7, 5, 8});
  expect_near(nn::Subtract()({a, b}), {-3, 3, 1, 0});
  expect_near(nn::Multiply()({a, b}), {4, 10, 6, 16});
  expect_near(nn::Average()({a, b, a}), {2, 4, 8. / 3, 4});
  expect_near(nn::Maximum()({a, b}), {4, 5, 3, 4});
  expect_near(nn::Minimum()({a, b}), {1, 2, 2, 4});
  expect_near(nn::Concatenate()({a, b}), {1, 5, 4, 2, 3, 4, 2, 4});
  expect_near(nn::Dot(1)({a, b}), {14, 22});
  expect_near(nn::Dot(-1, {.normalize = true})({a, a}), {1, 1});
  // A vector is added to every step.
  const td::Tensor steps = doubles({0, 0, 1, 1, 2, 2, 3, 3}, {2, 2, 2});
  expect_near(nn::Add()({a, steps}), {1, 5, 2, 6, 5, 6, 6, 7});
  const td::Tensor left = wavy({2, 3, 4}), right = wavy({2, 5, 4}, 1);
  const td::Tensor product = nn::Dot(2)({left, right});
  EXPECT_EQ(product.shape(), (Shape{2, 3, 5}));
  expect_near(product, td::matmul(left, td::transpose(right, {0, 2, 1})).to_vector<double>());
  EXPECT_EQ(nn::Dot({1, 2})({wavy({2, 4, 3}), wavy({2, 5, 4})}).shape(), (Shape{2, 3, 5}));
  EXPECT_EQ(nn::Dot({2, 1})({wavy({2, 3, 4}), wavy({2, 4})}).shape(), (Shape{2, 3}));
  // In a described model too, with an unknown batch.
  const nn::Value p = nn::Input({3, 4}), q = nn::Input({5, 4});
  EXPECT_EQ(nn::Dot(2)({p, q}).shape(), (Shape{-1, 3, 5}));
  EXPECT_EQ(nn::Concatenate({.axis = 1})({p, q}).shape(), (Shape{-1, 8, 4}));
}

TEST(CoreLayers, RefuseWhatDoesNotFit) {
  EXPECT_ERROR(nn::Dense(0),
               "dense: 0 units were asked for; expected at least 1 (layers_core_test.cpp:LINE)");
  EXPECT_ERROR(nn::Reshape({4, 2})(td::zeros({2, 3, 2})),
               "reshape: an example of input shape (2, 3, 2) has 6 elements; target_shape (4, 2) does not "
               "fit (layers_core_test.cpp:LINE)");
  EXPECT_ERROR(nn::Permute({1, 1}), "permute: dims (1, 1) is no order of 1 to 2 (layers_core_test.cpp:LINE)");
  EXPECT_ERROR(nn::Subtract()({td::zeros({1, 2})}),
               "subtract: the layer was called on 1 inputs; expected exactly 2 (layers_core_test.cpp:LINE)");
  EXPECT_ERROR(
      nn::Dot(3)({td::zeros({1, 2}), td::zeros({1, 2})}),
      "dot: axis 3 is out of range for input shape (1, 2); expected 1 to 1 (layers_core_test.cpp:LINE)");
  EXPECT_ERROR(
      nn::Activation("swoosh"),
      "activation: \"swoosh\" is not known; known: linear, relu, relu6, leaky_relu, elu, selu, gelu, "
      "sigmoid, hard_sigmoid, softmax, log_softmax, softplus, softsign, swish, silu, hard_swish, hard_silu, "
      "mish, tanh, celu, glu, hard_shrink, soft_shrink, tanh_shrink, hard_tanh, log_sigmoid, squareplus, "
      "sparse_plus, sparse_sigmoid, sparsemax, exponential (layers_core_test.cpp:LINE)");
}

// ---- masks

TEST(LayerMasks, AreMadePassedAndMerged) {
  const nn::MaskScope masks;
  const td::Tensor ids({{1, 2, 0}, {3, 0, 0}});
  const td::Tensor x = nn::Embedding(4, 2, {.mask_zero = true})(ids);
  const std::vector<bool> wanted{true, true, false, true, false, false};
  const auto expect_mask = [&](const td::Tensor& y) {
    const td::Tensor mask = nn::mask_of(y);
    ASSERT_TRUE(mask.defined());
    const td::Tensor numbers = td::cast(mask, td::int32);
    EXPECT_EQ(numbers.to_vector<int32_t>(), std::vector<int32_t>(wanted.begin(), wanted.end()));
  };
  expect_mask(x);
  for (const nn::Layer& layer :
       std::initializer_list<nn::Layer>{nn::Dense(3), nn::Dropout(0.5), nn::Activation("relu"),
                                        nn::LayerNormalization(), nn::BatchNormalization(), nn::Identity()})
    expect_mask(layer(x));
  expect_mask(nn::Add()({x, x}));
  EXPECT_FALSE(nn::mask_of(nn::Add()({x, td::zeros_like(x)})).defined());
  EXPECT_FALSE(nn::mask_of(nn::Flatten()(x)).defined());
  const td::Tensor steps({{{1.f, 0.f}, {0.f, 2.f}, {0.f, 0.f}}, {{1.f, 1.f}, {0.f, 0.f}, {0.f, 0.f}}});
  expect_mask(nn::Masking()(steps));
  // Only what counts is averaged.
  expect_near(nn::GlobalAveragePooling1D()(nn::Masking()(steps)), {0.5, 1, 1, 1});
}

// ---- the required behaviours; their rows are in docs/behaviours.md

TEST(Behaviour, T_16_masks_flow_from_embeddings_through_layers) {
  const td::Tensor ids({{1, 2, 0, 0}, {3, 0, 0, 0}});
  const auto build = [](bool masks) {
    return nn::Sequential({nn::Embedding(5, 3, {.mask_zero = masks}), nn::Dropout(0.5), nn::Dense(4, "tanh"),
                           nn::LSTM(3, {}, {.return_sequences = true}), nn::LayerNormalization(),
                           nn::GlobalAveragePooling1D()});
  };
  td::random::seed(5);
  const nn::Sequential model = build(true);
  const td::Tensor y = model(ids);
  // An example is as if it ended before its masked places.
  const auto graph = td::function([&](td::Tensor t) { return model(t); });
  EXPECT_TRUE(same_bits(graph(ids), y));
  const td::Tensor alone = model(td::Tensor({{1, 2}}));
  expect_near(y[0], td::cast(alone, td::float64).to_vector<double>(), 1e-6);
  // Without masks they count.
  td::random::seed(5);
  const nn::Sequential plain = build(false);
  EXPECT_FALSE(same_bits(plain(ids), y));
}
