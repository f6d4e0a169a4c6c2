#pragma once
// Losses: functions of predictions and targets that give one number an example, and Loss, which makes one
// number of them.

#include <functional>
#include <memory>
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

/// How the numbers of the examples become one.
enum class Reduction {
  none,                    ///< they do not
  sum,                     ///< their sum
  mean,                    ///< their sum over their count, whatever the weights: Keras's sum_over_batch_size
  mean_with_sample_weight  ///< their sum over that of their weights
};

/// What every loss may be told.
struct LossOptions {
  Reduction reduction = Reduction::mean;
  /// Default: the loss's own name.
  std::string name = {};
};

namespace detail {
struct LossBody;
}

/// What training makes small: by Keras's name, one of the classes below, or any function of predictions and
/// targets that gives one number an example. It is a handle.
///
///     nn::Loss loss = "mse";
///     td::Tensor error = loss(predictions, targets);             // a scalar
///     td::Tensor each = loss.values(predictions, targets);       // one number an example
///     nn::Loss own([](const td::Tensor& p, const td::Tensor& t) { return td::square(p - t); });
///
/// Names: sparse_categorical_crossentropy, sparse_softmax_cross_entropy, categorical_crossentropy,
/// mean_squared_error (mse), mean_absolute_error (mae). Errors: an unknown name.
class Loss {
 public:
  using Function = std::function<Tensor(const Tensor& predictions, const Tensor& targets)>;

  Loss() = default;
  Loss(const char* name, Location where = here()) : Loss(std::string(name), where) {}
  Loss(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&>)
      Loss(F function, LossOptions options = {})
      : Loss(Function(std::move(function)), std::move(options)) {}
  Loss(Function function, LossOptions options = {});

  bool defined() const { return body_ != nullptr; }
  /// As the user spelled it.
  const std::string& name() const;
  Reduction reduction() const;

  /// The reduced loss: a scalar, unless there is no reduction. `weights` multiply the examples' numbers; they
  /// have the shape of these, or its first dimensions. Only positions where `mask` is not zero count: the
  /// mean divides by their number, and is 0 if there are none. Errors: weights or a mask of other shapes, and
  /// those of the function.
  Tensor operator()(const Tensor& predictions, const Tensor& targets, const Tensor& weights = {},
                    const Tensor& mask = {}, Location where = here()) const;
  /// One number an example, neither weighted nor reduced. The built-in losses compute float16 and bfloat16
  /// predictions in float32.
  Tensor values(const Tensor& predictions, const Tensor& targets, Location where = here()) const;

  // For Tandem's own losses.
  explicit Loss(std::shared_ptr<const detail::LossBody> body) : body_(std::move(body)) {}

 private:
  std::shared_ptr<const detail::LossBody> body_;
};

}  // namespace tandem::nn
