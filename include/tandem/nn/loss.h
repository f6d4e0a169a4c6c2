#pragma once
// Losses: functions of predictions and targets that give one number an example.

#include <functional>
#include <string>
#include <type_traits>

#include "tandem/tensor.h"

namespace tandem::nn {

/// -log(softmax(logits)[label]) without overflow: (..., classes) and integer labels (...) to (...).
/// `td::mean(nn::sparse_softmax_cross_entropy(logits, labels))`
/// Errors: shapes that do not fit, labels that are not integers or not in 0 to classes - 1; in graphs these
/// are found when the graph runs.
Tensor sparse_softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Location where = here());

/// -log(probabilities[label]): (..., classes) and integer labels (...) to (...). Probabilities are limited to
/// 1e-7 and 1 - 1e-7, as in Keras. Errors: as sparse_softmax_cross_entropy.
Tensor sparse_categorical_crossentropy(const Tensor& probabilities, const Tensor& labels,
                                       Location where = here());

/// -sum(targets * log(probabilities)) over the last dimension, with Keras's limits: (..., classes) twice to
/// (...). Errors: shapes that differ.
Tensor categorical_crossentropy(const Tensor& probabilities, const Tensor& targets, Location where = here());

/// Mean over the last dimension of the squared differences: (..., n) twice to (...). Predictions of shape
/// (batch, 1) fit targets of shape (batch). Errors: other shapes that differ.
Tensor mean_squared_error(const Tensor& predictions, const Tensor& targets, Location where = here());

/// Mean over the last dimension of the absolute differences; shapes as mean_squared_error.
Tensor mean_absolute_error(const Tensor& predictions, const Tensor& targets, Location where = here());

/// 1 where the prediction is right, else 0, as float32 (...): for integer labels (...) and predictions
/// (..., classes) when the largest is at the label; for targets (..., classes) when the largest of both are
/// at one place; for predictions (..., 1) or (...) of something that is or is not, when both lie on one side
/// of 0.5. Errors: shapes that do not fit.
Tensor correct_predictions(const Tensor& predictions, const Tensor& targets, Location where = here());

/// The share of correct predictions, as a float32 scalar. `nn::accuracy(model(images), labels)`
Tensor accuracy(const Tensor& predictions, const Tensor& targets, Location where = here());

namespace detail {

/// A function of predictions and targets, with its name.
class Criterion {
 public:
  using Function = std::function<Tensor(const Tensor& predictions, const Tensor& targets)>;

  Criterion() = default;
  Criterion(Function function, std::string name) : function_(std::move(function)), name_(std::move(name)) {}

  bool defined() const { return static_cast<bool>(function_); }
  /// As the user spelled it.
  const std::string& name() const { return name_; }
  /// True when operations inside have no lines of the user's own.
  bool is_builtin() const { return builtin_; }
  Tensor operator()(const Tensor& predictions, const Tensor& targets) const {
    return function_(predictions, targets);
  }

 protected:
  Function function_;
  std::string name_;
  bool builtin_ = false;
};

}  // namespace detail

/// What training makes small: by Keras's name, or any function of predictions and targets that gives one
/// number an example.
///
/// Names: sparse_categorical_crossentropy, sparse_softmax_cross_entropy, categorical_crossentropy,
/// mean_squared_error (mse), mean_absolute_error (mae). Errors: an unknown name.
class Loss : public detail::Criterion {
 public:
  Loss() = default;
  Loss(const char* name, Location where = here()) : Loss(std::string(name), where) {}
  Loss(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&>)
      Loss(F function, std::string name = "loss")
      : Criterion(std::move(function), std::move(name)) {}
};

/// What training reports: by Keras's name, or any function as for Loss. The report is the mean over all
/// examples.
///
/// Names: accuracy (acc), and those of the losses. Errors: an unknown name.
class Metric : public detail::Criterion {
 public:
  Metric(const char* name, Location where = here()) : Metric(std::string(name), where) {}
  Metric(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&>)
      Metric(F function, std::string name = "metric")
      : Criterion(std::move(function), std::move(name)) {}
};

}  // namespace tandem::nn
