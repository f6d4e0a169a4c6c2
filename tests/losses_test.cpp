// Losses: their numbers, reductions, weights, masks, errors.

#include "tandem/function.h"
#include "tandem/nn/loss.h"
#include "tandem/ops.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using Floats = std::vector<float>;

TEST(Losses, ByNameByFunctionAndTheirValues) {
  const td::Tensor predictions = {{1.f, 2.f}, {3.f, 5.f}}, targets = {{0.f, 0.f}, {3.f, 3.f}};
  const nn::Loss named = "mse";
  EXPECT_EQ(named.name(), "mse");
  EXPECT_EQ(named.values(predictions, targets).to_vector<float>(), (Floats{2.5f, 2}));
  EXPECT_EQ(named(predictions, targets).item<float>(), 2.25f);
  const nn::Loss own([](const td::Tensor& p, const td::Tensor& t) { return td::amax(td::abs(p - t), {-1}); },
                     {.reduction = nn::Reduction::sum, .name = "worst"});
  EXPECT_EQ(own.name(), "worst");
  EXPECT_EQ(own(predictions, targets).item<float>(), 4);
  EXPECT_ERROR(nn::Loss("nothing"),
               "loss: \"nothing\" is not known; known: sparse_categorical_crossentropy, "
               "sparse_softmax_cross_entropy, categorical_crossentropy, mean_squared_error, mse, "
               "mean_absolute_error, mae (losses_test.cpp:LINE)");
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
               "mae: weights of shape (3,) do not fit values of shape (2, 2); expected it, or its "
               "first dimensions (losses_test.cpp:LINE)");
}
