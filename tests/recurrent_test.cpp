// RNN, GRU and LSTM against steps written by hand; lengths, directions, layouts; messages.

#include <gtest/gtest.h>

#include <cmath>

#include "tandem/function.h"
#include "tandem/ops.h"
#include "tandem/tape.h"
#include "tests/support.h"

namespace td = tandem;
using td::RecurrentOptions;
using td::Tensor;

namespace {

Tensor ramp(const td::Shape& shape, int seed) {
  std::vector<double> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = 0.125 * static_cast<double>((i * 7 + static_cast<size_t>(seed) * 5) % 13) - 0.71875;
  return td::from_vector(std::move(v), shape);
}

void expect_near(const Tensor& actual, const Tensor& expected) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const std::vector<double> a = actual.to_vector<double>(), b = expected.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-12) << "element " << i;
}

constexpr int64_t steps = 3, batch = 2, size = 2, hidden = 2;

struct Weights {
  Tensor x = ramp({steps, batch, size}, 0), w, r, b, h, c, p;
  explicit Weights(int64_t gates, int64_t directions = 1)
      : w(ramp({directions, gates * hidden, size}, 1)),
        r(ramp({directions, gates * hidden, hidden}, 2)),
        b(ramp({directions, 2 * gates * hidden}, 3)),
        h(ramp({directions, batch, hidden}, 4)),
        c(ramp({directions, batch, hidden}, 5)),
        p(ramp({directions, 3 * hidden}, 6)) {}
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// One number's walk through time: entry j of batch n of a direction's states, from loops over doubles.
class ByHand {
 public:
  ByHand(const Weights& weights, int64_t gates)
      : x_(weights.x.to_vector<double>()),
        w_(weights.w.to_vector<double>()),
        r_(weights.r.to_vector<double>()),
        b_(weights.b.to_vector<double>()),
        gates_(gates) {}

  double input(int64_t t, int64_t n, int64_t row) const {
    double v = b_[static_cast<size_t>(row)];
    for (int64_t i = 0; i < size; ++i)
      v += w_[at(row, i)] * x_[static_cast<size_t>((t * batch + n) * size + i)];
    return v;
  }
  double recurrent(const std::vector<double>& h, int64_t row) const {
    double v = b_[static_cast<size_t>(gates_ * hidden + row)];
    for (int64_t i = 0; i < hidden; ++i) v += r_[at(row, i)] * h[static_cast<size_t>(i)];
    return v;
  }

 private:
  static size_t at(int64_t row, int64_t i) { return static_cast<size_t>(row * hidden + i); }
  std::vector<double> x_, w_, r_, b_;
  int64_t gates_;
};

std::vector<double> entry(const Tensor& state, int64_t n) { return state[{0, n}].to_vector<double>(); }

TEST(Rnn, StepsAsWritten) {
  const Weights v(1);
  const ByHand hand(v, 1);
  const auto result = td::rnn(v.x, v.w, v.r, v.b, nullptr, v.h);
  for (int64_t n = 0; n < batch; ++n) {
    std::vector<double> h = entry(v.h, n);
    for (int64_t t = 0; t < steps; ++t) {
      std::vector<double> next(hidden);
      for (int64_t j = 0; j < hidden; ++j)
        next[static_cast<size_t>(j)] = std::tanh(hand.input(t, n, j) + hand.recurrent(h, j));
      h = next;
      expect_near(result.y[{t, 0, n}], td::from_range(h));
    }
    expect_near(result.y_h[{0, n}], td::from_range(h));
  }
  EXPECT_FALSE(result.y_c.defined());
}

TEST(Gru, StepsAsWrittenBothWaysOfResetting) {
  const Weights v(3);
  const ByHand hand(v, 3);
  for (bool after : {false, true}) {
    const auto result = td::gru(v.x, v.w, v.r, v.b, nullptr, v.h, {.linear_before_reset = after});
    for (int64_t n = 0; n < batch; ++n) {
      std::vector<double> h = entry(v.h, n);
      for (int64_t t = 0; t < steps; ++t) {
        std::vector<double> z(hidden), reset(hidden), scaled(hidden), next(hidden);
        for (size_t j = 0; j < hidden; ++j) {
          const auto row = static_cast<int64_t>(j);
          z[j] = sigmoid(hand.input(t, n, row) + hand.recurrent(h, row));
          reset[j] = sigmoid(hand.input(t, n, hidden + row) + hand.recurrent(h, hidden + row));
          scaled[j] = reset[j] * h[j];
        }
        for (size_t j = 0; j < hidden; ++j) {
          const auto row = static_cast<int64_t>(2 * hidden + j);
          const double share = after ? reset[j] * hand.recurrent(h, row) : hand.recurrent(scaled, row);
          next[j] = (1 - z[j]) * std::tanh(hand.input(t, n, row) + share) + z[j] * h[j];
        }
        h = next;
        expect_near(result.y[{t, 0, n}], td::from_range(h));
      }
    }
  }
}

TEST(Lstm, StepsAsWrittenWithPeepholes) {
  const Weights v(4);
  const ByHand hand(v, 4);
  const std::vector<double> p = v.p.to_vector<double>();
  for (bool coupled : {false, true}) {
    const auto result =
        td::lstm(v.x, v.w, v.r, v.b, nullptr, v.h, v.c, v.p, {.clip = 0.5f, .input_forget = coupled});
    const auto clipped = [](double x) { return std::min(0.5, std::max(-0.5, x)); };
    for (int64_t n = 0; n < batch; ++n) {
      std::vector<double> h = entry(v.h, n), c = entry(v.c, n);
      for (int64_t t = 0; t < steps; ++t) {
        std::vector<double> next(hidden);
        for (size_t j = 0; j < hidden; ++j) {
          const auto gate = [&](int64_t g) {
            const auto row = g * hidden + static_cast<int64_t>(j);
            return hand.input(t, n, row) + hand.recurrent(h, row);
          };
          const double input = sigmoid(clipped(gate(0) + p[j] * c[j]));
          const double forget = coupled ? 1 - input : sigmoid(clipped(gate(2) + p[2 * hidden + j] * c[j]));
          c[j] = forget * c[j] + input * std::tanh(clipped(gate(3)));
          next[j] = sigmoid(clipped(gate(1) + p[hidden + j] * c[j])) * std::tanh(clipped(c[j]));
        }
        h = next;
        expect_near(result.y[{t, 0, n}], td::from_range(h));
      }
      expect_near(result.y_h[{0, n}], td::from_range(h));
      expect_near(result.y_c[{0, n}], td::from_range(c));
    }
  }
}

TEST(Lstm, ReverseIsForwardOnReversedSequences) {
  const Weights v(4);
  const Tensor lengths({3, 1}, td::int32), wide = td::cast(lengths, td::int64);
  const auto back = td::lstm(v.x, v.w, v.r, v.b, lengths, v.h, v.c, v.p, {.direction = "reverse"});
  const auto forth = td::lstm(td::reverse_sequence(v.x, wide), v.w, v.r, v.b, lengths, v.h, v.c, v.p);
  expect_near(td::squeeze(back.y, {1}), td::reverse_sequence(td::squeeze(forth.y, {1}), wide));
  expect_near(back.y_h, forth.y_h);
  expect_near(back.y_c, forth.y_c);
  // Beyond its length a sequence gives zeros, and its last state is that at its end.
  const Tensor beyond = forth.y[{2, 0, 1}];
  EXPECT_EQ(beyond.to_vector<double>(), (std::vector<double>{0, 0}));
  expect_near(forth.y_h[{0, 1}], forth.y[{0, 0, 1}]);
}

TEST(Gru, BothDirectionsAndLayoutsAreTheirParts) {
  const Weights v(3, 2);
  const auto both = td::gru(v.x, v.w, v.r, v.b, nullptr, v.h, {.direction = "bidirectional"});
  const auto part = [&](const Tensor& t, int64_t d) { return td::slice(t, {d}, {d + 1}, {0}); };
  for (int64_t d : {0, 1}) {
    const auto one = td::gru(v.x, part(v.w, d), part(v.r, d), part(v.b, d), nullptr, part(v.h, d),
                             {.direction = d == 0 ? "forward" : "reverse"});
    expect_near(td::slice(both.y, {d}, {d + 1}, {1}), one.y);
    expect_near(part(both.y_h, d), one.y_h);
  }
  const auto turned = td::gru(td::transpose(v.x, {1, 0, 2}), v.w, v.r, v.b, nullptr,
                              td::transpose(v.h, {1, 0, 2}), {.direction = "bidirectional", .layout = 1});
  expect_near(td::transpose(turned.y, {1, 2, 0, 3}), both.y);
  expect_near(td::transpose(turned.y_h, {1, 0, 2}), both.y_h);
}

TEST(Rnn, ActivationsTakeTheirNumbersInOrder) {
  const Weights v(1, 2);
  const auto result = td::rnn(v.x, v.w, v.r, nullptr, nullptr, nullptr,
                              {.direction = "bidirectional",
                               .activations = {"Relu", "Affine"},
                               .activation_alpha = {0.5f},
                               .activation_beta = {0.25f}});
  const Tensor x = v.x[{2}], w = v.w[{1}];
  // The reverse direction begins at the last step, from zeros.
  expect_near(result.y[{2, 1}], td::matmul(x, td::transpose(w)) * 0.5 + 0.25);
}

TEST(Recurrent, SizesUnknownWhileTracing) {
  const Weights v(4);
  // Forwards the number of steps stays open; a gradient goes back through the steps, so it is made for
  // theirs.
  const auto forward = [&](const Tensor& x) { return td::lstm(x, v.w, v.r, v.b).y; };
  const auto slope = [&](const Tensor& x) {
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(td::sum(forward(x) * 0.5), x);
  };
  td::Function<Tensor(Tensor)> graph(forward, {.input_signature = {td::spec({-1, -1, size}, td::float64)}});
  td::Function<Tensor(Tensor)> back(slope);
  for (int64_t t : {3, 5, 4, 3, 6}) {
    const Tensor x = ramp({t, 2 + t % 2, size}, 7);
    EXPECT_EQ(graph(x).to_vector<double>(), forward(x).to_vector<double>());
    EXPECT_EQ(back(x).to_vector<double>(), slope(x).to_vector<double>());
  }
  EXPECT_EQ(graph.trace_count(), 1);
}

TEST(Recurrent, SaysWhatDoesNotFit) {
  const Weights v(1);
  EXPECT_ERROR(td::rnn(v.x, v.w, v.r, v.b, nullptr, nullptr, {.direction = "up"}),
               "rnn: direction \"up\" is unknown; allowed are \"forward\", \"reverse\" and \"bidirectional\" "
               "(recurrent_test.cpp:LINE)");
  EXPECT_ERROR(td::lstm(v.x, v.w, v.r),
               "lstm: W has shape (1, 2, 2); (1, 8, 2) is needed (recurrent_test.cpp:LINE)");
  EXPECT_ERROR(td::rnn(v.x, v.w, v.r, v.h),
               "rnn: B has shape (1, 2, 2); (1, 4) is needed (recurrent_test.cpp:LINE)");
  EXPECT_ERROR(
      td::rnn(v.x, v.w, v.r, nullptr, nullptr, nullptr, {.activations = {"Sine"}}),
      "rnn: the activation \"Sine\" is unknown; allowed are Relu, Tanh, Sigmoid, Softsign, Softplus, "
      "LeakyRelu, ThresholdedRelu, Elu, Affine, ScaledTanh, HardSigmoid (recurrent_test.cpp:LINE)");
  EXPECT_ERROR(td::rnn(v.x, v.w, v.r, nullptr, nullptr, nullptr, {.activations = {"Relu", "Relu"}}),
               "rnn: 2 activations are given; direction \"forward\" needs 1 (recurrent_test.cpp:LINE)");
  EXPECT_ERROR(td::rnn(v.x, v.w, v.r, nullptr, nullptr, nullptr, {.activation_alpha = {1.f}}),
               "rnn: activation_alpha has 1 values; the activations take 0 (recurrent_test.cpp:LINE)");
}

}  // namespace
