#pragma once
// Optimizers.

#include <memory>
#include <vector>

#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::nn {

namespace detail {
class OptimizerBody;
}

/// Changes variables by their gradients. It is a handle: copies share the state. The state is made of
/// Variables, once, at the first step, so a step works eagerly and inside td::function, with equal bits.
///
///     auto [dw, db] = tape.gradient(loss, w, b);
///     optimizer.apply_gradients({dw, db}, {w, b});
class Optimizer {
 public:
  /// One step. A variable whose gradient is missing (an undefined tensor) stays as it is, and is named on
  /// standard error the first time. Errors: no gradient at all, another number of gradients than variables,
  /// another shape or dtype than the variable's.
  void apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                       Location where = here()) const;
  /// The rate, float32. Assigning to it takes effect at the next step, in graphs too.
  const Variable& learning_rate() const;
  /// The state besides the learning rate, in the order in which it was made.
  std::vector<Variable> variables() const;

 protected:
  explicit Optimizer(std::shared_ptr<detail::OptimizerBody> body) : body_(std::move(body)) {}

 private:
  std::shared_ptr<detail::OptimizerBody> body_;
};

/// Options of SGD.
struct SGDOptions {
  double momentum = 0;    ///< 0 to 1
  bool nesterov = false;  ///< needs momentum
};

/// Gradient descent: w -= rate * g. With momentum the velocity v = momentum * v + g takes g's place, with
/// nesterov g + momentum * v does. Errors: a negative rate, momentum outside 0 to 1.
///
///     nn::SGD optimizer(0.1, {.momentum = 0.9, .nesterov = true});
class SGD : public Optimizer {
 public:
  explicit SGD(double learning_rate = 0.01, SGDOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
