// Metrics: sums over batches, in both modes.

#include "tandem/nn/metrics.h"

#include <cmath>
#include <functional>

#include "tandem/function.h"
#include "tandem/nn/losses.h"
#include "tandem/ops.h"
#include "tests/lines.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using Doubles = std::vector<double>;

namespace {

struct Case {
  const char* what;
  std::function<nn::Metric()> make;
  td::Tensor predictions, targets, weights;
  Doubles expected;
};

/// At once, and in a graph in batches of all but one and of one.
void expect_results(const std::vector<Case>& cases) {
  for (const Case& c : cases)
    for (const bool graph : {false, true}) {
      const nn::Metric metric = c.make();
      const auto step = [&](const td::Tensor& p, const td::Tensor& t, const td::Tensor& w) {
        metric.update(p, t, c.weights.defined() ? w : td::Tensor());
        return p;
      };
      const int64_t count = c.predictions.shape()[0];
      const td::Tensor w = c.weights.defined() ? c.weights : td::zeros({count});
      if (graph) {
        auto traced = td::function(step);
        for (const auto& [begin, end] : {std::pair{int64_t{0}, count - 1}, {count - 1, count}})
          traced(c.predictions[{{begin, end}}], c.targets[{{begin, end}}], w[{{begin, end}}]);
        EXPECT_EQ(td::testing::lines_of_the_library(traced), "") << c.what;
      } else {
        step(c.predictions, c.targets, w);
      }
      const Doubles seen = td::cast(metric.result(), td::float64).to_vector<double>();
      ASSERT_EQ(seen.size(), c.expected.size()) << c.what;
      for (size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], c.expected[i], 1e-6) << c.what << graph;
      metric.reset();
      for (double v : td::cast(metric.result(), td::float64).to_vector<double>()) EXPECT_EQ(v, 0) << c.what;
    }
}

template <class M, class... Arguments>
std::function<nn::Metric()> make(Arguments... arguments) {
  return [=] { return M(arguments...); };
}
std::function<nn::Metric()> make(const char* name) {
  return [=] { return nn::Metric(name); };
}

const td::Tensor column = {{0.98f}, {1.f}, {0.f}, {0.6f}}, column_targets = {{1}, {1}, {0}, {0}};
const td::Tensor rows = {{0.1f, 0.9f, 0.8f}, {0.05f, 0.95f, 0.f}};
const td::Tensor row_targets = {{0.f, 0.f, 1.f}, {0.f, 1.f, 0.f}}, row_labels = {2, 1};
const td::Tensor none;

}  // namespace

// Expected numbers are those of Keras's documentation and tests, or worked out by hand.

TEST(Metrics, Accuracies) {
  expect_results({
      {"binary", make("binary_accuracy"), column, column_targets, none, {0.75}},
      {"weighted", make("BinaryAccuracy"), column, column_targets, {1.f, 0.f, 0.f, 1.f}, {0.5}},
      {"threshold",
       make<nn::BinaryAccuracy>(nn::BinaryAccuracyOptions{.threshold = 0.7}),
       column,
       column_targets,
       none,
       {1}},
      {"categorical", make("categorical_accuracy"), rows, row_targets, none, {0.5}},
      {"weighted", make("categorical_accuracy"), rows, row_targets, {0.7f, 0.3f}, {0.3}},
      {"sparse", make("sparse_categorical_accuracy"), rows, row_labels, {0.7f, 0.3f}, {0.3}},
      {"top 1", make<nn::TopKCategoricalAccuracy>(1), rows, row_targets, none, {0.5}},
      {"top 2", make<nn::TopKCategoricalAccuracy>(2), rows, row_targets, none, {1}},
      {"sparse top 1", make<nn::SparseTopKCategoricalAccuracy>(1), rows, row_labels, {0.7f, 0.3f}, {0.3}},
      {"sparse top 5", make("sparse_top_k_categorical_accuracy"), rows, row_labels, none, {1}},
  });
  EXPECT_ERROR(nn::SparseTopKCategoricalAccuracy(1).update(rows, td::Tensor({2, 3})),
               "class_labels: label 3 at position 1 is out of range for 3 classes; expected 0 to 2 "
               "(metrics_test.cpp:LINE)");
  EXPECT_ERROR(nn::BinaryAccuracy({.threshold = 1}),
               "BinaryAccuracy: the threshold is 1; expected between 0 and 1 (metrics_test.cpp:LINE)");
}

TEST(Metrics, Regression) {
  const td::Tensor t = {{0.f, 1.f}, {0.f, 0.f}}, p = {{1.f, 1.f}, {0.f, 0.f}};
  const td::Tensor crossed = {{1.f, 0.f}, {1.f, 1.f}}, other = {{0.f, 1.f}, {1.f, 1.f}};
  const td::Tensor r2 = {{2.f}, {4.f}, {4.f}}, r2_targets = {{1.f}, {4.f}, {3.f}};
  const td::Tensor two = td::concat({r2, r2 * 2}, 1), two_targets = td::concat({r2_targets, r2_targets}, 1);
  const double first = 1 - 2 / (14 / 3.0), second = 1 - (9 + 16 + 25) / (14 / 3.0);
  expect_results({
      {"mse", make("mse"), p, t, none, {0.25}},
      {"mae", make("mae"), p, t, {1.f, 3.f}, {0.125}},
      {"loss", make<nn::Huber>(nn::HuberOptions{.delta = 0.5}), p, t, none, {0.375 / 4}},
      {"rmse", make("rmse"), p, t, none, {0.5}},
      {"weighted rmse", make("RootMeanSquaredError"), p, t, {1.f, 0.f}, {std::sqrt(0.5)}},
      {"cosine", make("cosine_similarity"), crossed, other, {0.3f, 0.7f}, {0.7}},
      {"r2", make("r2_score"), r2, r2_targets, none, {first}},
      {"r2 of two", make("r2"), two, two_targets, none, {(first + second) / 2}},
      {"r2 apart",
       make<nn::R2Score>(nn::R2ScoreOptions{.class_aggregation = ""}),
       two,
       two_targets,
       none,
       {first, second}},
      {"r2 by variance",
       make<nn::R2Score>(nn::R2ScoreOptions{.class_aggregation = "variance_weighted_average"}),
       two,
       two_targets,
       none,
       {(first + second) / 2}},
      {"adjusted r2",
       make<nn::R2Score>(nn::R2ScoreOptions{.num_regressors = 1}),
       r2,
       r2_targets,
       none,
       {1 - (1 - first) * 2}},
      {"constant targets", make("r2"), r2, td::ones({3, 1}), none, {0}},
  });
}

TEST(Metrics, CountsAtThresholds) {
  const td::Tensor p = {1.f, 0.f, 1.f, 1.f}, t = {0, 1, 1, 1}, w = {0.f, 0.f, 1.f, 0.f};
  const td::Tensor some = {0.f, 0.2f, 0.5f, 0.9f}, truth = {0, 1, 0, 1};
  const td::Tensor ranked = {{0.5f, 0.9f, 0.1f}, {0.4f, 0.2f, 0.3f}}, ranked_targets = {{1, 0, 0}, {0, 0, 1}};
  expect_results({
      {"tp", make("true_positives"), p, t, none, {2}},
      {"weighted tp", make("TruePositives"), p, t, w, {1}},
      {"tn", make("true_negatives"), some, truth, none, {2}},
      {"fp", make("false_positives"), p, t, none, {1}},
      {"fn", make("false_negatives"), p, t, none, {1}},
      {"thresholds",
       make<nn::FalseNegatives>(nn::CountOptions{.thresholds = {0.1, 0.3, 0.95}}),
       some,
       truth,
       none,
       {0, 1, 2}},
      {"precision", make("precision"), p, t, none, {2 / 3.0}},
      {"weighted", make("precision"), p, t, w, {1}},
      {"at thresholds",
       make<nn::Precision>(nn::PrecisionOptions{.thresholds = {0.1, 0.6}}),
       some,
       truth,
       none,
       {2 / 3.0, 1}},
      {"recall", make("recall"), p, t, none, {2 / 3.0}},
      {"top 1", make<nn::Recall>(nn::PrecisionOptions{.top_k = 1}), ranked, ranked_targets, none, {0}},
      {"top 2", make<nn::Precision>(nn::PrecisionOptions{.top_k = 2}), ranked, ranked_targets, none, {0.5}},
      {"one class",
       make<nn::Precision>(nn::PrecisionOptions{.thresholds = {0.3}, .class_id = 0}),
       ranked,
       ranked_targets,
       none,
       {0.5}},
  });
  EXPECT_ERROR(nn::Precision({.thresholds = {2}}),
               "Precision: a threshold is 2; expected 0 to 1 (metrics_test.cpp:LINE)");
}

TEST(Metrics, Curves) {
  const td::Tensor p = {0.f, 0.5f, 0.3f, 0.9f}, t = {0, 0, 1, 1}, w = {1.f, 2.f, 3.f, 4.f};
  const auto auc = [](const char* curve, const char* how) {
    return make<nn::AUC>(nn::AUCOptions{.num_thresholds = 3, .curve = curve, .summation_method = how});
  };
  const td::Tensor q = {0.f, 0.3f, 0.8f, 0.3f, 0.8f}, u = {0, 0, 0, 1, 1};
  expect_results({
      {"roc", auc("ROC", "interpolation"), p, t, none, {0.75}},
      {"weighted", auc("ROC", "interpolation"), p, t, w, {(1 + 4 / 7.0) / 2}},
      {"majoring", auc("ROC", "majoring"), p, t, w, {1}},
      {"minoring", auc("ROC", "minoring"), p, t, w, {4 / 7.0}},
      {"pr", auc("PR", "interpolation"), p, t, w, {(0.5 * (3 + 2 * std::log(2.5)) + 4) / 7}},
      {"pr majoring", auc("PR", "majoring"), p, t, w, {1}},
      {"pr minoring", auc("PR", "minoring"), p, t, w, {0.3}},
      {"own thresholds", make<nn::AUC>(nn::AUCOptions{.thresholds = {0.5}}), p, t, w, {(1 + 4 / 7.0) / 2}},
      {"logits", make<nn::AUC>(nn::AUCOptions{.from_logits = true}), (p - 0.4) * 9, t, none, {0.75}},
      {"fine", make("auc"), p, t, none, {0.75}},
      {"precision at recall", make<nn::PrecisionAtRecall>(0.5), q, u, none, {0.5}},
      {"weighted", make<nn::PrecisionAtRecall>(0.5), q, u, {2.f, 2.f, 2.f, 1.f, 1.f}, {1 / 3.0}},
      {"recall at precision", make<nn::RecallAtPrecision>(0.8), p, t, none, {0.5}},
      {"weighted", make<nn::RecallAtPrecision>(0.8), p, t, {1.f, 0.f, 0.f, 1.f}, {1}},
      {"sensitivity", make<nn::SensitivityAtSpecificity>(0.5), q, u, none, {0.5}},
      {"weighted", make<nn::SensitivityAtSpecificity>(0.5), q, u, {1.f, 1.f, 2.f, 2.f, 1.f}, {1 / 3.0}},
      {"specificity", make<nn::SpecificityAtSensitivity>(0.5), q, u, none, {2 / 3.0}},
      {"weighted", make<nn::SpecificityAtSensitivity>(0.5), q, u, {1.f, 1.f, 2.f, 2.f, 2.f}, {0.5}},
  });
  EXPECT_ERROR(nn::AUC({.curve = "roc"}),
               "AUC: the curve \"roc\" is not known; known: ROC, PR (metrics_test.cpp:LINE)");
}

TEST(Metrics, FScores) {
  const td::Tensor t = {{1, 1, 1}, {1, 0, 0}, {1, 1, 0}};
  const td::Tensor p = {{0.2f, 0.6f, 0.7f}, {0.2f, 0.6f, 0.6f}, {0.6f, 0.8f, 0.f}};
  const td::Tensor scores = {{0.7f, 0.2f, 0.1f}, {0.1f, 0.6f, 0.3f}, {0.2f, 0.7f, 0.1f}}, labels = {0, 1, 2};
  const auto f = [](double beta, const char* average) {
    return make<nn::FBetaScore>(nn::FBetaScoreOptions{.beta = beta, .average = average, .threshold = 0.5});
  };
  expect_results({
      {"beta 2", f(2, ""), p, t, none, {0.3846154, 0.90909094, 0.8333334}},
      {"beta 1", f(1, ""), p, t, none, {0.5, 0.8, 2 / 3.0}},
      {"macro", f(1, "macro"), p, t, none, {(0.5 + 0.8 + 2 / 3.0) / 3}},
      {"weighted", f(1, "weighted"), p, t, none, {(0.5 * 3 + 0.8 * 2 + 2 / 3.0) / 6}},
      {"micro", f(1, "micro"), p, t, none, {2 * (4 / 6.0) * (4 / 6.0) / (8 / 6.0)}},
      {"largest, of labels",
       make<nn::F1Score>(nn::F1ScoreOptions{.average = ""}),
       scores,
       labels,
       none,
       {1, 2 / 3.0, 0}},
      {"largest, of one-hot", make("f1_score"), scores, td::one_hot(labels, 3), none, {(1 + 2 / 3.0) / 3}},
      {"weights",
       make<nn::F1Score>(nn::F1ScoreOptions{.average = ""}),
       scores,
       labels,
       {1.f, 1.f, 0.f},
       {1, 1, 0}},
  });
  EXPECT_ERROR(
      nn::F1Score({.average = "mean"}),
      "F1Score: the average \"mean\" is not known; known: macro, micro, weighted (metrics_test.cpp:LINE)");
}

TEST(Metrics, ConfusionAndOverlap) {
  const td::Tensor p = {0, 1, 0, 1}, t = {0, 0, 1, 1}, w = {0.3f, 0.3f, 0.3f, 0.1f};
  const td::Tensor scores = {{0.9f, 0.1f}, {0.2f, 0.8f}, {0.6f, 0.4f}, {0.3f, 0.7f}};
  const td::Tensor maybe = {0.1f, 0.2f, 0.4f, 0.7f}, flags = {0, 1, 0, 1};
  expect_results({
      {"matrix", make<nn::ConfusionMatrix>(2), p, t, none, {1, 1, 1, 1}},
      {"of scores", make<nn::ConfusionMatrix>(2), scores, t, w, {0.3, 0.3, 0.3, 0.1}},
      {"of one-hot", make<nn::ConfusionMatrix>(2), scores, td::one_hot(flags, 2), none, {2, 0, 0, 2}},
      {"of three", make<nn::ConfusionMatrix>(3), p, t, none, {1, 1, 0, 1, 1, 0, 0, 0, 0}},
      {"ignored",
       make<nn::ConfusionMatrix>(2, nn::ConfusionOptions{.ignore_class = 1}),
       p,
       t,
       none,
       {1, 1, 0, 0}},
      {"mean iou", make<nn::MeanIoU>(2), p, t, none, {1 / 3.0}},
      {"weighted", make<nn::MeanIoU>(2), p, t, w, {0.23809525}},
      {"absent class", make<nn::MeanIoU>(3), p, t, none, {1 / 3.0}},
      {"iou", make<nn::IoU>(2, std::vector<int64_t>{0}), p, t, w, {1 / 3.0}},
      {"binary", make<nn::BinaryIoU>(nn::BinaryIoUOptions{.threshold = 0.3}), maybe, flags, none, {1 / 3.0}},
  });
  EXPECT_EQ(nn::ConfusionMatrix(2).result().shape(), (td::Shape{2, 2}));
  EXPECT_ERROR(nn::ConfusionMatrix(2).update(p, td::Tensor({0, 1, 2, 0})),
               "class_labels: label 2 at position 2 is out of range for 2 classes; expected 0 to 1 "
               "(metrics_test.cpp:LINE)");
  EXPECT_ERROR(nn::IoU(2, {2}),
               "IoU: class 2 is out of range for 2 classes; expected 0 to 1 (metrics_test.cpp:LINE)");
}

TEST(Metrics, SumsOfAnything) {
  const nn::Mean mean;
  mean.update(td::Tensor({1.f, 3.f, 5.f, 7.f}));
  EXPECT_EQ(mean.value(), 4);
  mean.update(9.f, 2);  // a number and its weight
  EXPECT_EQ(mean.value(), 34 / 6.0);
  const nn::Sum sum;
  sum.update(td::Tensor({1, 3, 5, 7}));
  sum.update(td::Tensor({1.f, 2.f}), td::Tensor({2.f, 0.f}));
  EXPECT_EQ(sum.value(), 18);
  const nn::MeanTensor tensors;
  tensors.update(td::Tensor({0.f, 1.f, 2.f, 3.f}));
  tensors.update(td::Tensor({4.f, 5.f, 6.f, 7.f}));
  EXPECT_EQ(tensors.result().to_vector<double>(), (Doubles{2, 3, 4, 5}));
  tensors.reset();
  tensors.update(td::Tensor({4.f, 5.f, 6.f, 7.f}), 3);
  EXPECT_EQ(tensors.result().to_vector<double>(), (Doubles{4, 5, 6, 7}));
  EXPECT_ERROR(tensors.update(td::ones({3})),
               "mean_tensor: values of shape (3,) follow values of shape (4,) (metrics_test.cpp:LINE)");
  EXPECT_ERROR(tensors.value(),
               "mean_tensor: item: the tensor of shape (4,) has 4 elements, not one (metrics_test.cpp:LINE)");
}

TEST(Metrics, ManyBatchesAddUpExactly) {
  // 0.1 in float32, summed up in float32, would drift.
  const nn::Mean mean;
  for (int i = 0; i < 2000; ++i) mean.update(td::full({257}, 0.1));
  EXPECT_NEAR(mean.value(), static_cast<double>(0.1f), 1e-15);
}

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

TEST(Metrics, MasksCountUnmaskedPositions) {
  const nn::Metric metric = "mae";
  const td::Tensor p = {{{1.f}, {2.f}}, {{3.f}, {4.f}}}, t = td::zeros({2, 2, 1}), mask = {{1, 0}, {1, 1}};
  metric.update(p, t, {}, mask);
  EXPECT_EQ(metric.value(), 8 / 3.0);
  metric.update(p, t, td::Tensor({0.f, 2.f}), mask);
  EXPECT_EQ(metric.value(), 22 / 7.0);
  const nn::Metric ignoring = nn::SparseCategoricalCrossentropy({.ignore_class = 0});
  ignoring.update(td::Tensor({{0.5f, 0.5f}, {0.75f, 0.25f}}), td::Tensor({0, 1}));
  EXPECT_NEAR(ignoring.value(), std::log(4), 1e-6);
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
  const nn::Metric distance([](const td::Tensor& p, const td::Tensor& y) { return td::abs(p - y); },
                            "distance");
  distance.update(td::Tensor({1.f, 2.f}), td::Tensor({0.f, 0.f}), td::Tensor({3.f, 1.f}));
  EXPECT_EQ(distance.value(), 1.25);
  EXPECT_ERROR(
      nn::Metric("nothing"),
      "metric: \"nothing\" is not known; known: accuracy (acc), binary_accuracy, categorical_accuracy, "
      "sparse_categorical_accuracy, top_k_categorical_accuracy, sparse_top_k_categorical_accuracy, "
      "true_positives, true_negatives, false_positives, false_negatives, precision, recall, f1_score "
      "(f1), fbeta_score, auc, binary_io_u, root_mean_squared_error (rmse), r2_score (r2), mean, sum, "
      "mean_tensor, cosine_similarity, sparse_categorical_crossentropy, sparse_softmax_cross_entropy, "
      "categorical_crossentropy, binary_crossentropy (bce), crossentropy (ce), "
      "binary_focal_crossentropy, categorical_focal_crossentropy, mean_squared_error (mse), "
      "mean_absolute_error (mae), mean_absolute_percentage_error (mape), "
      "mean_squared_logarithmic_error (msle), huber, log_cosh (logcosh), poisson, kl_divergence (kld), "
      "cosine_similarity, hinge, squared_hinge, categorical_hinge, dice, ctc, tversky "
      "(metrics_test.cpp:LINE)");
}
