#include "tandem/nn/optimizer.h"

#include <iostream>
#include <map>
#include <mutex>
#include <set>

#include "core/check.h"
#include "nn/layer_call.h"
#include "ops/variable_impl.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace detail {

/// What an optimizer is. A kind of optimizer says how one variable moves.
class OptimizerBody {
 public:
  OptimizerBody(const char* name, double rate, Location where) : name_(name), where_(where) {
    TD_CHECK(rate >= 0, "the learning rate is {}; expected 0 or more", rate);
    rate_ = Variable(Tensor(rate, DType::f32),
                     {.name = std::string(name) + "/learning_rate", .trainable = false, .unique_name = false},
                     where);
  }
  virtual ~OptimizerBody() = default;

  const char* name() const { return name_; }
  const Variable& rate() const { return rate_; }
  std::vector<Variable> variables() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return made_;
  }
  void apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables);

 protected:
  /// Moves one variable. `rate` has its dtype.
  virtual void step(const Variable& variable, const Tensor& gradient, const Tensor& rate) = 0;
  /// The variable that belongs to another one, of its shape and dtype, zero at first.
  Variable slot(const char* slot_name, const Variable& of);

 private:
  const char* name_;
  Location where_;
  Variable rate_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, uint64_t>, Variable> slots_;  // by the variable's serial number
  std::vector<Variable> made_;
  std::set<uint64_t> warned_;
};

Variable OptimizerBody::slot(const char* slot_name, const Variable& of) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Variable& found = slots_[{slot_name, of.impl()->serial}];
  if (!found.defined()) {
    const std::function<Tensor()> make = [&] { return zeros(of.shape(), of.dtype()); };
    found = Variable(make, {.name = of.name() + '/' + slot_name, .trainable = false, .unique_name = false},
                     where_);
    made_.push_back(found);
  }
  return found;
}

void OptimizerBody::apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables) {
  TD_CHECK(gradients.size() == variables.size(), "{} gradients were given for {} variables", gradients.size(),
           variables.size());
  bool any = gradients.empty();
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable& v = variables[i];
    if (!gradients[i].defined()) continue;
    any = true;
    TD_CHECK(gradients[i].dtype() == v.dtype() && gradients[i].rank() == v.shape().rank(),
             "the gradient for variable {} is {}{} and the variable {}{}", v.name(), gradients[i].dtype(),
             gradients[i].shape(), v.dtype(), v.shape());
  }
  TD_CHECK(
      any,
      "none of the {} variables has a gradient; was the loss computed from them while the tape recorded?",
      variables.size());
  std::map<DType, Tensor> rates;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable& v = variables[i];
    if (!gradients[i].defined()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (warned_.insert(v.impl()->serial).second)
        std::cerr << "tandem: variable " << v.name() << " has no gradient and stays as it is\n";
      continue;
    }
    Tensor& rate = rates[v.dtype()];
    if (!rate.defined()) {
      rate = rate_.value();
      if (v.dtype() != DType::f32) rate = cast(rate, v.dtype());
    }
    step(v, gradients[i], rate);
    v.apply_constraint(where_);
  }
}

class SGDBody final : public OptimizerBody {
 public:
  SGDBody(double rate, const SGDOptions& options, Location where)
      : OptimizerBody("sgd", rate, where), options_(options) {
    TD_CHECK(options.momentum >= 0 && options.momentum <= 1, "momentum is {}; expected 0 to 1",
             options.momentum);
    TD_CHECK(options.momentum > 0 || !options.nesterov, "nesterov needs a momentum above 0");
  }

 protected:
  void step(const Variable& variable, const Tensor& gradient, const Tensor& rate) override {
    if (options_.momentum == 0) {
      variable.assign_sub(rate * gradient);
      return;
    }
    const Variable velocity = slot("velocity", variable);
    const Tensor moved = options_.momentum * velocity + gradient;
    velocity.assign(moved);
    variable.assign_sub(rate * (options_.nesterov ? gradient + options_.momentum * moved : moved));
  }

 private:
  SGDOptions options_;
};

}  // namespace detail

void Optimizer::apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                                Location where) const {
  detail::at_line("apply_gradients", where, [&] { body_->apply(gradients, variables); });
}

const Variable& Optimizer::learning_rate() const { return body_->rate(); }
std::vector<Variable> Optimizer::variables() const { return body_->variables(); }

SGD::SGD(double learning_rate, SGDOptions options, Location where)
    : Optimizer(detail::at_line("sgd", where, [&]() -> std::shared_ptr<detail::OptimizerBody> {
        return std::make_shared<detail::SGDBody>(learning_rate, options, where);
      })) {}

}  // namespace tandem::nn
