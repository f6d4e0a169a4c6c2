#pragma once
// The losses that come with Tandem, as functions that give one number an example and as objects for
// compile().
//
// Targets are cast to the predictions' dtype; predictions of (batch, 1) fit targets of (batch) and the other
// way round. "Mean over the last dimension" leaves predictions of shape (batch) as they are: each is an
// example. Errors of all: shapes that do not fit.

#include <cstdint>
#include <optional>

#include "tandem/nn/loss.h"

namespace tandem::nn {

// ---- functions

/// -log(softmax(logits)[label]) without overflow, in one pass: (..., classes) and integer labels (...) or
/// (..., 1) to (...). `td::mean(nn::sparse_softmax_cross_entropy(logits, labels))`
/// Errors: shapes that do not fit, labels that are not integers or not in 0 to classes - 1; in graphs these
/// are found when the graph runs.
Tensor sparse_softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Location where = here());

/// -log(probabilities[label]): (..., classes) and integer labels (...) or (..., 1) to (...). Probabilities
/// are made to add up to 1 and limited to 1e-7 and 1 - 1e-7; from logits it is sparse_softmax_cross_entropy.
/// Labels equal to `ignored_class` give 0. `axis` is that of the classes. Errors: as
/// sparse_softmax_cross_entropy.
Tensor sparse_categorical_crossentropy(const Tensor& predictions, const Tensor& labels,
                                       bool from_logits = false, std::optional<int64_t> ignored_class = {},
                                       int axis = -1, Location where = here());

/// -sum(targets * log(probabilities)) over `axis`, with probabilities made to add up to 1 and limited to 1e-7
/// and 1 - 1e-7. Label smoothing s takes targets to (1 - s) * targets + s / classes.
Tensor categorical_crossentropy(const Tensor& predictions, const Tensor& targets, bool from_logits = false,
                                double label_smoothing = 0, int axis = -1, Location where = here());

/// Mean over `axis` of -(t log(p) + (1 - t) log(1 - p)), p limited to 1e-7 and 1 - 1e-7. Label smoothing s
/// takes targets to (1 - s) * targets + s / 2. Errors: integer targets other than 0 and 1.
Tensor binary_crossentropy(const Tensor& predictions, const Tensor& targets, bool from_logits = false,
                           double label_smoothing = 0, int axis = -1, Location where = here());

/// binary_crossentropy with (1 - p_t) ^ gamma before each term, p_t being the probability of what is right.
/// Class balancing weighs positive targets with alpha and negative ones with 1 - alpha.
Tensor binary_focal_crossentropy(const Tensor& predictions, const Tensor& targets,
                                 bool apply_class_balancing = false, double alpha = 0.25, double gamma = 2,
                                 bool from_logits = false, double label_smoothing = 0, int axis = -1,
                                 Location where = here());
/// categorical_crossentropy with alpha * (1 - p) ^ gamma before each term.
Tensor categorical_focal_crossentropy(const Tensor& predictions, const Tensor& targets, double alpha = 0.25,
                                      double gamma = 2, bool from_logits = false, double label_smoothing = 0,
                                      int axis = -1, Location where = here());

/// Mean over the last dimension of the squared differences.
Tensor mean_squared_error(const Tensor& predictions, const Tensor& targets, Location where = here());
/// Mean over the last dimension of the absolute differences.
Tensor mean_absolute_error(const Tensor& predictions, const Tensor& targets, Location where = here());
/// Mean over the last dimension of 100 |t - p| / max(|t|, 1e-7).
Tensor mean_absolute_percentage_error(const Tensor& predictions, const Tensor& targets,
                                      Location where = here());
/// Mean over the last dimension of (log(1 + t) - log(1 + p))^2, where what is below 1e-7 counts as that.
Tensor mean_squared_logarithmic_error(const Tensor& predictions, const Tensor& targets,
                                      Location where = here());
/// Mean over the last dimension: half the squared difference up to `delta`, linear beyond.
Tensor huber(const Tensor& predictions, const Tensor& targets, double delta = 1, Location where = here());
/// Mean over the last dimension of log(cosh(p - t)).
Tensor log_cosh(const Tensor& predictions, const Tensor& targets, Location where = here());
/// Mean over the last dimension of p - t log(p + 1e-7).
Tensor poisson(const Tensor& predictions, const Tensor& targets, Location where = here());
/// Sum over the last dimension of t log(t / p), both limited to 1e-7 and 1.
Tensor kl_divergence(const Tensor& predictions, const Tensor& targets, Location where = here());
/// The negated cosine of the angle along `axis`: -1 where both point one way.
Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, int axis = -1,
                         Location where = here());
/// Mean over the last dimension of max(1 - t p, 0). Targets are -1 and 1; those that are all 0 or 1 are taken
/// to -1 and 1.
Tensor hinge(const Tensor& predictions, const Tensor& targets, Location where = here());
/// Mean over the last dimension of max(1 - t p, 0)^2; targets as hinge.
Tensor squared_hinge(const Tensor& predictions, const Tensor& targets, Location where = here());
/// max(1 + largest of (1 - t) p - sum of t p, 0) over the last dimension; targets are 0 and 1.
Tensor categorical_hinge(const Tensor& predictions, const Tensor& targets, Location where = here());
/// 1 - 2 sum(p t) / (sum(p) + sum(t) + 1e-7) over `axes`, by default all: one number a batch.
Tensor dice(const Tensor& predictions, const Tensor& targets, std::optional<std::vector<int>> axes = {},
            Location where = here());
/// 1 - sum(p t) / (sum(p t) + alpha sum(p (1 - t)) + beta sum((1 - p) t) + 1e-7) over `axes`, by default all.
Tensor tversky(const Tensor& predictions, const Tensor& targets, double alpha = 0.5, double beta = 0.5,
               std::optional<std::vector<int>> axes = {}, Location where = here());

/// Connectionist temporal classification: -log of the probability that frames, each its own choice of a
/// class, spell the labels once repetitions and blanks are dropped. Logits (batch, frames, classes) and
/// integer labels (batch, length) to (batch). Class 0 is the blank, and fills labels up that are shorter.
/// Frames too few for the labels give about 1e30. Errors: shapes that do not fit, labels outside 0 to classes
/// - 1.
Tensor ctc(const Tensor& logits, const Tensor& labels, Location where = here());

// ---- objects

/// Options of BinaryCrossentropy and CategoricalCrossentropy.
struct CrossentropyOptions {
  bool from_logits = false;
  double label_smoothing = 0;  ///< 0 to 1
  int axis = -1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// `nn::BinaryCrossentropy({.from_logits = true})`; see binary_crossentropy.
class BinaryCrossentropy : public Loss {
 public:
  explicit BinaryCrossentropy(CrossentropyOptions options = {}, Location where = here());
};
/// See categorical_crossentropy.
class CategoricalCrossentropy : public Loss {
 public:
  explicit CategoricalCrossentropy(CrossentropyOptions options = {}, Location where = here());
};

/// Options of BinaryFocalCrossentropy.
struct BinaryFocalCrossentropyOptions {
  bool apply_class_balancing = false;
  double alpha = 0.25, gamma = 2;
  bool from_logits = false;
  double label_smoothing = 0;
  int axis = -1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See binary_focal_crossentropy.
class BinaryFocalCrossentropy : public Loss {
 public:
  explicit BinaryFocalCrossentropy(BinaryFocalCrossentropyOptions options = {}, Location where = here());
};

/// Options of CategoricalFocalCrossentropy.
struct CategoricalFocalCrossentropyOptions {
  double alpha = 0.25, gamma = 2;
  bool from_logits = false;
  double label_smoothing = 0;
  int axis = -1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See categorical_focal_crossentropy.
class CategoricalFocalCrossentropy : public Loss {
 public:
  explicit CategoricalFocalCrossentropy(CategoricalFocalCrossentropyOptions options = {},
                                        Location where = here());
};

/// Options of SparseCategoricalCrossentropy.
struct SparseCategoricalCrossentropyOptions {
  bool from_logits = false;
  /// Labels of this value count for nothing: the mean divides by the number of others.
  std::optional<int64_t> ignore_class = {};
  int axis = -1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// `nn::SparseCategoricalCrossentropy({.from_logits = true})`; see sparse_categorical_crossentropy.
class SparseCategoricalCrossentropy : public Loss {
 public:
  explicit SparseCategoricalCrossentropy(SparseCategoricalCrossentropyOptions options = {},
                                         Location where = here());
};

/// See mean_squared_error.
class MeanSquaredError : public Loss {
 public:
  explicit MeanSquaredError(LossOptions options = {});
};
/// See mean_absolute_error.
class MeanAbsoluteError : public Loss {
 public:
  explicit MeanAbsoluteError(LossOptions options = {});
};
/// See mean_absolute_percentage_error.
class MeanAbsolutePercentageError : public Loss {
 public:
  explicit MeanAbsolutePercentageError(LossOptions options = {});
};
/// See mean_squared_logarithmic_error.
class MeanSquaredLogarithmicError : public Loss {
 public:
  explicit MeanSquaredLogarithmicError(LossOptions options = {});
};
/// See log_cosh.
class LogCosh : public Loss {
 public:
  explicit LogCosh(LossOptions options = {});
};
/// See poisson.
class Poisson : public Loss {
 public:
  explicit Poisson(LossOptions options = {});
};
/// See kl_divergence.
class KLDivergence : public Loss {
 public:
  explicit KLDivergence(LossOptions options = {});
};
/// See hinge.
class Hinge : public Loss {
 public:
  explicit Hinge(LossOptions options = {});
};
/// See squared_hinge.
class SquaredHinge : public Loss {
 public:
  explicit SquaredHinge(LossOptions options = {});
};
/// See categorical_hinge.
class CategoricalHinge : public Loss {
 public:
  explicit CategoricalHinge(LossOptions options = {});
};

/// See ctc.
class CTC : public Loss {
 public:
  explicit CTC(LossOptions options = {});
};

/// Options of Huber.
struct HuberOptions {
  double delta = 1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See huber. Errors: a delta that is not positive.
class Huber : public Loss {
 public:
  explicit Huber(HuberOptions options = {}, Location where = here());
};

/// Options of CosineSimilarity.
struct CosineSimilarityOptions {
  int axis = -1;
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See cosine_similarity.
class CosineSimilarity : public Loss {
 public:
  explicit CosineSimilarity(CosineSimilarityOptions options = {});
};

/// Options of Dice.
struct DiceOptions {
  std::optional<std::vector<int>> axes = {};
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See dice.
class Dice : public Loss {
 public:
  explicit Dice(DiceOptions options = {});
};

/// Options of Tversky.
struct TverskyOptions {
  double alpha = 0.5, beta = 0.5;
  std::optional<std::vector<int>> axes = {};
  Reduction reduction = Reduction::mean;
  std::string name = {};
};
/// See tversky.
class Tversky : public Loss {
 public:
  explicit Tversky(TverskyOptions options = {});
};

}  // namespace tandem::nn
