// Normalization layers, dropout and its kin.

#include "tests/layers.h"

namespace td = tandem;
namespace nn = td::nn;
using namespace tandem::testing;

namespace {

using Numbers = std::vector<double>;

const LayerRow rows[] = {
    {"BatchNormalization", [] { return nn::BatchNormalization(); }, {4, 3}, {4, 3}, 12, true},
    {"BatchNormalization inference", [] { return nn::BatchNormalization(); }, {4, 2, 3}, {4, 2, 3}, 12},
    {"BatchNormalization axis 1",
     [] { return nn::BatchNormalization({.axis = 1, .scale = false}); },
     {3, 2, 4},
     {3, 2, 4},
     6,
     true},
    {"BatchNormalization images",
     [] { return nn::BatchNormalization({.center = false}); },
     {2, 3, 2, 3},
     {2, 3, 2, 3},
     9,
     true},
    {"LayerNormalization", [] { return nn::LayerNormalization(); }, {2, 3, 4}, {2, 3, 4}, 8},
    {"LayerNormalization axes",
     [] {
       return nn::LayerNormalization({.axis = {1, 2}});
     },
     {2, 3, 4},
     {2, 3, 4},
     24},
    {"LayerNormalization axis 1",
     [] { return nn::LayerNormalization({.axis = {1}, .center = false}); },
     {2, 3, 4},
     {2, 3, 4},
     3},
    {"GroupNormalization", [] { return nn::GroupNormalization({.groups = 2}); }, {2, 3, 4}, {2, 3, 4}, 8},
    {"GroupNormalization axis 1",
     [] { return nn::GroupNormalization({.groups = -1, .axis = 1}); },
     {2, 3, 4},
     {2, 3, 4},
     6},
    {"RMSNormalization", [] { return nn::RMSNormalization(); }, {2, 3, 4}, {2, 3, 4}, 4},
    {"RMSNormalization axis 1", [] { return nn::RMSNormalization({.axis = {1}}); }, {2, 3, 4}, {2, 3, 4}, 3},
    {"UnitNormalization", [] { return nn::UnitNormalization(); }, {2, 3}, {2, 3}},
    {"Dropout", [] { return nn::Dropout(0.5); }, {4, 5}, {4, 5}, 0, true},
    {"Dropout with a seed", [] { return nn::Dropout(0.5, {.seed = 3}); }, {4, 5}, {4, 5}, 2, true},
    {"Dropout of rows",
     [] {
       return nn::Dropout(0.5, {.noise_shape = {-1, 1}});
     },
     {4, 5},
     {4, 5},
     0,
     true},
    {"Dropout of everything", [] { return nn::Dropout(1); }, {4, 5}, {4, 5}, 0, true},
    {"SpatialDropout1D", [] { return nn::SpatialDropout1D(0.5); }, {3, 2, 4}, {3, 2, 4}, 0, true},
    {"SpatialDropout2D",
     [] { return nn::SpatialDropout2D(0.5, {.data_format = "channels_first"}); },
     {2, 4, 2, 3},
     {2, 4, 2, 3},
     0,
     true},
    {"SpatialDropout3D", [] { return nn::SpatialDropout3D(0.5); }, {2, 1, 2, 1, 4}, {2, 1, 2, 1, 4}, 0, true},
    {"GaussianDropout", [] { return nn::GaussianDropout(0.3); }, {4, 5}, {4, 5}, 0, true},
    {"GaussianNoise", [] { return nn::GaussianNoise(0.2); }, {4, 5}, {4, 5}, 0, true},
    {"AlphaDropout", [] { return nn::AlphaDropout(0.3); }, {4, 5}, {4, 5}, 0, true},
};

void expect_near(const td::Tensor& found, const Numbers& wanted, double tolerance = 1e-12) {
  const Numbers values = found.to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], tolerance) << "at " << i;
}

double mean_of(const td::Tensor& x) { return td::mean(td::cast(x, td::float64)).item<double>(); }

}  // namespace

TEST(NormalizationLayers, HoldWhatEveryLayerDoes) {
  for (const LayerRow& row : rows) check_layer(row);
}

TEST(NormalizationLayers, GiveKnownNumbers) {
  // Rows (0, 2) and (1, 5): means 1 and 3, variances 1 and 4.
  const td::Tensor x = td::from_vector(Numbers{0, 2, 1, 5}, {2, 2});
  expect_near(nn::LayerNormalization({.epsilon = 0})(x), {-1, 1, -1, 1});
  expect_near(nn::RMSNormalization({.epsilon = 0})(x),
              {0, std::sqrt(2.), 1 / std::sqrt(13.), 5 / std::sqrt(13.)});
  expect_near(nn::UnitNormalization()(x), {0, 1, 1 / std::sqrt(26.), 5 / std::sqrt(26.)});
  // Columns (0, 1) and (2, 5): means 0.5 and 3.5, variances 0.25 and 2.25.
  const nn::BatchNormalization batch({.momentum = 0.9, .epsilon = 0});
  expect_near(batch(x, {.training = true}), {-1, -1, 1, 1});
  expect_near(batch.variables()[2], {0.05, 0.35});
  expect_near(batch.variables()[3], {0.925, 1.125});
  expect_near(batch(x), {-0.05 / std::sqrt(0.925), 1.65 / std::sqrt(1.125), 0.95 / std::sqrt(0.925),
                         4.65 / std::sqrt(1.125)});
  EXPECT_EQ(batch.trainable_variables().size(), 2u);
  EXPECT_EQ(batch.variables()[2].name(), "batch_normalization/moving_mean");
}

TEST(NormalizationLayers, ComputeNarrowStatisticsWidely) {
  const nn::BatchNormalization batch;
  const td::Tensor y = batch(td::ones({2, 3}, td::float16), {.training = true});
  EXPECT_EQ(y.dtype(), td::float16);
  EXPECT_EQ(batch.variables()[0].dtype(), td::float32);
}

TEST(NormalizationLayers, RefuseWhatDoesNotFit) {
  EXPECT_ERROR(nn::BatchNormalization({.axis = 2})(td::zeros({2, 3})),
               "batch_normalization: axis 2 is out of range for input shape (2, 3); expected -2 to 1 "
               "(layers_normalization_test.cpp:LINE)");
  EXPECT_ERROR(nn::GroupNormalization({.groups = 3})(td::zeros({2, 4})),
               "group_normalization: the 4 channels of input shape (2, 4) cannot be cut into 3 groups "
               "(layers_normalization_test.cpp:LINE)");
  EXPECT_ERROR(nn::Dropout(1.5),
               "dropout: rate is 1.5; expected 0 to 1 (layers_normalization_test.cpp:LINE)");
  EXPECT_ERROR(
      nn::GaussianDropout(1),
      "gaussian_dropout: rate is 1; expected at least 0 and below 1 (layers_normalization_test.cpp:LINE)");
}

// ---- the required behaviours; their rows are in docs/behaviours.md

TEST(Behaviour, T_13_batch_normalization_in_training_has_mean_0_and_deviation_1) {
  const td::Tensor x = wavy({64, 3}, 0.1, td::float32) * 3 + 5;
  const nn::BatchNormalization eager, other;
  const auto step = td::function([&](td::Tensor batch) { return other(batch, {.training = true}); });
  const td::Tensor y = eager(x, {.training = true});
  EXPECT_TRUE(same_bits(y, step(x)));
  for (float m : td::mean(y, {0}).to_vector<float>()) EXPECT_NEAR(m, 0, 1e-5);
  for (float s : td::standard_deviation(y, {0}, false, 0).to_vector<float>()) EXPECT_NEAR(s, 1, 1e-3);
  // Moving values are momentum * old + (1 - momentum) * batch.
  const td::Tensor mean = td::mean(x, {0});
  const std::vector<float> moving = eager.variables()[2].value().to_vector<float>(),
                           batch = mean.to_vector<float>();
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(moving[i], 0.01f * batch[i], 1e-6);
  for (size_t i = 2; i < 4; ++i) EXPECT_TRUE(same_bits(eager.variables()[i], other.variables()[i]));
}

TEST(Behaviour, T_13_frozen_or_masked_batch_normalization) {
  const td::Tensor x = wavy({4, 2, 3}, 0.1, td::float32) * 3 + 5;
  const nn::BatchNormalization frozen;
  const td::Tensor inference = frozen(x);
  frozen.set_trainable(false);
  EXPECT_TRUE(same_bits(frozen(x, {.training = true}), inference));
  EXPECT_TRUE(same_bits(frozen.variables()[2], td::zeros({3})));
  // What is masked changes neither statistics nor moving values.
  const td::Tensor mask({{1, 0}, {1, 1}, {0, 1}, {1, 0}}, td::boolean);
  const td::Tensor spoilt = td::where(td::unsqueeze(mask, {-1}), x, 1000.f);
  const nn::BatchNormalization one, other;
  const td::Tensor y = one(x, {.training = true, .mask = mask});
  const td::Tensor z = other(spoilt, {.training = true, .mask = mask});
  for (size_t i = 2; i < 4; ++i) EXPECT_TRUE(same_bits(one.variables()[i], other.variables()[i]));
  const td::Tensor counting = td::boolean_mask(y, mask);
  EXPECT_TRUE(same_bits(counting, td::boolean_mask(z, mask)));
  for (float m : td::mean(counting, {0}).to_vector<float>()) EXPECT_NEAR(m, 0, 1e-5);
  // Nothing counts: numbers all the same, and the moving values stay.
  const td::Tensor before = one.variables()[3];
  const td::Tensor none = one(x, {.training = true, .mask = td::cast(td::zeros({4, 2}), td::boolean)});
  EXPECT_FALSE(td::reduce_any(td::is_nan(none)).item<bool>());
  EXPECT_TRUE(same_bits(one.variables()[3], before));
}

TEST(Behaviour, T_14_dropout_keeps_the_mean_and_draws_once_a_call) {
  const td::Tensor x = td::ones({40, 50});
  const nn::Dropout dropout(0.5);
  EXPECT_TRUE(same_bits(dropout(x), x));
  td::random::seed(1);
  const td::Tensor before = td::random::generator().value();
  const td::Tensor y = dropout(x, {.training = true});
  const td::Tensor after = td::random::generator().value();
  for (float v : y.to_vector<float>()) EXPECT_TRUE(v == 0 || v == 2) << v;
  EXPECT_NEAR(mean_of(y), 1, 0.1);
  EXPECT_FALSE(same_bits(before, after));
  // In a graph the same draw gives the same bits and leaves the same state.
  td::random::seed(1);
  const auto graph = td::function([&](td::Tensor t) { return dropout(t, {.training = true}); });
  EXPECT_TRUE(same_bits(graph(x), y));
  EXPECT_TRUE(same_bits(td::random::generator().value(), after));
  // The next call draws the next numbers.
  EXPECT_FALSE(same_bits(graph(x), y));
  // A layer with a seed has a state of its own.
  const nn::Dropout own(0.5, {.seed = 3}), twin(0.5, {.seed = 3});
  const td::Tensor first = own(x, {.training = true}), second = own(x, {.training = true});
  EXPECT_FALSE(same_bits(first, second));
  EXPECT_TRUE(same_bits(first, twin(x, {.training = true})));
  EXPECT_EQ(own.variables()[0].name(), "dropout/seed_state");
  EXPECT_TRUE(own.trainable_variables().empty());
  // The mask broadcasts.
  const std::vector<float> rows =
      nn::Dropout(0.5, {.noise_shape = {-1, 1}})(x, {.training = true}).to_vector<float>();
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], rows[i / 50 * 50]);
  EXPECT_ERROR(nn::Dropout(-0.1),
               "dropout: rate is -0.1; expected 0 to 1 (layers_normalization_test.cpp:LINE)");
}
