// Training in float16: the loss is scaled up so that small gradients do not vanish.

#include <cmath>

#include "nn/module_state.h"
#include "nn/optimizers/body.h"
#include "ops/variable_names.h"
#include "tandem/control_flow.h"

namespace tandem::nn {

namespace detail {

namespace {

class LossScaleBody final : public OptimizerBody {
 public:
  LossScaleBody(std::shared_ptr<OptimizerBody> inner, LossScaleOptions options, Location where)
      : inner_(std::move(inner)), options_(options), where_(where) {
    TD_CHECK(options.initial_scale > 0, "the initial scale is {}; expected more than 0",
             options.initial_scale);
    TD_CHECK(options.dynamic_growth_steps >= 1, "dynamic_growth_steps is {}; expected 1 or more",
             options.dynamic_growth_steps);
    name_registration_ = register_variable_name(name_);
    const std::function<Tensor()> scale = [&] { return Tensor(options.initial_scale, DType::f32); };
    const std::function<Tensor()> zero = [] { return Tensor(int64_t{0}, DType::i64); };
    scale_ = Variable(scale, {.name = name_ + "/scale", .trainable = false, .unique_name = false}, where);
    good_steps_ =
        Variable(zero, {.name = name_ + "/good_steps", .trainable = false, .unique_name = false}, where);
  }

  const std::string& name() const override { return name_; }
  void build(const std::vector<Variable>& variables) override { inner_->build(variables); }
  const Variable& iterations() const override { return inner_->iterations(); }
  bool has_schedule() const override { return inner_->has_schedule(); }
  const Variable& rate() const override { return inner_->rate(); }
  Tensor current_rate() const override { return inner_->current_rate(); }
  Tensor scale_loss(const Tensor& loss) const override {
    return inner_->scale_loss(loss * cast(scale_.value(where_), loss.dtype()));
  }
  bool scales_loss() const override { return true; }
  std::vector<std::pair<std::string, Variable>> named_variables() const override {
    std::vector<std::pair<std::string, Variable>> all = {{"loss_scale/scale", scale_},
                                                         {"loss_scale/good_steps", good_steps_}};
    for (auto& entry : inner_->named_variables()) all.push_back(std::move(entry));
    return all;
  }
  bool is_built() const override { return inner_->is_built(); }
  void exclude_from_decay(const std::vector<Variable>& variables,
                          const std::vector<std::string>& names) override {
    inner_->exclude_from_decay(variables, names);
  }
  Variable average_of(const Variable& variable) const override { return inner_->average_of(variable); }
  void finalize(const std::vector<Variable>& variables) override { inner_->finalize(variables); }

  void apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables) override {
    // Both branches are traced, and variables cannot be made there.
    inner_->build(variables);
    const Tensor down = 1 / scale_.value(where_);
    std::vector<Tensor> unscaled;
    for (const Tensor& g : gradients) unscaled.push_back(g.defined() ? divided(g, down) : g);
    if (!options_.dynamic) {
      inner_->apply(unscaled, variables);
      return;
    }
    cond(
        all_finite(unscaled),
        [&] {
          inner_->apply(unscaled, variables);
          const Tensor next = good_steps_.value(where_) + 1;
          const Tensor grows = next == options_.dynamic_growth_steps;
          good_steps_.assign(where(grows, Tensor(int64_t{0}, DType::i64), next));
          scale_.assign(scale_.value(where_) * where(grows, Tensor(2.f), Tensor(1.f)));
        },
        [&] {
          good_steps_.assign(0);
          scale_.assign(scale_.value(where_) * 0.5);
        },
        where_);
  }

 private:
  // A half has no room for large scales' inverses.
  static Tensor divided(const Tensor& g, const Tensor& down) {
    if (g.dtype() == DType::f16) return cast(cast(g, DType::f32) * down, DType::f16);
    return g * (g.dtype() == DType::f32 ? down : cast(down, g.dtype()));
  }
  static Tensor all_finite(const std::vector<Tensor>& gradients) {
    Tensor bad = Tensor(0.f);
    for (const Tensor& g : gradients)
      if (g.defined()) bad = bad + sum(cast(logical_not(abs(g) < INFINITY), DType::f32));
    return bad == 0;
  }

  std::shared_ptr<OptimizerBody> inner_;
  LossScaleOptions options_;
  Location where_;
  std::string name_ = "loss_scale";
  std::shared_ptr<const void> name_registration_;
  Variable scale_, good_steps_;
};

}  // namespace

Optimizer with_loss_scale_for(const Module& module, const Optimizer& optimizer, Location where) {
  if (optimizer.body()->scales_loss()) return optimizer;
  for (const Visit& visit : walk(module.state()))
    if (const auto policy = DTypePolicy::from_code(visit.module->policy);
        policy && policy->compute_dtype() == DType::f16)
      return LossScaleOptimizer(optimizer, {}, where);
  return optimizer;
}

}  // namespace detail

LossScaleOptimizer::LossScaleOptimizer(Optimizer inner, LossScaleOptions options, Location where)
    : Optimizer(detail::make_body("loss_scale_optimizer", where, [&] {
        return std::make_shared<detail::LossScaleBody>(inner.body(), options, where);
      })) {}

}  // namespace tandem::nn
