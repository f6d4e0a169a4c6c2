// Ops by value, where ONNX or IEEE 754 have something to say that samples don't show; and their errors.

#include <cmath>
#include <limits>

#include "tandem/tandem.h"
#include "tandem/tape.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using Floats = std::vector<float>;
using Longs = std::vector<int64_t>;
using Ints = std::vector<int32_t>;
using Bools = std::vector<bool>;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

Bools bools(const td::Tensor& t) {
  const std::vector<uint8_t> v = td::cast(t, td::uint8).to_vector<uint8_t>();
  return {v.begin(), v.end()};
}

}  // namespace

TEST(Ops, RoundsHalvesToEven) {
  const td::Tensor x = {-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f};
  EXPECT_EQ(td::round(x).to_vector<float>(), (Floats{-2, -2, 0, 0, 2, 2}));
  EXPECT_EQ(td::sign(td::Tensor({-3.f, 0.f, 7.f})).to_vector<float>(), (Floats{-1, 0, 1}));
  EXPECT_TRUE(std::isnan(td::sign(td::Tensor(nan_value)).item<float>()));
}

TEST(Ops, SmallArgumentsKeepTheirDigits) {
  EXPECT_EQ(td::expm1(td::Tensor(1e-10f)).item<float>(), 1e-10f);
  EXPECT_EQ(td::log1p(td::Tensor(1e-10f)).item<float>(), 1e-10f);
  EXPECT_EQ(td::softplus(td::Tensor(-30.f)).item<float>(), std::exp(-30.f));
  EXPECT_EQ(td::log_softmax(td::Tensor({0.f, 200.f})).to_vector<float>(), (Floats{-200, 0}));
}

TEST(Ops, RemaindersFollowTheDivisorOrTheDividend) {
  const td::Tensor a = {7, -7, 7, -7}, b = {3, 3, -3, -3};
  EXPECT_EQ(td::mod(a, b).to_vector<int32_t>(), (Ints{1, 2, -2, -1}));
  EXPECT_EQ(td::fmod(a, b).to_vector<int32_t>(), (Ints{1, -1, 1, -1}));
  EXPECT_EQ(td::floor_mod(td::Tensor({7.5f, -7.5f}), 2).to_vector<float>(), (Floats{1.5f, 0.5f}));
  EXPECT_ERROR(
      td::mod(td::Tensor({1.f}), 2),
      "mod: dtype float32 needs fmod = true, the remainder with the dividend's sign; for the divisor's "
      "sign there is td::floor_mod (ops_test.cpp:LINE)");
}

TEST(Ops, ComparisonsAndLogicReadAsInNumPy) {
  const td::Tensor x = {-1.f, 0.f, 1.f, nan_value};
  EXPECT_EQ(bools(x > 0), (Bools{false, false, true, false}));
  EXPECT_EQ(bools(x <= 0), (Bools{true, true, false, false}));
  EXPECT_EQ(bools(x == x), (Bools{true, true, true, false}));
  EXPECT_EQ(bools(x != x), (Bools{false, false, false, true}));
  EXPECT_EQ(bools((x >= 0) & ~(x == 0)), (Bools{false, false, true, false}));
  EXPECT_EQ(bools((x < 0) | (x > 0)), (Bools{true, false, true, false}));
  EXPECT_EQ(bools((x < 0) ^ true), (Bools{false, true, true, true}));
  const td::Tensor bits = {12, 10};
  EXPECT_EQ((bits & 6).to_vector<int32_t>(), (Ints{4, 2}));
  EXPECT_EQ((bits | 1).to_vector<int32_t>(), (Ints{13, 11}));
  EXPECT_EQ((~bits).to_vector<int32_t>(), (Ints{-13, -11}));
  EXPECT_EQ(td::bit_shift(td::Tensor({1, 255}, td::uint8), 4, "LEFT").to_vector<uint8_t>(),
            (std::vector<uint8_t>{16, 240}));
  EXPECT_ERROR(
      td::bit_shift(td::Tensor({1}, td::uint8), 4, "UP"),
      "bit_shift: direction \"UP\" is unknown; allowed are \"LEFT\" and \"RIGHT\" (ops_test.cpp:LINE)");
  EXPECT_ERROR(
      x & x,
      "bitwise_and: argument 0 (A) has dtype float32; allowed are uint8, int8, uint16, int16, uint32, "
      "int32, uint64, int64 (ops_test.cpp:LINE)");
}

TEST(Ops, ExtremesAndBounds) {
  const td::Tensor a = {1.f, nan_value, -0.f}, b = {2.f, 1.f, 0.f};
  EXPECT_EQ(td::maximum(a, b).to_vector<float>()[0], 2);
  EXPECT_TRUE(std::isnan(td::maximum(a, b).to_vector<float>()[1]));
  EXPECT_TRUE(std::signbit(td::minimum(a, b).to_vector<float>()[2]));
  EXPECT_EQ(td::minimum({b, b * 2, b - 3}).to_vector<float>(), (Floats{-1, -2, -3}));
  EXPECT_EQ(td::add_n({b, b, b}).to_vector<float>(), (Floats{6, 3, 0}));
  EXPECT_EQ(td::mean_n({b, b * 3}).to_vector<float>(), (Floats{4, 2, 0}));

  const td::Tensor x = {-5.f, 0.5f, 5.f};
  EXPECT_EQ(td::clip(x, -1, 1).to_vector<float>(), (Floats{-1, 0.5f, 1}));
  EXPECT_EQ(td::clip(x, nullptr, 1).to_vector<float>(), (Floats{-5, 0.5f, 1}));
  EXPECT_EQ(td::clip(x, 0).to_vector<float>(), (Floats{0, 0.5f, 5}));
  EXPECT_EQ(td::clip(x, 2, 1).to_vector<float>(), (Floats{1, 1, 1}));  // ONNX: the upper bound wins
  EXPECT_EQ(td::clip(x, td::Tensor({-9.f, 1.f, 0.f}), 4).to_vector<float>(), (Floats{-5, 1, 4}));
}

TEST(Ops, ReductionsOfNothing) {
  const td::Tensor none = td::zeros({0, 2});
  EXPECT_EQ(td::amax(none, 0).to_vector<float>(), (Floats{-infinity, -infinity}));
  EXPECT_EQ(td::amin(none, 0).to_vector<float>(), (Floats{infinity, infinity}));
  EXPECT_EQ(td::prod(none, 0).to_vector<float>(), (Floats{1, 1}));
  EXPECT_EQ(td::reduce_log_sum_exp(none, 0).to_vector<float>(), (Floats{-infinity, -infinity}));
  EXPECT_TRUE(std::isnan(td::mean(none).item<float>()));
  EXPECT_ERROR(
      td::argmax(none, 0),
      "argmax: axis 0 of shape (0, 2) has size 0, so nothing can be found along it (ops_test.cpp:LINE)");
  EXPECT_ERROR(td::sum(none, {0, -2}), "reduce_sum: axis -2 is listed twice (ops_test.cpp:LINE)");
}

TEST(Ops, ReductionsStayInRange) {
  EXPECT_EQ(td::reduce_log_sum_exp(td::Tensor({-infinity, 3.f})).item<float>(), 3);
  EXPECT_EQ(td::reduce_log_sum_exp(td::Tensor({infinity, 3.f})).item<float>(), infinity);
  EXPECT_EQ(td::reduce_log_sum_exp(td::Tensor({1000.f, -1000.f})).item<float>(), 1000);
  EXPECT_EQ(td::mean(td::Tensor({1, 2, 4})).item<int32_t>(), 2);
  const td::Tensor m = {{1.f, 2.f}, {3.f, 6.f}};
  EXPECT_EQ(td::variance(m, 1).to_vector<float>(), (Floats{0.25f, 2.25f}));
  EXPECT_EQ(td::variance(m, 1, false, 1).to_vector<float>(), (Floats{0.5f, 4.5f}));
  EXPECT_EQ(td::standard_deviation(m, 1, true).shape(), (td::Shape{2, 1}));
  EXPECT_EQ(bools(td::reduce_all(m > 1, 0)), (Bools{false, true}));
  EXPECT_EQ(bools(td::reduce_any(m > 3, 1)), (Bools{false, true}));
}

TEST(Ops, PositionsOfExtremes) {
  const td::Tensor x = {{1.f, 4.f, 4.f}, {2.f, nan_value, 0.f}};
  EXPECT_EQ(td::argmax(x, 1).to_vector<int64_t>(), (Longs{1, 1}));
  EXPECT_EQ(td::argmax(x, -1, false, true).to_vector<int64_t>(), (Longs{2, 1}));
  EXPECT_EQ(td::argmin(x, 1).to_vector<int64_t>(), (Longs{0, 1}));
  EXPECT_EQ(td::argmax(x, 0, true).shape(), (td::Shape{1, 3}));
  EXPECT_EQ(td::hardmax(td::Tensor({{3.f, 1.f, 3.f}})).to_vector<float>(), (Floats{1, 0, 0}));
}

TEST(Ops, RunningSumsAndProducts) {
  const td::Tensor x = {1.f, 2.f, 3.f};
  EXPECT_EQ(td::cumsum(x, 0).to_vector<float>(), (Floats{1, 3, 6}));
  EXPECT_EQ(td::cumsum(x, 0, true).to_vector<float>(), (Floats{0, 1, 3}));
  EXPECT_EQ(td::cumsum(x, 0, false, true).to_vector<float>(), (Floats{6, 5, 3}));
  EXPECT_EQ(td::cumprod(x, 0, true, true).to_vector<float>(), (Floats{6, 3, 1}));
  EXPECT_ERROR(td::cumsum(x, 1),
               "cumsum: axis 1 is out of range for rank 1; expected -1 to 0 (ops_test.cpp:LINE)");
}

TEST(Ops, GradientsAtTiesAreShared) {
  const td::Tensor x = {2.f, 2.f, 1.f};
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor largest = td::amax(x), pair = td::maximum(x, 2), bounded = td::clip(x, 2, 3);
  EXPECT_EQ(tape.gradient(largest, x).to_vector<float>(), (Floats{0.5f, 0.5f, 0}));
  EXPECT_EQ(tape.gradient(pair, x).to_vector<float>(), (Floats{0.5f, 0.5f, 0}));
  EXPECT_EQ(tape.gradient(bounded, x).to_vector<float>(), (Floats{1, 1, 0}));
}

TEST(Ops, ActivationsRefuseWhatTheyDoNotKnow) {
  const td::Tensor x = {1.f, 2.f};
  EXPECT_ERROR(
      td::gelu(x, "sigmoid"),
      "gelu: approximation \"sigmoid\" is unknown; allowed are \"none\" and \"tanh\" (ops_test.cpp:LINE)");
  EXPECT_ERROR(
      td::prelu(x, td::Tensor({{1.f}, {2.f}})),
      "prelu: slopes of shape (2, 1) do not broadcast to the input's shape (2,) (ops_test.cpp:LINE)");
}

TEST(Ops, GemmFollowsMatmul) {
  const td::Tensor a = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}}, b = {{1.f, 0.f}, {2.f, -1.f}, {0.5f, 1.f}};
  EXPECT_EQ(td::gemm(a, b).to_vector<float>(), td::matmul(a, b).to_vector<float>());
  EXPECT_EQ(td::gemm(b, a, td::Tensor({2.f, 4.f}), 2, 0.5f, true, true).to_vector<float>(),
            (Floats{14, 36, 3, 4}));
  EXPECT_ERROR(
      td::gemm(a, a),
      "gemm: shapes (2, 3) and (2, 3) do not multiply: inner sizes 3 and 2 differ (ops_test.cpp:LINE)");
  EXPECT_ERROR(td::gemm(a, b, td::Tensor({1.f, 2.f, 3.f})),
               "gemm: C of shape (3,) does not broadcast to the product's shape (2, 2) (ops_test.cpp:LINE)");
}

TEST(Ops, NormalizationOfRows) {
  const td::Tensor x = {{1.f, 3.f}, {-2.f, 2.f}}, scale = {1.f, 2.f}, bias = {0.5f, -0.5f};
  const auto [y, mean, inverse] = td::layer_normalization_statistics(x, scale, bias, -1, 0);
  EXPECT_EQ(y.to_vector<float>(), (Floats{-0.5f, 1.5f, -0.5f, 1.5f}));
  EXPECT_EQ(mean.to_vector<float>(), (Floats{2, 0}));
  EXPECT_EQ(inverse.to_vector<float>(), (Floats{1, 0.5f}));
  EXPECT_EQ(mean.shape(), (td::Shape{2, 1}));
  EXPECT_EQ(td::rms_normalization(td::Tensor({3.f, 4.f, 0.f, 0.f}), 2, -1, 0).to_vector<float>(),
            (Floats{2.4f, 3.2f, 0, 0}));
  EXPECT_ERROR(td::layer_normalization(x, td::Tensor({1.f, 2.f, 3.f})),
               "layer_normalization: Scale of shape (3,) does not broadcast to the input's shape (2, 2) "
               "(ops_test.cpp:LINE)");
  EXPECT_ERROR(
      td::layer_normalization(x, scale, bias, 2),
      "layer_normalization: axis 2 is out of range for rank 2; expected -2 to 1 (ops_test.cpp:LINE)");
}

TEST(Ops, CrossEntropyOfLabels) {
  const td::Tensor logits = {{0.f, 0.f}, {1000.f, 0.f}}, labels = {1, 0};
  const td::Tensor loss = td::sparse_softmax_cross_entropy(logits, labels);
  EXPECT_EQ(loss.to_vector<float>(), (Floats{std::log(2.f), 0}));
  EXPECT_EQ(td::sparse_softmax_cross_entropy(logits, td::Tensor({1, 0}, td::uint8)).shape(), (td::Shape{2}));
  td::GradientTape tape;
  tape.watch(logits);
  const td::Tensor mean = td::mean(td::sparse_softmax_cross_entropy(logits, labels));
  EXPECT_EQ(tape.gradient(mean, logits).to_vector<float>(), (Floats{0.25f, -0.25f, 0, 0}));
  EXPECT_ERROR(td::sparse_softmax_cross_entropy(logits, td::Tensor({0, 2})),
               "class_labels: label 2 at position 1 is out of range for 2 classes; expected 0 to 1 "
               "(ops_test.cpp:LINE)");
  EXPECT_ERROR(
      td::sparse_softmax_cross_entropy(logits, td::Tensor({0, 1, 1})),
      "sparse_softmax_cross_entropy: labels of shape (3,) do not fit logits of shape (2, 2); expected "
      "(2,) (ops_test.cpp:LINE)");
}

TEST(Ops, OnnxLossesWeighAndIgnore) {
  const td::Tensor scores = {{0.f, 0.f, 0.f}, {0.f, 0.f, 0.f}, {0.f, 0.f, 0.f}}, labels = {0, 2, -1};
  const td::Tensor weights = {1.f, 5.f, 3.f};
  const float log3 = std::log(3.f);
  const auto near = [&](const td::Tensor& t, float expected) {
    EXPECT_NEAR(t.item<float>(), expected, 1e-6f);
  };
  near(td::softmax_cross_entropy_loss(scores, labels, weights, {.reduction = "sum", .ignore_index = -1}),
       4 * log3);
  near(td::softmax_cross_entropy_loss(scores, labels, weights, {.ignore_index = -1}), log3);
  near(td::negative_log_likelihood_loss(scores - 2, labels, nullptr, {.ignore_index = -1}), 2);
  EXPECT_ERROR(td::softmax_cross_entropy_loss(scores, labels),
               "class_labels: label -1 at position 2 is out of range for 3 classes; expected 0 to 2 "
               "(ops_test.cpp:LINE)");
  EXPECT_ERROR(td::softmax_cross_entropy_loss(scores, labels, weights, {.reduction = "max"}),
               "softmax_cross_entropy_loss: reduction \"max\" is unknown; allowed are \"none\", \"sum\" and "
               "\"mean\" (ops_test.cpp:LINE)");
}
