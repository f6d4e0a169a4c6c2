#pragma once
// What all optimizers have in common. The optimizers themselves are in tandem/nn/optimizers.h.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/nn/schedule.h"
#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::nn {

namespace detail {
class OptimizerBody;
}

/// Options that all optimizers take, after their own: `nn::Adam(1e-3, {}, {.clipnorm = 1.0})`.
struct OptimizerOptions {
  /// The default is the kind's: "adam". A name that another living optimizer has gets a number.
  std::string name = {};
  /// Adds weight_decay * w to each gradient. None by default; 0.004 for AdamW.
  std::optional<double> weight_decay = {};
  /// Multiplies w by 1 - rate * weight_decay before each update instead. AdamW and Lion always do.
  bool decoupled_weight_decay = false;
  // At most one of these three, done first.
  std::optional<double> clipnorm = {};         ///< the largest norm of each gradient
  std::optional<double> clipvalue = {};        ///< the largest size of each element
  std::optional<double> global_clipnorm = {};  ///< the largest norm of all gradients together
  /// Updates every so many calls, by the mean of the gradients.
  int64_t gradient_accumulation_steps = 1;
  /// Keeps exponential moving averages of the variables: average = momentum * average + (1 - momentum) * w.
  bool use_ema = false;
  double ema_momentum = 0.99;
  /// The variables take their averages' values after every so many updates; by default once, at the end of
  /// fit.
  std::optional<int64_t> ema_overwrite_frequency = {};
  /// scale_loss multiplies by this, and apply_gradients divides.
  std::optional<double> loss_scale_factor = {};
};

/// Changes variables by their gradients. It is a handle: copies share the state. The state is made of
/// Variables, once, by build or at the first step, so a step works eagerly and inside td::function, with
/// equal bits.
///
///     auto [dw, db] = tape.gradient(loss, w, b);
///     optimizer.apply_gradients({dw, db}, {w, b});
class Optimizer {
 public:
  /// By Keras's name, with its defaults: sgd, adam, adamw, adamax, nadam, radam, rmsprop, adagrad, adadelta,
  /// ftrl, lion, lamb, rprop, asgd, in small letters or not. Errors: an unknown name.
  Optimizer(const char* name, Location where = here()) : Optimizer(std::string(name), where) {}
  Optimizer(const std::string& name, Location where = here());

  /// One step. A variable whose gradient is missing (an undefined tensor) stays as it is, and is named on
  /// standard error the first time; variables that are not trainable are left out. Then constraints apply,
  /// then averages follow. Errors: no gradient at all, another number of gradients than variables, another
  /// shape or dtype than the variable's.
  void apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                       Location where = here()) const;
  /// Makes the state for these variables, in their order, where it does not exist yet.
  void build(const std::vector<Variable>& variables, Location where = here()) const;

  /// What it calls itself in its variables' names: "adam".
  const std::string& name() const;
  /// The number of updates so far, int64. Calls that accumulate gradients or are skipped do not count.
  const Variable& iterations() const;
  /// The rate, float64. Assigning to it takes effect at the next step, in graphs too. Errors: the rate
  /// follows a function.
  const Variable& learning_rate(Location where = here()) const;
  /// True when the rate is a function, so that it cannot be set.
  bool has_schedule() const;
  /// Changes the rate. Errors: the rate follows a function; a negative rate.
  void set_learning_rate(double rate, Location where = here()) const;
  /// The rate of the next update, a float64 scalar.
  Tensor current_learning_rate(Location where = here()) const;

  /// The loss times what apply_gradients divides the gradients by; the loss itself without loss scaling.
  Tensor scale_loss(const Tensor& loss, Location where = here()) const;

  /// All state: the iterations, the rate if it is a number, then what belongs to each variable, in order.
  std::vector<Variable> variables() const;
  /// The same with names that do not depend on other optimizers: "adam/iterations", "adam/learning_rate",
  /// "adam/hidden/kernel/momentum".
  std::vector<std::pair<std::string, Variable>> named_variables() const;
  /// Sets all state, in the order of variables(). Errors: not built, another number of values, another dtype
  /// or shape; then nothing has changed.
  void set_state(const std::vector<Tensor>& values, Location where = here()) const;

  /// Leaves variables out of weight decay: these, or all whose names contain one of these texts. `optimizer.
  /// exclude_from_weight_decay({"bias"})` Errors: after the first step or build.
  void exclude_from_weight_decay(const std::vector<Variable>& variables, Location where = here()) const;
  void exclude_from_weight_decay(const std::vector<std::string>& names, Location where = here()) const;

  /// The moving average of a variable. Errors: without use_ema; a variable never updated.
  Variable average_of(const Variable& variable, Location where = here()) const;
  /// For the end of training: the variables take their averages' values, with use_ema and without
  /// ema_overwrite_frequency; else nothing.
  void finalize_variable_values(const std::vector<Variable>& variables, Location where = here()) const;

  // For Tandem's own optimizers.
  const std::shared_ptr<detail::OptimizerBody>& body() const { return body_; }

 protected:
  explicit Optimizer(std::shared_ptr<detail::OptimizerBody> body) : body_(std::move(body)) {}

 private:
  std::shared_ptr<detail::OptimizerBody> body_;
};

}  // namespace tandem::nn
