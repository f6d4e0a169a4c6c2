// Losses: their numbers, reductions, weights, masks, gradients, errors.

#include "tandem/nn/losses.h"

#include <cmath>

#include "tandem/function.h"
#include "tandem/gradient_check.h"
#include "tandem/ops.h"
#include "tests/lines.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using Doubles = std::vector<double>;
using Floats = std::vector<float>;

namespace {

double number(const td::Tensor& t) { return td::cast(t, td::float64).item<double>(); }

void expect_near(const td::Tensor& t, const Doubles& expected, double tolerance = 1e-6) {
  const Doubles seen = td::cast(t, td::float64).to_vector<double>();
  ASSERT_EQ(seen.size(), expected.size());
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], expected[i], tolerance) << i;
}

td::Tensor matrix(std::initializer_list<std::initializer_list<double>> rows) {
  return td::Tensor(rows, td::float64);
}

const td::Tensor flags = matrix({{0, 1}, {0, 0}}), guesses = matrix({{0.6, 0.4}, {0.4, 0.6}});
const td::Tensor flag_logits = matrix({{-18.6, 0.51}, {2.94, -12.8}});
const td::Tensor one_hot = matrix({{0, 1, 0}, {0, 0, 1}}),
                 shares = matrix({{0.05, 0.95, 0}, {0.1, 0.8, 0.1}});

}  // namespace

// The numbers are those of Keras's documentation, or worked out beside them.

TEST(Losses, BinaryCrossentropy) {
  EXPECT_NEAR(number(nn::BinaryCrossentropy()(guesses, flags)), 0.8150, 1e-4);
  expect_near(nn::binary_crossentropy(guesses, flags), {0.9163, 0.7136}, 1e-4);
  const nn::BinaryCrossentropy logits({.from_logits = true});
  EXPECT_NEAR(number(logits(flag_logits, flags)), 0.865458, 1e-6);
  EXPECT_NEAR(number(logits(flag_logits, flags, td::Tensor({0.8, 0.2}))), 0.2436, 1e-4);
  expect_near(
      nn::BinaryCrossentropy({.from_logits = true, .reduction = nn::Reduction::none})(flag_logits, flags),
      {0.235, 1.496}, 5e-4);
  // Logits beyond what exp holds; smoothing takes 1 to 0.9 and 0 to 0.1.
  EXPECT_EQ(number(logits(matrix({{1000, -1000}}), matrix({{1, 0}}))), 0);
  EXPECT_EQ(number(logits(matrix({{1000, -1000}}), matrix({{0, 1}}))), 1000);
  const auto entropy = [](double p, double t) { return -(t * std::log(p) + (1 - t) * std::log(1 - p)); };
  expect_near(nn::binary_crossentropy(guesses, flags, false, 0.2),
              {(entropy(0.6, 0.1) + entropy(0.4, 0.9)) / 2, (entropy(0.4, 0.1) + entropy(0.6, 0.1)) / 2});
  // Certain and wrong: the limit is 1e-7.
  EXPECT_NEAR(number(nn::binary_crossentropy(matrix({{0}}), matrix({{1}}))), -std::log(1e-7), 1e-9);
  EXPECT_ERROR(nn::BinaryCrossentropy({.label_smoothing = 1.5}),
               "BinaryCrossentropy: the label smoothing is 1.5; expected 0 to 1 (losses_test.cpp:LINE)");
}

TEST(Losses, CategoricalCrossentropies) {
  const nn::CategoricalCrossentropy loss;
  EXPECT_NEAR(number(loss(shares, one_hot)), 1.1769, 1e-4);
  EXPECT_NEAR(number(loss(shares, one_hot, td::Tensor({0.3, 0.7}))), 0.8136, 1e-4);
  EXPECT_NEAR(number(nn::CategoricalCrossentropy({.reduction = nn::Reduction::sum})(shares, one_hot)), 2.3539,
              1e-4);
  // Probabilities are made to add up to 1.
  expect_near(nn::categorical_crossentropy(shares * 3, one_hot), {-std::log(0.95), -std::log(0.1)});
  const td::Tensor logits = matrix({{2, -1, 0.5}, {0, 3, 1}}), probabilities = td::softmax(logits);
  expect_near(nn::categorical_crossentropy(logits, one_hot, true),
              nn::categorical_crossentropy(probabilities, one_hot).to_vector<double>());
  const auto p = probabilities.to_vector<double>();
  expect_near(nn::categorical_crossentropy(logits, one_hot, true, 0.3),
              {-0.1 * std::log(p[0]) - 0.8 * std::log(p[1]) - 0.1 * std::log(p[2]),
               -0.1 * std::log(p[3]) - 0.1 * std::log(p[4]) - 0.8 * std::log(p[5])});
  expect_near(nn::categorical_crossentropy(td::transpose(logits), td::transpose(one_hot), true, 0.3, 0),
              nn::categorical_crossentropy(logits, one_hot, true, 0.3).to_vector<double>());

  const td::Tensor labels = {1, 2};
  expect_near(nn::sparse_categorical_crossentropy(shares, labels), {0.0513, 2.3026}, 1e-4);
  expect_near(nn::sparse_categorical_crossentropy(shares, td::unsqueeze(labels, {-1})), {0.0513, 2.3026},
              1e-4);
  expect_near(nn::sparse_categorical_crossentropy(logits, labels, true), {-std::log(p[1]), -std::log(p[5])});
  expect_near(nn::sparse_categorical_crossentropy(td::transpose(logits), labels, true, {}, 0),
              {-std::log(p[1]), -std::log(p[5])});
  EXPECT_EQ(nn::sparse_categorical_crossentropy(logits, labels, true).to_vector<double>(),
            td::sparse_softmax_cross_entropy(logits, labels).to_vector<double>());
}

TEST(Losses, IgnoredClassesCountForNothing) {
  const td::Tensor logits = matrix({{2, -1, 0.5}, {0, 3, 1}, {9, 9, 0}}), labels = {1, -1, 0};
  for (const bool from_logits : {false, true}) {
    const td::Tensor predictions = from_logits ? logits : td::softmax(logits);
    const nn::SparseCategoricalCrossentropy loss({.from_logits = from_logits, .ignore_class = -1});
    const Doubles each = loss.values(predictions, labels).to_vector<double>();
    EXPECT_EQ(each[1], 0);
    EXPECT_NEAR(number(loss(predictions, labels)), (each[0] + each[2]) / 2, 1e-12);
    EXPECT_NEAR(number(loss(predictions, labels, {}, td::Tensor({false, true, true}))), each[2], 1e-12);
  }
}

TEST(Losses, FocalCrossentropies) {
  const auto term = [](double p, double t) {
    const double right = t * p + (1 - t) * (1 - p);
    return std::pow(1 - right, 2) * -(t * std::log(p) + (1 - t) * std::log(1 - p));
  };
  expect_near(nn::BinaryFocalCrossentropy({.reduction = nn::Reduction::none})(guesses, flags),
              {(term(0.6, 0) + term(0.4, 1)) / 2, (term(0.4, 0) + term(0.6, 0)) / 2});
  expect_near(nn::binary_focal_crossentropy(guesses, flags, true, 0.3),
              {(0.7 * term(0.6, 0) + 0.3 * term(0.4, 1)) / 2, (0.7 * term(0.4, 0) + 0.7 * term(0.6, 0)) / 2});
  EXPECT_NEAR(number(nn::BinaryFocalCrossentropy({.from_logits = true})(flag_logits, flags)), 0.691, 5e-4);
  EXPECT_NEAR(number(nn::BinaryFocalCrossentropy({.apply_class_balancing = true, .from_logits = true})(
                  flag_logits, flags)),
              0.51, 5e-3);
  expect_near(nn::CategoricalFocalCrossentropy({.reduction = nn::Reduction::none})(shares, one_hot),
              {0.25 * 0.05 * 0.05 * -std::log(0.95), 0.25 * 0.9 * 0.9 * -std::log(0.1)});
  expect_near(nn::categorical_focal_crossentropy(matrix({{1, 2}}), matrix({{1, 0}}), 0.5, 1, true),
              {0.5 * (1 - 1 / (1 + std::exp(1))) * std::log(1 + std::exp(1))});
}

TEST(Losses, ErrorsOfNumbers) {
  const td::Tensor p = matrix({{1, 1}, {1, 0}}), t = matrix({{0, 1}, {0, 0}});
  EXPECT_EQ(number(nn::MeanSquaredError()(p, t)), 0.5);
  EXPECT_EQ(number(nn::MeanAbsoluteError()(p, t)), 0.5);
  EXPECT_NEAR(number(nn::MeanAbsolutePercentageError()(p, matrix({{2, 1}, {2, 3}}))), 50, 1e-9);
  EXPECT_NEAR(number(nn::MeanSquaredLogarithmicError()(p, t)), 0.240, 5e-4);
  EXPECT_NEAR(number(nn::Huber()(guesses, flags)), 0.155, 1e-9);
  EXPECT_NEAR(number(nn::Huber({.delta = 0.25})(matrix({{3}}), matrix({{1}}))), 0.25 * 2 - 0.5 * 0.0625,
              1e-9);
  EXPECT_NEAR(number(nn::LogCosh()(matrix({{1, 1}, {0, 0}}), t)), 0.108, 5e-4);
  EXPECT_NEAR(number(nn::LogCosh()(matrix({{-400}}), matrix({{400}}))), 800 - std::log(2), 1e-9);
  EXPECT_NEAR(number(nn::Poisson()(matrix({{1, 1}, {0, 0}}), t)), 0.5, 1e-6);
  EXPECT_NEAR(number(nn::KLDivergence()(guesses, flags)), 0.458, 5e-4);
  expect_near(nn::cosine_similarity(matrix({{1, 0}, {1, 1}}), matrix({{0, 1}, {1, 1}})), {0, -1});
  EXPECT_EQ(number(nn::CosineSimilarity()(matrix({{0, 0}}), matrix({{1, 1}}))), 0);
  EXPECT_NEAR(number(nn::Hinge()(guesses, flags)), 1.3, 1e-9);
  EXPECT_NEAR(number(nn::SquaredHinge()(guesses, flags)), 1.86, 1e-9);
  EXPECT_NEAR(number(nn::Hinge()(guesses, flags * 2 - 1)), 1.3, 1e-9);
  EXPECT_NEAR(number(nn::CategoricalHinge()(guesses, flags)), 1.4, 1e-9);
  EXPECT_ERROR(nn::Huber({.delta = 0}), "Huber: delta is 0; expected more than 0 (losses_test.cpp:LINE)");
}

TEST(Losses, Overlaps) {
  const td::Tensor t = matrix({{1, 1, 0, 0}, {1, 1, 0, 0}}), p = matrix({{0, 1, 0, 1}, {0.4, 0, 0, 0.9}});
  expect_near(nn::Dice({.axes = {{1}}, .reduction = nn::Reduction::none})(p, t), {0.5, 0.75757575});
  expect_near(nn::Tversky({.axes = {{1}}, .reduction = nn::Reduction::none})(p, t), {0.5, 0.75757575});
  expect_near(nn::dice(p, t), {1 - 2 * 1.4 / 7.3});
  expect_near(nn::tversky(p, t, 0.2, 0.8), {1 - 1.4 / (1.4 + 0.2 * 1.9 + 0.8 * 2.6)});
}

// Adds up all the ways in which four frames of three classes spell the labels.
TEST(Losses, ConnectionistTemporalClassification) {
  const td::Tensor logits = td::reshape(td::sin(td::arange(0, 36, 1, td::float64) * 1.7), {3, 4, 3});
  const td::Tensor labels = {{1, 2}, {2, 2}, {1, 0}};
  const std::vector<std::vector<int>> spelled = {{1, 2}, {2, 2}, {1}};
  const Doubles p = td::softmax(logits).to_vector<double>();
  Doubles expected;
  for (size_t example = 0; example < 3; ++example) {
    double total = 0;
    for (int code = 0; code < 81; ++code) {
      double probability = 1;
      std::vector<int> text;
      int before = -1;
      for (int frame = 0, rest = code; frame < 4; ++frame, rest /= 3) {
        const int chosen = rest % 3;
        probability *= p[(example * 4 + static_cast<size_t>(frame)) * 3 + static_cast<size_t>(chosen)];
        if (chosen != before && chosen != 0) text.push_back(chosen);
        before = chosen;
      }
      if (text == spelled[example]) total += probability;
    }
    expected.push_back(-std::log(total));
  }
  const nn::CTC loss({.reduction = nn::Reduction::none});
  expect_near(loss(logits, labels), expected, 1e-12);
  const auto graph = td::function([&](const td::Tensor& x, const td::Tensor& y) { return loss(x, y); });
  EXPECT_EQ(graph(logits, labels).to_vector<double>(), loss(logits, labels).to_vector<double>());
  EXPECT_EQ(td::testing::lines_of_the_library(graph), "");
  const auto mean = [&](const std::vector<td::Tensor>& x) { return nn::CTC()(x[0], labels); };
  EXPECT_LT(td::check_gradients(mean, {logits}).largest_error, 1e-6);
  // Blanks alone; one frame; too few frames for a repeated label.
  expect_near(nn::ctc(td::zeros({1, 3, 2}, td::float64), td::Tensor({{0}})), {3 * std::log(2)});
  expect_near(nn::ctc(td::zeros({1, 1, 2}, td::float64), td::Tensor({{1}})), {std::log(2)});
  EXPECT_GT(number(nn::ctc(td::zeros({1, 2, 2}), td::Tensor({{1, 1}}))), 1e29);
  EXPECT_ERROR(loss(logits, td::Tensor({1, 2, 1})),
               "ctc: labels of shape (3,) do not fit logits of shape (3, 4, 3); expected (batch, length) "
               "(losses_test.cpp:LINE)");
}

namespace {

const char* const names[] = {"categorical_crossentropy",
                             "binary_crossentropy",
                             "crossentropy",
                             "binary_focal_crossentropy",
                             "categorical_focal_crossentropy",
                             "mean_squared_error",
                             "mean_absolute_error",
                             "mean_absolute_percentage_error",
                             "mean_squared_logarithmic_error",
                             "huber",
                             "log_cosh",
                             "poisson",
                             "kl_divergence",
                             "cosine_similarity",
                             "hinge",
                             "squared_hinge",
                             "categorical_hinge",
                             "dice",
                             "tversky"};

}  // namespace

TEST(Losses, GradientsAgreeWithDifferencesInBothModes) {
  const td::Tensor p = matrix({{0.3, 0.45, 0.25}, {0.8, 0.15, 0.05}}), t = matrix({{0, 1, 0}, {1, 0, 0}});
  for (const char* name : names) {
    const nn::Loss loss = name;
    const auto f = [&](const std::vector<td::Tensor>& x) { return loss(x[0], t); };
    EXPECT_LT(td::check_gradients(f, {p}).largest_error, 1e-4) << name;
    const auto graph = td::function([&](const td::Tensor& x) { return loss(x, t); });
    const td::Tensor eager = loss(p, t), traced = graph(p);
    EXPECT_TRUE(td::testing::same_bits(eager, traced)) << name;
    EXPECT_EQ(td::testing::lines_of_the_library(graph), "") << name;
  }
  const td::Tensor labels = {1, 0};
  for (const bool from_logits : {false, true}) {
    const nn::SparseCategoricalCrossentropy loss({.from_logits = from_logits});
    const auto f = [&](const std::vector<td::Tensor>& x) { return loss(x[0], labels); };
    EXPECT_LT(td::check_gradients(f, {p}).largest_error, 1e-6);
  }
}

TEST(Losses, ByName) {
  const td::Tensor predictions = {{1.f, 2.f}, {3.f, 5.f}}, targets = {{0.f, 0.f}, {3.f, 3.f}};
  for (const char* name : {"mse", "MSE", "mean_squared_error", "MeanSquaredError"}) {
    const nn::Loss named = name;
    EXPECT_EQ(named.name(), name);
    EXPECT_EQ(named.values(predictions, targets).to_vector<float>(), (Floats{2.5f, 2}));
    EXPECT_EQ(named(predictions, targets).item<float>(), 2.25f);
  }
  EXPECT_EQ(nn::MeanSquaredError().name(), "mean_squared_error");
  const nn::Loss own([](const td::Tensor& p, const td::Tensor& t) { return td::amax(td::abs(p - t), {-1}); },
                     {.reduction = nn::Reduction::sum, .name = "worst"});
  EXPECT_EQ(own.name(), "worst");
  EXPECT_EQ(own(predictions, targets).item<float>(), 4);
  EXPECT_ERROR(nn::Loss("nothing"),
               "loss: \"nothing\" is not known; known: sparse_categorical_crossentropy, "
               "sparse_softmax_cross_entropy, categorical_crossentropy, binary_crossentropy (bce), "
               "crossentropy (ce), binary_focal_crossentropy, categorical_focal_crossentropy, "
               "mean_squared_error (mse), mean_absolute_error (mae), mean_absolute_percentage_error (mape), "
               "mean_squared_logarithmic_error (msle), huber, log_cosh (logcosh), poisson, kl_divergence "
               "(kld), cosine_similarity, hinge, squared_hinge, categorical_hinge, dice, ctc, tversky "
               "(losses_test.cpp:LINE)");
}

TEST(Losses, MasksAndWeights) {
  const td::Tensor predictions = {{{1.f}, {2.f}}, {{3.f}, {4.f}}}, targets = td::zeros({2, 2, 1});
  const nn::Loss loss = "mae";
  const td::Tensor mask = td::Tensor({{1, 0}, {1, 1}}) != 0;
  for (const bool graph : {false, true}) {
    auto call = [&](const td::Tensor& weights, const td::Tensor& counting) {
      auto f = [&](const td::Tensor& p) { return loss(p, targets, weights, counting); };
      return (graph ? td::function(f)(predictions) : f(predictions)).item<float>();
    };
    EXPECT_EQ(call({}, mask), 8 / 3.f);
    EXPECT_EQ(call({}, td::zeros({2, 2})), 0);
    EXPECT_EQ(call(td::Tensor({2.f, 0.f}), {}), 1.5f);  // one weight an example
    EXPECT_EQ(call(td::Tensor({2.f, 0.f}), mask), 2 / 3.f);
    EXPECT_EQ(call(td::Tensor({{2.f}, {1.f}}), {}), 13 / 4.f);
    EXPECT_EQ(call(td::zeros({2}), {}), 0);
  }
  EXPECT_ERROR(loss(predictions, targets, td::ones({3})),
               "mae: weights of shape (3,) do not fit values of shape (2, 2); expected it, or its first "
               "dimensions (losses_test.cpp:LINE)");
}

TEST(Losses, NarrowPredictionsAreComputedInFloat32) {
  const td::Tensor p = td::Tensor({{300.f}}, td::float16);
  const td::Tensor loss = nn::MeanSquaredError()(p, td::Tensor({{0.f}}));
  EXPECT_EQ(loss.dtype(), td::float32);
  EXPECT_EQ(loss.item<float>(), 90000);
}

TEST(Losses, WrongLabelsAreNamed) {
  const td::Tensor p = td::softmax(td::ones({2, 3}));
  for (const char* name : {"sparse_categorical_crossentropy", "sparse_softmax_cross_entropy"}) {
    const nn::Loss loss = name;
    const auto graph = td::function([&](const td::Tensor& x, const td::Tensor& y) { return loss(x, y); });
    for (const int wrong : {3, -1}) {
      const td::Tensor labels = {0, wrong};
      const std::string message = "class_labels: label " + std::to_string(wrong) +
                                  " at position 1 is out of range for 3 classes; expected 0 to 2 "
                                  "(losses_test.cpp:";
      EXPECT_EQ(td::testing::message_of([&] { loss(p, labels); }).substr(0, message.size()), message);
      EXPECT_EQ(td::testing::message_of([&] { graph(p, labels); }).substr(0, message.size()), message);
    }
    EXPECT_ERROR(loss(p, td::Tensor({0, 1, 2})),
                 std::string(name) +
                     ": labels of shape (3,) do not fit predictions of shape (2, 3); expected (2,) "
                     "(losses_test.cpp:LINE)");
    EXPECT_ERROR(loss(p, td::Tensor({0.f, 1.f})),
                 std::string(name) +
                     ": labels of dtype float32 are not class numbers; expected an integer dtype "
                     "(losses_test.cpp:LINE)");
  }
  EXPECT_ERROR(nn::Loss("mse")(td::ones({2, 3}), td::ones({2, 2})),
               "mean_squared_error: predictions of shape (2, 3) and targets of shape (2, 2) differ "
               "(losses_test.cpp:LINE)");
}
