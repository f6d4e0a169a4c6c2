#pragma once
// The metrics that come with Tandem. Every loss is one too: `.metrics = {"mse", nn::Huber({.delta = 2})}`
// reports its mean.
//
// Results are float64, scalars unless said. What divides by nothing is 0.

#include <optional>

#include "tandem/nn/metric.h"

namespace tandem::nn {

// ---- shares of right answers

/// 1 where prediction > threshold says what target > 0.5 says, else 0; the mean over the last dimension.
Tensor binary_accuracy(const Tensor& predictions, const Tensor& targets, double threshold = 0.5,
                       Location where = here());
/// 1 where the largest prediction stands where the largest target stands: (..., classes) twice to (...).
Tensor categorical_accuracy(const Tensor& predictions, const Tensor& targets, Location where = here());
/// 1 where the largest prediction stands at the label: (..., classes) and integers (...) to (...).
Tensor sparse_categorical_accuracy(const Tensor& predictions, const Tensor& labels, Location where = here());
/// 1 where fewer than k predictions are larger than the one at the largest target.
Tensor top_k_categorical_accuracy(const Tensor& predictions, const Tensor& targets, int64_t k = 5,
                                  Location where = here());
/// The same at an integer label.
Tensor sparse_top_k_categorical_accuracy(const Tensor& predictions, const Tensor& labels, int64_t k = 5,
                                         Location where = here());

/// Options of BinaryAccuracy.
struct BinaryAccuracyOptions {
  double threshold = 0.5;
  std::string name = "binary_accuracy";
};
/// Mean of binary_accuracy. Errors: a threshold outside 0 to 1, these not included.
class BinaryAccuracy : public Metric {
 public:
  explicit BinaryAccuracy(BinaryAccuracyOptions options = {}, Location where = here());
};
/// Mean of categorical_accuracy.
class CategoricalAccuracy : public Metric {
 public:
  explicit CategoricalAccuracy(std::string name = "categorical_accuracy");
};
/// Mean of sparse_categorical_accuracy.
class SparseCategoricalAccuracy : public Metric {
 public:
  explicit SparseCategoricalAccuracy(std::string name = "sparse_categorical_accuracy");
};
/// Mean of top_k_categorical_accuracy. `nn::TopKCategoricalAccuracy(3)`
class TopKCategoricalAccuracy : public Metric {
 public:
  explicit TopKCategoricalAccuracy(int64_t k = 5, std::string name = "top_k_categorical_accuracy");
};
/// Mean of sparse_top_k_categorical_accuracy.
class SparseTopKCategoricalAccuracy : public Metric {
 public:
  explicit SparseTopKCategoricalAccuracy(int64_t k = 5,
                                         std::string name = "sparse_top_k_categorical_accuracy");
};

// ---- sums of anything

/// Weighted mean of values. `nn::Mean loss; loss.update(values, weights);`
class Mean : public Metric {
 public:
  explicit Mean(std::string name = "mean");
  void update(const Tensor& values, const Tensor& weights = {}, Location where = here()) const;
};
/// Weighted sum of values.
class Sum : public Metric {
 public:
  explicit Sum(std::string name = "sum");
  void update(const Tensor& values, const Tensor& weights = {}, Location where = here()) const;
};
/// Weighted mean of tensors of one shape, element by element; the first one says the shape.
class MeanTensor : public Metric {
 public:
  explicit MeanTensor(std::string name = "mean_tensor");
  void update(const Tensor& values, const Tensor& weights = {}, Location where = here()) const;
};

// ---- regression

/// Square root of the mean squared difference.
class RootMeanSquaredError : public Metric {
 public:
  explicit RootMeanSquaredError(std::string name = "root_mean_squared_error");
};

/// Options of R2Score.
struct R2ScoreOptions {
  /// How the scores of several outputs become one: "uniform_average", "variance_weighted_average", or "" to
  /// leave them apart.
  std::string class_aggregation = "uniform_average";
  /// Number of variables behind the predictions, for the adjusted score; 0 for the plain one.
  int64_t num_regressors = 0;
  std::string name = "r2_score";
};
/// 1 - sum of squared errors / sum of squared distances of the targets from their mean, for each output
/// (the last dimension). Errors: another aggregation.
class R2Score : public Metric {
 public:
  explicit R2Score(R2ScoreOptions options = {}, Location where = here());
};

// ---- right and wrong at thresholds

/// Options of TruePositives and its kin.
struct CountOptions {
  /// A prediction is positive above it. Several give a result for each, of shape (thresholds).
  std::vector<double> thresholds = {0.5};
  std::string name = {};
};
/// Weighted number of positive predictions whose target is not 0.
class TruePositives : public Metric {
 public:
  explicit TruePositives(CountOptions options = {}, Location where = here());
};
/// Weighted number of other predictions whose target is 0.
class TrueNegatives : public Metric {
 public:
  explicit TrueNegatives(CountOptions options = {}, Location where = here());
};
/// Weighted number of positive predictions whose target is 0.
class FalsePositives : public Metric {
 public:
  explicit FalsePositives(CountOptions options = {}, Location where = here());
};
/// Weighted number of other predictions whose target is not 0.
class FalseNegatives : public Metric {
 public:
  explicit FalseNegatives(CountOptions options = {}, Location where = here());
};

/// Options of Precision and Recall.
struct PrecisionOptions {
  /// As in CountOptions; default 0.5, or none with `top_k`.
  std::vector<double> thresholds = {};
  /// Only the k largest predictions of each row may be positive.
  std::optional<int64_t> top_k = {};
  /// Only this entry of the last dimension counts.
  std::optional<int64_t> class_id = {};
  std::string name = {};
};
/// Of the positive predictions, the share whose target is positive. `nn::Precision({.thresholds = {0.8}})`
class Precision : public Metric {
 public:
  explicit Precision(PrecisionOptions options = {}, Location where = here());
};
/// Of the positive targets, the share whose prediction is positive.
class Recall : public Metric {
 public:
  explicit Recall(PrecisionOptions options = {}, Location where = here());
};

/// Options of FBetaScore.
struct FBetaScoreOptions {
  double beta = 1;
  /// How the scores of the classes become one: "macro" (their mean), "micro" (that of all counts together),
  /// "weighted" (by the number of targets), or "" to leave them apart. Keras's default is the last; ours
  /// gives one number for the log.
  std::string average = "macro";
  /// A prediction is positive above it. Default: the largest of each row is.
  std::optional<double> threshold = {};
  std::string name = {};
};
/// (1 + beta^2) * precision * recall / (beta^2 * precision + recall), of predictions (batch, classes) and
/// targets of that shape, or class numbers (batch). Errors: an average that is not known, a beta that is not
/// positive.
class FBetaScore : public Metric {
 public:
  explicit FBetaScore(FBetaScoreOptions options = {}, Location where = here());
};
/// Options of F1Score.
struct F1ScoreOptions {
  std::string average = "macro";
  std::optional<double> threshold = {};
  std::string name = "f1_score";
};
/// FBetaScore with a beta of 1.
class F1Score : public Metric {
 public:
  explicit F1Score(F1ScoreOptions options = {}, Location where = here());
};

/// Options of AUC.
struct AUCOptions {
  int64_t num_thresholds = 200;
  std::string curve = "ROC";                       ///< or "PR": precision over recall
  std::string summation_method = "interpolation";  ///< or "minoring", "majoring"
  /// Thresholds between 0 and 1 in place of equal steps.
  std::vector<double> thresholds = {};
  bool from_logits = false;
  std::string name = "auc";
};
/// The area under a curve of binary predictions between 0 and 1, by its values at thresholds. Errors: options
/// that are not known, fewer than 2 thresholds.
class AUC : public Metric {
 public:
  explicit AUC(AUCOptions options = {}, Location where = here());
};

/// Options of PrecisionAtRecall and its kin.
struct AtOptions {
  int64_t num_thresholds = 200;
  std::string name = {};
};
/// The best precision where recall is at least this. Errors: a value outside 0 to 1.
class PrecisionAtRecall : public Metric {
 public:
  explicit PrecisionAtRecall(double recall, AtOptions options = {}, Location where = here());
};
/// The best recall where precision is at least this.
class RecallAtPrecision : public Metric {
 public:
  explicit RecallAtPrecision(double precision, AtOptions options = {}, Location where = here());
};
/// The best sensitivity (share of positive targets found) where specificity (share of negative ones found) is
/// at least this.
class SensitivityAtSpecificity : public Metric {
 public:
  explicit SensitivityAtSpecificity(double specificity, AtOptions options = {}, Location where = here());
};
/// The best specificity where sensitivity is at least this.
class SpecificityAtSensitivity : public Metric {
 public:
  explicit SpecificityAtSensitivity(double sensitivity, AtOptions options = {}, Location where = here());
};

// ---- which class for which

/// Options of ConfusionMatrix and MeanIoU.
struct ConfusionOptions {
  /// Targets of this class count for nothing.
  std::optional<int64_t> ignore_class = {};
  std::string name = {};
};
/// Weighted numbers of examples by target (rows) and prediction (columns), of shape (classes, classes).
/// Predictions are class numbers (...), or one number a class (..., classes), of which the largest counts;
/// targets are class numbers (...), or one-hot (..., classes). Errors: numbers that are no class.
class ConfusionMatrix : public Metric {
 public:
  explicit ConfusionMatrix(int64_t num_classes, ConfusionOptions options = {}, Location where = here());
};
/// Mean over the classes that occur of true positives / (true positives + false positives + false negatives).
/// Arguments as for ConfusionMatrix.
class MeanIoU : public Metric {
 public:
  explicit MeanIoU(int64_t num_classes, ConfusionOptions options = {}, Location where = here());
};
/// The same over some classes. `nn::IoU(2, {0})`
class IoU : public Metric {
 public:
  explicit IoU(int64_t num_classes, std::vector<int64_t> target_class_ids, ConfusionOptions options = {},
               Location where = here());
};
/// Options of BinaryIoU.
struct BinaryIoUOptions {
  std::vector<int64_t> target_class_ids = {0, 1};
  double threshold = 0.5;  ///< predictions from it on are class 1
  std::string name = "binary_io_u";
};
/// IoU of two classes, of predictions between 0 and 1.
class BinaryIoU : public Metric {
 public:
  explicit BinaryIoU(BinaryIoUOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
