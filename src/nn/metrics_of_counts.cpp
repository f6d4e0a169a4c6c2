// Metrics that count: right and wrong at thresholds, and which class was taken for which.

#include <algorithm>
#include <functional>
#include <limits>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/metric_bodies.h"
#include "nn/names.h"
#include "tandem/nn/metrics.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::aligned;
using detail::BuiltinBody;
using detail::full_weights;
using detail::index_of_choice;
using detail::quotient;

/// Weighted numbers at each threshold; scalars where there is one.
struct Counts {
  Tensor true_positives, false_positives, true_negatives, false_negatives;

  Tensor precision() const { return quotient(true_positives, true_positives + false_positives); }
  Tensor recall() const { return quotient(true_positives, true_positives + false_negatives); }
  Tensor specificity() const { return quotient(true_negatives, true_negatives + false_positives); }
};

struct ThresholdOptions {
  std::string name;
  std::vector<double> thresholds;
  std::optional<int64_t> top_k = {}, class_id = {};
  bool from_logits = false;
};

/// Counts what is above thresholds. The rest follows from the totals.
class ThresholdBody final : public BuiltinBody {
 public:
  using Result = std::function<Tensor(const Counts&)>;

  ThresholdBody(ThresholdOptions options, Result result)
      : BuiltinBody(options.name), options_(std::move(options)), result_(std::move(result)) {
    const auto count = static_cast<int64_t>(options_.thresholds.size());
    above_positive_ = state("true_positives", {count});
    above_negative_ = state("false_positives", {count});
    positive_ = state("positives");
    negative_ = state("negatives");
  }

  void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights) override {
    auto [p, t] = aligned(predictions, targets);
    if (options_.from_logits) p = sigmoid(p);
    if (options_.top_k) {
      const int64_t classes = p.shape().codes().back();
      TD_CHECK(classes >= 0, "the number of classes is unknown while tracing; top_k needs it");
      const Tensor places = topk(p, *options_.top_k).indices;
      p = where(sum(one_hot(places, classes), {-2}) > 0, p, -std::numeric_limits<double>::infinity());
    }
    if (options_.class_id) {
      p = gather(p, *options_.class_id, -1);
      t = gather(t, *options_.class_id, -1);
    }
    const Tensor w = reshape(full_weights(weights, p), {-1}), flat = reshape(p, {-1});
    const Tensor yes = w * reshape(cast(t != 0, DType::f64), {-1}), no = w - yes;
    positive_.assign_add(sum(yes));
    negative_.assign_add(sum(no));
    if (options_.thresholds.size() == 1) {
      const Tensor above = cast(flat > options_.thresholds[0], DType::f64);
      above_positive_.assign_add(sum(above * yes, {0}, true));
      above_negative_.assign_add(sum(above * no, {0}, true));
    } else {
      const Tensor steps = cast(from_range(options_.thresholds), p.dtype());
      const Tensor above = cast(unsqueeze(flat, {0}) > unsqueeze(steps, {1}), DType::f64);
      const Tensor sums = matmul(above, stack({yes, no}, 1));
      above_positive_.assign_add(sums[{all, 0}]);
      above_negative_.assign_add(sums[{all, 1}]);
    }
  }

  Tensor result() override {
    Counts c{.true_positives = above_positive_, .false_positives = above_negative_};
    if (options_.thresholds.size() == 1) {
      c.true_positives = c.true_positives[0];
      c.false_positives = c.false_positives[0];
    }
    c.false_negatives = positive_ - c.true_positives;
    c.true_negatives = negative_ - c.false_positives;
    return result_(c);
  }

 private:
  ThresholdOptions options_;
  Result result_;
  Variable above_positive_, above_negative_, positive_, negative_;
};

void check_thresholds(const std::vector<double>& thresholds) {
  for (double t : thresholds) TD_CHECK(t >= 0 && t <= 1, "a threshold is {}; expected 0 to 1", t);
}

Metric counting(const char* kind, CountOptions& o, const char* name, Location where, Tensor Counts::*which) {
  return detail::in_call(kind, where, [&] {
    TD_CHECK(!o.thresholds.empty(), "there are no thresholds");
    check_thresholds(o.thresholds);
    return Metric(std::make_shared<ThresholdBody>(
        ThresholdOptions{.name = o.name.empty() ? name : o.name, .thresholds = o.thresholds},
        [which](const Counts& c) { return c.*which; }));
  });
}

Metric share(const char* kind, PrecisionOptions& o, const char* name, Location where,
             Tensor (Counts::*which)() const) {
  return detail::in_call(kind, where, [&] {
    check_thresholds(o.thresholds);
    TD_CHECK(!o.top_k || *o.top_k > 0, "top_k is {}; expected 1 or more", *o.top_k);
    if (o.thresholds.empty()) o.thresholds = {o.top_k ? -std::numeric_limits<double>::infinity() : 0.5};
    return Metric(std::make_shared<ThresholdBody>(ThresholdOptions{.name = o.name.empty() ? name : o.name,
                                                                   .thresholds = o.thresholds,
                                                                   .top_k = o.top_k,
                                                                   .class_id = o.class_id},
                                                  [which](const Counts& c) { return (c.*which)(); }));
  });
}

/// count thresholds at equal distances, the outermost `beyond` 0 and 1.
std::vector<double> equal_steps(int64_t count, double beyond) {
  std::vector<double> steps;
  for (int64_t i = 0; i < count; ++i)
    steps.push_back(static_cast<double>(i) / static_cast<double>(count - 1));
  steps.front() -= beyond;
  steps.back() += beyond;
  return steps;
}

using Share = Tensor (Counts::*)() const;

Metric best_where(const char* kind, double least, AtOptions& o, const char* name, Location where,
                  Share constrained, Share best) {
  return detail::in_call(kind, where, [&] {
    TD_CHECK(least >= 0 && least <= 1, "the value to reach is {}; expected 0 to 1", least);
    TD_CHECK(o.num_thresholds > 0, "{} thresholds were asked for; expected 1 or more", o.num_thresholds);
    return Metric(std::make_shared<ThresholdBody>(
        ThresholdOptions{.name = o.name.empty() ? name : o.name,
                         .thresholds = o.num_thresholds == 1 ? std::vector<double>{0.5}
                                                             : equal_steps(o.num_thresholds, 0)},
        [=](const Counts& c) { return amax(tandem::where((c.*constrained)() >= least, (c.*best)(), 0)); }));
  });
}

// ---- areas under curves

const Index all_but_last(0, -1, 1, {});

Tensor falls(const Tensor& x) { return x[{all_but_last}] - x[{from(1)}]; }

/// The area under precision over recall, where precision is interpolated by true positives (Davis and
/// Goadrich, 2006), as in Keras.
Tensor area_of_precision(const Counts& c) {
  const Tensor& tp = c.true_positives;
  const Tensor predicted = tp + c.false_positives;
  const Tensor before = predicted[{all_but_last}], after = predicted[{from(1)}];
  const Tensor slope = quotient(falls(tp), relu(falls(predicted)));
  const Tensor intercept = tp[{from(1)}] - slope * after;
  const Tensor ratio = where((before > 0) & (after > 0), quotient(before, relu(after)), 1);
  const Tensor positives = (tp + c.false_negatives)[{from(1)}];
  return sum(quotient(slope * (falls(tp) + intercept * log(ratio)), positives));
}

Tensor area(const Counts& c, bool precision, const std::string& how) {
  if (precision && how == "interpolation") return area_of_precision(c);
  const Tensor x = precision ? c.recall() : 1 - c.specificity(), y = precision ? c.precision() : c.recall();
  const Tensor left = y[{all_but_last}], right = y[{from(1)}];
  const Tensor height = how == "interpolation" ? (left + right) / 2
                        : how == "minoring"    ? minimum(left, right)
                                               : maximum(left, right);
  return sum(falls(x) * height);
}

// ---- f-beta

class FBetaBody final : public BuiltinBody {
 public:
  explicit FBetaBody(FBetaScoreOptions options) : BuiltinBody(options.name), options_(std::move(options)) {}

  void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights) override {
    detail::check_defined(predictions, targets);
    Tensor given = targets;
    const int64_t classes = predictions.rank() > 0 ? predictions.shape().codes().back() : 0;
    if (predictions.rank() >= 2 && classes > 1 && is_integer(given.dtype()) &&
        (given.rank() < predictions.rank() || given.shape().codes().back() == 1))
      given = one_hot(class_labels(detail::checked_labels(predictions, given), classes), classes);
    auto [p, t] = aligned(predictions, given);
    if (p.rank() == 1) {
      p = unsqueeze(p, {-1});
      t = unsqueeze(t, {-1});
    }
    if (!above_positive_.defined()) {
      TD_CHECK(p.shape().codes().back() >= 0, "the number of classes is unknown while tracing");
      above_positive_ = state("true_positives", {p.shape().codes().back()});
      above_negative_ = state("false_positives", {p.shape().codes().back()});
      positive_ = state("positives", {p.shape().codes().back()});
    }
    const int64_t columns = positive_.shape()[0];
    TD_CHECK(p.shape().codes().back() < 0 || p.shape().codes().back() == columns, "{} classes follow {}",
             p.shape().codes().back(), columns);
    // Where all are zero none is the largest.
    const Tensor above =
        options_.threshold ? p > *options_.threshold : (p >= amax(p, {-1}, true)) & (abs(p) > 1e-9);
    const auto rows = [&](const Tensor& x) { return reshape(cast(x, DType::f64), {-1, columns}); };
    const Tensor w = rows(full_weights(weights, p)), yes = rows(t) * w, a = rows(above);
    above_positive_.assign_add(sum(a * yes, {0}));
    above_negative_.assign_add(sum(a * (w - yes), {0}));
    positive_.assign_add(sum(yes, {0}));
  }

  Tensor result() override {
    if (!positive_.defined()) return zeros({}, DType::f64);
    Tensor right = above_positive_, wrong = above_negative_, positives = positive_;
    if (options_.average == "micro") {
      right = sum(right);
      wrong = sum(wrong);
      positives = sum(positives);
    }
    const Tensor precision = quotient(right, right + wrong), recall = quotient(right, positives);
    const double square = options_.beta * options_.beta;
    Tensor score = quotient(precision * recall * (1 + square), precision * square + recall);
    if (options_.average == "macro") return mean(score);
    if (options_.average == "weighted") return quotient(sum(score * positives), sum(positives));
    return score;
  }

 private:
  FBetaScoreOptions options_;
  Variable above_positive_, above_negative_, positive_;
};

Metric f_beta(const char* kind, FBetaScoreOptions o, Location where) {
  return detail::in_call(kind, where, [&] {
    TD_CHECK(o.beta > 0, "beta is {}; expected more than 0", o.beta);
    if (!o.average.empty()) index_of_choice("average", o.average, {"macro", "micro", "weighted"});
    return Metric(std::make_shared<FBetaBody>(std::move(o)));
  });
}

// ---- classes for classes

class ConfusionBody : public BuiltinBody {
 public:
  ConfusionBody(std::string name, int64_t classes, std::optional<int64_t> ignored,
                std::optional<double> threshold = {})
      : BuiltinBody(std::move(name)), classes_(classes), ignored_(ignored), threshold_(threshold) {
    TD_CHECK(classes > 0, "{} classes were given; expected 1 or more", classes);
    cells_ = state("cells", {classes * classes});
  }

  void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights) override {
    detail::check_defined(predictions, targets);
    Tensor p = predictions, t = targets;
    if (threshold_)
      p = cast(p >= *threshold_, DType::i64);
    else if (p.rank() > 0 && p.shape().codes().back() == classes_ &&
             (p.rank() > t.rank() || (is_floating(p.dtype()) && p.rank() >= 2)))
      p = argmax(p, -1);
    if (t.rank() == p.rank() + 1)
      t = t.shape().codes().back() == 1 ? squeeze(t, {-1}) : argmax(t, -1);
    else if (p.rank() == t.rank() + 1 && p.shape().codes().back() == 1)
      p = squeeze(p, {-1});
    TD_CHECK(detail::fits(p.shape().codes(), t.shape().codes()),
             "predictions of shape {} do not fit targets of shape {}", predictions.shape(), targets.shape());
    Tensor w = full_weights(weights, p);
    p = class_labels(cast(p, DType::i64), classes_);
    t = class_labels(cast(t, DType::i64), classes_, ignored_);
    if (ignored_) {
      const Tensor counts = t != *ignored_;
      w = where(counts, w, 0);
      t = where(counts, t, 0);
    }
    cells_.scatter_add(reshape(t * classes_ + p, {-1}), reshape(w, {-1}));
  }
  Tensor result() override { return reshape(cells_, {classes_, classes_}); }

 private:
  int64_t classes_;
  std::optional<int64_t> ignored_;
  std::optional<double> threshold_;
  Variable cells_;
};

class OverlapBody final : public ConfusionBody {
 public:
  OverlapBody(std::string name, int64_t classes, std::vector<int64_t> chosen, std::optional<int64_t> ignored,
              std::optional<double> threshold = {})
      : ConfusionBody(std::move(name), classes, ignored, threshold), chosen_(std::move(chosen)) {
    for (int64_t c : chosen_)
      TD_CHECK(c >= 0 && c < classes, "class {} is out of range for {} classes; expected 0 to {}", c, classes,
               classes - 1);
  }

  Tensor result() override {
    const Tensor cells = ConfusionBody::result();
    Tensor both = sum(cells * eye_like(cells), {1});
    Tensor either = sum(cells, {0}) + sum(cells, {1}) - both;
    if (!chosen_.empty()) {
      both = gather(both, from_range(chosen_));
      either = gather(either, from_range(chosen_));
    }
    return quotient(sum(quotient(both, either)), sum(cast(either > 0, DType::f64)));
  }

 private:
  std::vector<int64_t> chosen_;  ///< all if empty
};

template <class Body, class... Arguments>
Metric made(const char* kind, Location where, Arguments... arguments) {
  return detail::in_call(kind, where,
                         [&] { return Metric(std::make_shared<Body>(std::move(arguments)...)); });
}

std::string or_default(const std::string& name, const char* otherwise) {
  return name.empty() ? otherwise : name;
}

}  // namespace

TruePositives::TruePositives(CountOptions o, Location where)
    : Metric(counting("TruePositives", o, "true_positives", where, &Counts::true_positives)) {}
TrueNegatives::TrueNegatives(CountOptions o, Location where)
    : Metric(counting("TrueNegatives", o, "true_negatives", where, &Counts::true_negatives)) {}
FalsePositives::FalsePositives(CountOptions o, Location where)
    : Metric(counting("FalsePositives", o, "false_positives", where, &Counts::false_positives)) {}
FalseNegatives::FalseNegatives(CountOptions o, Location where)
    : Metric(counting("FalseNegatives", o, "false_negatives", where, &Counts::false_negatives)) {}

Precision::Precision(PrecisionOptions o, Location where)
    : Metric(share("Precision", o, "precision", where, &Counts::precision)) {}
Recall::Recall(PrecisionOptions o, Location where)
    : Metric(share("Recall", o, "recall", where, &Counts::recall)) {}

FBetaScore::FBetaScore(FBetaScoreOptions o, Location where)
    : Metric([&] {
        if (o.name.empty()) o.name = "fbeta_score";
        return f_beta("FBetaScore", o, where);
      }()) {}
F1Score::F1Score(F1ScoreOptions o, Location where)
    : Metric(f_beta("F1Score", {.average = o.average, .threshold = o.threshold, .name = o.name}, where)) {}

AUC::AUC(AUCOptions o, Location where)
    : Metric(detail::in_call("AUC", where, [&] {
        const bool precision = index_of_choice("curve", o.curve, {"ROC", "PR"}) == 1;
        index_of_choice("summation method", o.summation_method, {"interpolation", "minoring", "majoring"});
        TD_CHECK(!o.thresholds.empty() || o.num_thresholds > 1,
                 "{} thresholds were asked for; expected 2 or more", o.num_thresholds);
        check_thresholds(o.thresholds);
        constexpr double beyond = 1e-7;  // so that 0 and 1 lie inside
        std::vector<double> steps = o.thresholds;
        std::sort(steps.begin(), steps.end());
        if (steps.empty()) {
          steps = equal_steps(o.num_thresholds, beyond);
        } else {
          steps.insert(steps.begin(), -beyond);
          steps.push_back(1 + beyond);
        }
        return Metric(std::make_shared<ThresholdBody>(
            ThresholdOptions{.name = o.name, .thresholds = steps, .from_logits = o.from_logits},
            [precision, how = o.summation_method](const Counts& c) { return area(c, precision, how); }));
      })) {}

PrecisionAtRecall::PrecisionAtRecall(double recall, AtOptions o, Location where)
    : Metric(best_where("PrecisionAtRecall", recall, o, "precision_at_recall", where, &Counts::recall,
                        &Counts::precision)) {}
RecallAtPrecision::RecallAtPrecision(double precision, AtOptions o, Location where)
    : Metric(best_where("RecallAtPrecision", precision, o, "recall_at_precision", where, &Counts::precision,
                        &Counts::recall)) {}
SensitivityAtSpecificity::SensitivityAtSpecificity(double specificity, AtOptions o, Location where)
    : Metric(best_where("SensitivityAtSpecificity", specificity, o, "sensitivity_at_specificity", where,
                        &Counts::specificity, &Counts::recall)) {}
SpecificityAtSensitivity::SpecificityAtSensitivity(double sensitivity, AtOptions o, Location where)
    : Metric(best_where("SpecificityAtSensitivity", sensitivity, o, "specificity_at_sensitivity", where,
                        &Counts::recall, &Counts::specificity)) {}

ConfusionMatrix::ConfusionMatrix(int64_t num_classes, ConfusionOptions o, Location where)
    : Metric(made<ConfusionBody>("ConfusionMatrix", where, or_default(o.name, "confusion_matrix"),
                                 num_classes, o.ignore_class)) {}
MeanIoU::MeanIoU(int64_t num_classes, ConfusionOptions o, Location where)
    : Metric(made<OverlapBody>("MeanIoU", where, or_default(o.name, "mean_io_u"), num_classes,
                               std::vector<int64_t>(), o.ignore_class)) {}
IoU::IoU(int64_t num_classes, std::vector<int64_t> target_class_ids, ConfusionOptions o, Location where)
    : Metric(made<OverlapBody>("IoU", where, or_default(o.name, "io_u"), num_classes, target_class_ids,
                               o.ignore_class)) {}
BinaryIoU::BinaryIoU(BinaryIoUOptions o, Location where)
    : Metric(made<OverlapBody>("BinaryIoU", where, o.name, 2, o.target_class_ids, std::optional<int64_t>(),
                               std::optional<double>(o.threshold))) {}

}  // namespace tandem::nn
