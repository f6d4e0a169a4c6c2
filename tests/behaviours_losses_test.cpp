// Behaviours of losses and metrics, by the items of docs/behaviours.md.

#include "tandem/nn.h"
#include "tandem/tandem.h"
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

TEST(Behaviour, T_24_LossesOfAClassStayWhatTheyAre) {
  // As a loss among others, and in compile: name, reduction, weights.
  const nn::Loss loss = nn::MeanSquaredError({.reduction = nn::Reduction::sum, .name = "own"});
  EXPECT_EQ(loss.name(), "own");
  EXPECT_EQ(loss.reduction(), nn::Reduction::sum);
  EXPECT_EQ(loss.values(td::ones({4, 2}), td::zeros({4, 2})).shape(), td::Shape({4}));
  for (const nn::Losses& losses :
       {nn::Losses(nn::MeanSquaredError({.name = "own"})),
        nn::Losses({nn::MeanSquaredError({.name = "own"}), nn::MeanAbsoluteError()})})
    EXPECT_EQ(losses.list()[0].name(), "own");
  for (const nn::Mode mode : {nn::Mode::eager, nn::Mode::graph}) {
    const nn::Sequential model({nn::Input({1}), nn::Dense(1, {}, {.kernel_initializer = "ones"})});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.1), .loss = nn::MeanSquaredError()});
    const nn::History history = model.fit(td::Tensor({{1.f}, {2.f}, {3.f}, {4.f}}), td::zeros({4, 1}),
                                          {.sample_weight = td::Tensor({1.f, 0.f, 2.f, 1.f}), .verbose = 0});
    EXPECT_EQ(history.step_losses, Floats{35 / 4.f});
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
