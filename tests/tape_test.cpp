// Gradient tapes: values, nesting, variables, errors.

#include "tandem/tape.h"

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

using Floats = std::vector<float>;

TEST(Tape, SquaresAndSums) {
  const td::Tensor x = {1.f, 2.f, 3.f};
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor y = td::sum(x * x * x);
  EXPECT_EQ(tape.gradient(y, x).to_vector<float>(), (Floats{3, 12, 27}));
}

TEST(Tape, BroadcastIsUndone) {
  const td::Tensor m = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}}, row = {1.f, 2.f, 3.f};
  td::GradientTape tape;
  tape.watch(m);
  tape.watch(row);
  const auto [dm, drow] = tape.gradient(m * row, m, row);
  EXPECT_EQ(dm.to_vector<float>(), (Floats{1, 2, 3, 1, 2, 3}));
  EXPECT_EQ(drow.to_vector<float>(), (Floats{5, 7, 9}));
}

TEST(Tape, TrainableVariablesAreWatched) {
  const td::Variable w(td::Tensor({{1.f, 2.f}, {3.f, 4.f}})), fixed(td::Tensor(2.f), {.trainable = false});
  const td::Tensor x = {{1.f, 1.f}};
  td::GradientTape tape;
  const td::Tensor y = td::sum(td::matmul(x, w)) * fixed;
  EXPECT_EQ(tape.watched_variables().size(), 1u);
  EXPECT_EQ(tape.gradient(y, w).to_vector<float>(), (Floats{2, 2, 2, 2}));
}

TEST(Tape, SecondDerivatives) {
  const td::Tensor x = 3.f;
  td::GradientTape outer;
  outer.watch(x);
  td::Tensor first;
  {
    td::GradientTape inner;
    inner.watch(x);
    first = inner.gradient(td::pow(x, 3), x);
  }
  EXPECT_EQ(first.item<float>(), 27);
  EXPECT_EQ(outer.gradient(first, x).item<float>(), 18);
}

TEST(Tape, OneGradientUnlessPersistent) {
  const td::Tensor x = 3.f;
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor y = x * x;
  tape.gradient(y, x);
  EXPECT_ERROR(
      tape.gradient(y, x),
      "gradient: a non-persistent tape gives one gradient; make it with GradientTape({.persistent = true}) "
      "for more (tape_test.cpp:LINE)");
}

TEST(Tape, CustomRulesCompose) {
  const td::Tensor x = 1.f;
  auto triple = [](const td::Tensor& t) {
    return td::custom_gradient(
        [](std::vector<td::Tensor> a) -> td::CustomGradientResult {
          return {a[0] * 1, [](const td::Tensor& dy) { return std::vector<td::Tensor>{3 * dy}; }};
        },
        {t});
  };
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_EQ(tape.gradient(triple(triple(x)), x).item<float>(), 9);
}

TEST(Tape, SoftmaxAgainstDifferences) {
  const td::Tensor x({0.5, -1.0, 2.0}, td::float64), weight({1.0, 2.0, -1.0}, td::float64);
  auto f = [&](const td::Tensor& t) { return td::sum(td::softmax(t) * weight); };
  const auto gradient = td::grad(f)(x).to_vector<double>();
  for (int i = 0; i < 3; ++i) {
    auto shifted = [&](double by) {
      auto v = x.to_vector<double>();
      v[static_cast<size_t>(i)] += by;
      return f(td::from_vector(std::move(v), {3})).item<double>();
    };
    EXPECT_NEAR(gradient[static_cast<size_t>(i)], (shifted(1e-6) - shifted(-1e-6)) / 2e-6, 1e-8);
  }
}

// The second division takes the short cut of calls that have come before.
TEST(Tape, ErrorsUnderATapeNameOpAndLine) {
  const td::Tensor x({4, 6}, td::int64), zero({0, 1}, td::int64);
  td::GradientTape tape;
  static_cast<void>(x / 2);
  static_cast<void>(x / x);
  EXPECT_ERROR(x / zero, "div: integer division by zero (tape_test.cpp:LINE)");
}
