#pragma once
// Loss: a function of predictions and targets that gives one number an example, and what becomes of them.

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/tensor.h"

namespace tandem::nn {

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

/// What training makes small: by Keras's name, one of the classes in losses.h, or any function of predictions
/// and targets that gives one number an example. It is a handle.
///
///     nn::Loss loss = "mse";
///     td::Tensor error = loss(predictions, targets);             // a scalar
///     td::Tensor each = loss.values(predictions, targets);       // one number an example
///     nn::Loss own([](const td::Tensor& p, const td::Tensor& t) { return td::square(p - t); });
///
/// Names: those of the functions in losses.h, those of its classes, and the short mse, mae, mape, msle, bce,
/// kld, logcosh; crossentropy (ce) chooses the binary, the sparse or the categorical one by the shapes.
/// Errors: an unknown name.
class Loss {
 public:
  using Function = std::function<Tensor(const Tensor& predictions, const Tensor& targets)>;

  Loss() = default;
  Loss(const char* name, Location where = here()) : Loss(std::string(name), where) {}
  Loss(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&> && !std::is_base_of_v<Loss, F>)
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
  const std::shared_ptr<const detail::LossBody>& body() const { return body_; }

 private:
  std::shared_ptr<const detail::LossBody> body_;
};

}  // namespace tandem::nn
