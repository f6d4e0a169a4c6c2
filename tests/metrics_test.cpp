// Metrics: sums over batches, in both modes.

#include "tandem/function.h"
#include "tandem/nn/metric.h"
#include "tandem/ops.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;

TEST(Metrics, BatchesOfUnequalSizeCountByTheirExamples) {
  const td::Tensor predictions = {{0.9f, 0.1f}, {0.2f, 0.8f}, {0.7f, 0.3f}}, labels = {0, 1, 1};
  for (const bool graph : {false, true}) {
    const nn::Metric metric = "acc";
    EXPECT_EQ(metric.name(), "acc");
    auto step = [&](const td::Tensor& p, const td::Tensor& y) {
      metric.update(p, y);
      return p;
    };
    auto traced = td::function(step);
    const auto run = [&](int64_t begin, int64_t end) {
      const td::Tensor p = predictions[{{begin, end}}], y = labels[{{begin, end}}];
      graph ? traced(p, y) : step(p, y);
    };
    EXPECT_EQ(metric.value(), 0);
    run(0, 2);
    EXPECT_EQ(metric.value(), 1);
    run(2, 3);
    EXPECT_EQ(metric.value(), 2.0 / 3);
    metric.reset();
    run(1, 3);
    EXPECT_EQ(metric.value(), 0.5);
    EXPECT_EQ(metric.variables().size(), 2u);
  }
}

TEST(Metrics, OfOnesOwn) {
  struct Count : nn::MetricBody {
    Count() : MetricBody("count") {}
    td::Variable seen = state("seen", {}, td::int64);
    void update(const td::Tensor& predictions, const td::Tensor&, const td::Tensor&) override {
      seen.assign_add(td::size_of(predictions));
    }
    td::Tensor result() override { return seen.value(); }
  };
  const nn::Metric count(std::make_shared<Count>());
  count.update(td::ones({3, 2}), {});
  count.update(td::ones({4}), {});
  EXPECT_EQ(count.value(), 10);
  const nn::Metric worst([](const td::Tensor& p, const td::Tensor& y) { return td::abs(p - y); }, "distance");
  worst.update(td::Tensor({1.f, 2.f}), td::Tensor({0.f, 0.f}), td::Tensor({3.f, 1.f}));
  EXPECT_EQ(worst.value(), 1.25);
}
