// Behaviours of losses and metrics, by the items of docs/behaviours.md.

#include "tandem/function.h"
#include "tandem/nn/losses.h"
#include "tandem/nn/metric.h"
#include "tandem/ops.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using Floats = std::vector<float>;

TEST(Behaviour, T_21_AccuracyChoosesByShapes) {
  struct Case {
    td::Tensor predictions, targets;
    double expected;
  };
  const td::Tensor rows = {{0.1f, 0.7f, 0.2f}, {0.3f, 0.4f, 0.3f}, {0.f, 0.1f, 0.9f}};
  const Case cases[] = {
      {rows, td::Tensor({1, 0, 2}), 2 / 3.0},                                            // sparse
      {rows, td::Tensor({{1}, {0}, {2}}), 2 / 3.0},                                      // sparse, a column
      {rows, td::Tensor({{0.f, 1.f, 0.f}, {1.f, 0.f, 0.f}, {0.f, 0.f, 1.f}}), 2 / 3.0},  // categorical
      {td::Tensor({{0.2f}, {0.8f}, {0.6f}, {0.5f}}), td::Tensor({{0}, {1}, {0}, {0}}), 3 / 4.0},  // binary
      {td::Tensor({{0.2f}, {0.8f}, {0.6f}, {0.5f}}), td::Tensor({0.f, 1.f, 0.f, 0.f}), 3 / 4.0},  // aligned
  };
  for (const bool graph : {false, true})
    for (const Case& c : cases)
      for (const char* name : {"accuracy", "acc"}) {
        const nn::Metric metric = name;
        const auto step = [&](const td::Tensor& p, const td::Tensor& t) {
          metric.update(p, t);
          return p;
        };
        graph ? td::function(step)(c.predictions, c.targets) : step(c.predictions, c.targets);
        EXPECT_EQ(metric.value(), c.expected);
        EXPECT_EQ(metric.name(), name);
      }
}

TEST(Behaviour, T_24_ReductionsAndWeights) {
  const td::Tensor predictions = {{1.f}, {2.f}, {3.f}, {4.f}};
  const td::Tensor targets = {0.f, 0.f, 0.f, 0.f};  // (4) against (4, 1)
  const td::Tensor weights = {1.f, 0.f, 2.f, 1.f};
  using nn::Reduction;
  for (const bool graph : {false, true}) {
    const auto with = [&](Reduction reduction, const td::Tensor& w) {
      const nn::MeanSquaredError loss({.reduction = reduction});
      const auto f = [&](const td::Tensor& p, const td::Tensor& t) { return loss(p, t, w); };
      return (graph ? td::function(f)(predictions, targets) : f(predictions, targets)).to_vector<float>();
    };
    EXPECT_EQ(with(Reduction::none, {}), (Floats{1, 4, 9, 16}));
    EXPECT_EQ(with(Reduction::sum, {}), Floats{30});
    EXPECT_EQ(with(Reduction::mean, {}), Floats{7.5f});
    EXPECT_EQ(with(Reduction::none, weights), (Floats{1, 0, 18, 16}));
    EXPECT_EQ(with(Reduction::sum, weights), Floats{35});
    EXPECT_EQ(with(Reduction::mean, weights), Floats{35 / 4.f});
    EXPECT_EQ(with(Reduction::mean_with_sample_weight, weights), Floats{35 / 4.f});
    EXPECT_EQ(with(Reduction::mean_with_sample_weight, weights * 2), Floats{35 / 4.f});
    for (const Reduction reduction : {Reduction::sum, Reduction::mean, Reduction::mean_with_sample_weight})
      EXPECT_EQ(with(reduction, td::zeros({4})), Floats{0});
    EXPECT_EQ(with(Reduction::mean, td::unsqueeze(weights, {-1})), Floats{35 / 4.f});
  }
  EXPECT_EQ(
      nn::MeanSquaredError()(td::squeeze(predictions, {-1}), td::unsqueeze(targets, {-1})).item<float>(),
      7.5f);
}
