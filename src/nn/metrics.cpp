// Metrics of right answers, of any numbers, and of regression; and all metrics by name.

#include "tandem/nn/metrics.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/metric_bodies.h"
#include "nn/names.h"
#include "tandem/nn/losses.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::aligned;
using detail::at_line;
using detail::BuiltinBody;
using detail::full_weights;
using detail::MeanBody;
using detail::quotient;

/// Whether fewer than k of a row are larger than what it says at its label.
Tensor in_top_k(const Tensor& rows, const Tensor& labels, int64_t k) {
  TD_CHECK(k > 0, "k is {}; expected 1 or more", k);
  const Tensor index = class_labels(labels, Dim(rows.shape().codes().back()));
  const Tensor chosen = gather_elements(rows, unsqueeze(index, {-1}), -1);
  return cast(sum(cast(rows > chosen, DType::i64), {-1}) < k, DType::f32);
}

template <class F>
Loss values_of(F function) {
  return Loss(std::make_shared<const detail::LossBody>(
      detail::LossBody{.values = function, .options = {.name = "values"}, .builtin = true}));
}

template <class F>
Metric mean_of(std::string name, F function) {
  return Metric(values_of(function), std::make_shared<MeanBody>(std::move(name)));
}

class SumBody final : public BuiltinBody {
 public:
  using BuiltinBody::BuiltinBody;
  void update(const Tensor& values, const Tensor&, const Tensor& weights) override {
    const Tensor v = cast(values, DType::f64);
    total_.assign_add(sum(weights.defined() ? v * full_weights(weights, v) : v));
  }
  Tensor result() override { return total_; }

 private:
  Variable total_ = state("total");
};

class MeanTensorBody final : public BuiltinBody {
 public:
  using BuiltinBody::BuiltinBody;
  void update(const Tensor& values, const Tensor&, const Tensor& weights) override {
    if (!total_.defined()) {
      TD_CHECK(values.shape().is_static(), "the shape {} is not wholly known while tracing", values.shape());
      total_ = state("total", values.shape().codes());
      count_ = state("count", values.shape().codes());
    }
    TD_CHECK(detail::fits(values.shape().codes(), total_.shape()),
             "values of shape {} follow values of shape {}", values.shape(), total_.shape());
    const Tensor v = cast(values, DType::f64), w = full_weights(weights, v);
    total_.assign_add(v * w);
    count_.assign_add(w);
  }
  Tensor result() override {
    TD_CHECK(total_.defined(), "there were no values yet");
    return quotient(total_, count_);
  }

 private:
  Variable total_, count_;
};

class RootBody final : public MeanBody {
 public:
  using MeanBody::MeanBody;
  Tensor result() override { return sqrt(MeanBody::result()); }
};

class R2Body final : public BuiltinBody {
 public:
  explicit R2Body(R2ScoreOptions options) : BuiltinBody(options.name), options_(std::move(options)) {}

  void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights) override {
    auto [p, t] = aligned(predictions, targets);
    if (p.rank() == 1) {
      p = unsqueeze(p, {-1});
      t = unsqueeze(t, {-1});
    }
    const int64_t outputs = p.shape().codes().back();
    if (!residual_.defined()) {
      TD_CHECK(outputs >= 0, "the number of outputs is unknown while tracing");
      squares_ = state("squares", {outputs});
      sum_ = state("sum", {outputs});
      residual_ = state("residual", {outputs});
      count_ = state("count", {outputs});
      examples_ = state("examples");
    }
    TD_CHECK(outputs < 0 || outputs == residual_.shape()[0], "{} outputs follow {}", outputs,
             residual_.shape()[0]);
    const auto rows = [&](const Tensor& x) {
      return reshape(cast(x, DType::f64), {-1, residual_.shape()[0]});
    };
    const Tensor w = rows(full_weights(weights, p)), truth = rows(t), weighted = truth * w;
    squares_.assign_add(sum(truth * weighted, {0}));
    sum_.assign_add(sum(weighted, {0}));
    residual_.assign_add(sum(square(truth - rows(p)) * w, {0}));
    count_.assign_add(sum(w, {0}));
    examples_.assign_add(cast(shape_of(truth, 0, 1), DType::f64)[0]);
  }

  Tensor result() override {
    if (!residual_.defined()) return zeros({}, DType::f64);
    const Tensor total = squares_ - sum_ * quotient(sum_, count_);
    Tensor score = where(total == 0, 0, 1 - quotient(residual_, total));
    if (options_.class_aggregation == "uniform_average") score = mean(score);
    if (options_.class_aggregation == "variance_weighted_average")
      score = quotient(sum(total * score), sum(total));
    if (options_.num_regressors == 0) return score;
    // The adjusted score needs more examples than regressors.
    const Tensor freedom = examples_ - (options_.num_regressors + 1);
    return where(freedom > 0, 1 - quotient((1 - score) * (examples_ - 1), freedom), score);
  }

 private:
  R2ScoreOptions options_;
  Variable squares_, sum_, residual_, count_, examples_;
};

}  // namespace

// ---- functions

Tensor binary_accuracy(const Tensor& predictions, const Tensor& targets, double threshold, Location where) {
  return at_line("binary_accuracy", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return detail::mean_over(cast((p > threshold) == (t > 0.5), DType::f32));
  });
}

Tensor categorical_accuracy(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("categorical_accuracy", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return cast(argmax(p, -1) == argmax(t, -1), DType::f32);
  });
}

Tensor sparse_categorical_accuracy(const Tensor& predictions, const Tensor& labels, Location where) {
  return at_line("sparse_categorical_accuracy", where, [&] {
    const Tensor index = detail::checked_labels(predictions, labels);
    return cast(argmax(predictions, -1) == index, DType::f32);
  });
}

Tensor top_k_categorical_accuracy(const Tensor& predictions, const Tensor& targets, int64_t k,
                                  Location where) {
  return at_line("top_k_categorical_accuracy", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return in_top_k(p, argmax(t, -1), k);
  });
}

Tensor sparse_top_k_categorical_accuracy(const Tensor& predictions, const Tensor& labels, int64_t k,
                                         Location where) {
  return at_line("sparse_top_k_categorical_accuracy", where,
                 [&] { return in_top_k(predictions, detail::checked_labels(predictions, labels), k); });
}

// ---- right answers

BinaryAccuracy::BinaryAccuracy(BinaryAccuracyOptions o, Location where)
    : Metric(mean_of(o.name, [t = o.threshold](const Tensor& p, const Tensor& y) {
        return binary_accuracy(p, y, t, {});
      })) {
  detail::in_call("BinaryAccuracy", where, [&] {
    TD_CHECK(o.threshold > 0 && o.threshold < 1, "the threshold is {}; expected between 0 and 1",
             o.threshold);
  });
}

CategoricalAccuracy::CategoricalAccuracy(std::string name)
    : Metric(mean_of(std::move(name),
                     [](const Tensor& p, const Tensor& t) { return categorical_accuracy(p, t, {}); })) {}

SparseCategoricalAccuracy::SparseCategoricalAccuracy(std::string name)
    : Metric(mean_of(std::move(name), [](const Tensor& p, const Tensor& t) {
        return sparse_categorical_accuracy(p, t, {});
      })) {}

TopKCategoricalAccuracy::TopKCategoricalAccuracy(int64_t k, std::string name)
    : Metric(mean_of(std::move(name), [k](const Tensor& p, const Tensor& t) {
        return top_k_categorical_accuracy(p, t, k, {});
      })) {}

SparseTopKCategoricalAccuracy::SparseTopKCategoricalAccuracy(int64_t k, std::string name)
    : Metric(mean_of(std::move(name), [k](const Tensor& p, const Tensor& t) {
        return sparse_top_k_categorical_accuracy(p, t, k, {});
      })) {}

// ---- any numbers

Mean::Mean(std::string name) : Metric(std::make_shared<MeanBody>(std::move(name))) {}
void Mean::update(const Tensor& values, const Tensor& weights, Location where) const {
  Metric::update(values, {}, weights, {}, where);
}

Sum::Sum(std::string name) : Metric(std::make_shared<SumBody>(std::move(name))) {}
void Sum::update(const Tensor& values, const Tensor& weights, Location where) const {
  Metric::update(values, {}, weights, {}, where);
}

MeanTensor::MeanTensor(std::string name) : Metric(std::make_shared<MeanTensorBody>(std::move(name))) {}
void MeanTensor::update(const Tensor& values, const Tensor& weights, Location where) const {
  Metric::update(values, {}, weights, {}, where);
}

// ---- regression

RootMeanSquaredError::RootMeanSquaredError(std::string name)
    : Metric(Loss("mean_squared_error"), std::make_shared<RootBody>(std::move(name))) {}

R2Score::R2Score(R2ScoreOptions options, Location where) : Metric(std::make_shared<R2Body>(options)) {
  detail::in_call("R2Score", where, [&] {
    const std::string& how = options.class_aggregation;
    if (!how.empty())
      detail::index_of_choice("aggregation", how, {"uniform_average", "variance_weighted_average"});
    TD_CHECK(options.num_regressors >= 0, "{} regressors were given; expected 0 or more",
             options.num_regressors);
  });
}

// ---- names

namespace detail {

namespace {

using MakeMetric = Metric (*)(const std::string& name);

template <class T>
Metric named(const std::string& name) {
  return T(name);
}
template <class T, class Options>
Metric with_options(const std::string& name) {
  Options options;
  options.name = name;
  return T(options, {});
}
template <class T>
Metric with_k(const std::string& name) {
  return T(5, name);
}
Metric cosine(const std::string& name) {
  return mean_of(name, [](const Tensor& p, const Tensor& t) { return -cosine_similarity(p, t, -1, {}); });
}

constexpr KerasName<MakeMetric> metrics[] = {
    {"binary_accuracy", "BinaryAccuracy", "", with_options<BinaryAccuracy, BinaryAccuracyOptions>},
    {"categorical_accuracy", "CategoricalAccuracy", "", named<CategoricalAccuracy>},
    {"sparse_categorical_accuracy", "SparseCategoricalAccuracy", "", named<SparseCategoricalAccuracy>},
    {"top_k_categorical_accuracy", "TopKCategoricalAccuracy", "", with_k<TopKCategoricalAccuracy>},
    {"sparse_top_k_categorical_accuracy", "SparseTopKCategoricalAccuracy", "",
     with_k<SparseTopKCategoricalAccuracy>},
    {"true_positives", "TruePositives", "", with_options<TruePositives, CountOptions>},
    {"true_negatives", "TrueNegatives", "", with_options<TrueNegatives, CountOptions>},
    {"false_positives", "FalsePositives", "", with_options<FalsePositives, CountOptions>},
    {"false_negatives", "FalseNegatives", "", with_options<FalseNegatives, CountOptions>},
    {"precision", "Precision", "", with_options<Precision, PrecisionOptions>},
    {"recall", "Recall", "", with_options<Recall, PrecisionOptions>},
    {"f1_score", "F1Score", "f1", with_options<F1Score, F1ScoreOptions>},
    {"fbeta_score", "FBetaScore", "", with_options<FBetaScore, FBetaScoreOptions>},
    {"auc", "AUC", "", with_options<AUC, AUCOptions>},
    {"binary_io_u", "BinaryIoU", "", with_options<BinaryIoU, BinaryIoUOptions>},
    {"root_mean_squared_error", "RootMeanSquaredError", "rmse", named<RootMeanSquaredError>},
    {"r2_score", "R2Score", "r2", with_options<R2Score, R2ScoreOptions>},
    {"mean", "Mean", "", named<Mean>},
    {"sum", "Sum", "", named<Sum>},
    {"mean_tensor", "MeanTensor", "", named<MeanTensor>},
    {"cosine_similarity", "CosineSimilarity", "", cosine},
};

}  // namespace

std::optional<Metric> find_metric(const std::string& name) {
  const MakeMetric* found = find_keras_name(metrics, name);
  if (found == nullptr) return {};
  return (*found)(name);
}

std::string metric_names() { return keras_names(metrics); }

}  // namespace detail

}  // namespace tandem::nn
