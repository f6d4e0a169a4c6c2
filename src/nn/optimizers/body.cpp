// What the optimizers have in common.

#include "nn/optimizers/body.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "ops/variable_impl.h"
#include "ops/variable_names.h"
#include "tandem/control_flow.h"

namespace tandem::nn::detail {

void check_range(const char* what, double value, double low, double high, bool open) {
  TD_CHECK(value >= low && (open ? value < high : value <= high), "{} is {}; expected {} {}", what, value,
           low,
           std::isinf(high) ? "or more" : fmt::format("{} {}", open ? "up to, not including," : "to", high));
}

Tensor running_mean(const Variable& slot, double kept, const Tensor& value) {
  Tensor next = kept * slot.value({}) + (1 - kept) * value;
  slot.assign(next);
  return next;
}

// ---- Update

const Tensor& Update::before() {
  if (!before_.defined()) before_ = cast(iterations_, DType::f64);
  return before_;
}
const Tensor& Update::number() {
  if (!number_.defined()) number_ = before() + 1;
  return number_;
}
const Tensor& Update::rate() {
  if (!rate_.defined()) rate_ = rate_function_();
  return rate_;
}

// ---- making

namespace {

void check_options(const OptimizerOptions& o) {
  const auto positive = [](const char* what, const std::optional<double>& value) {
    if (value) TD_CHECK(*value > 0, "{} is {}; expected more than 0", what, *value);
  };
  positive("clipnorm", o.clipnorm);
  positive("clipvalue", o.clipvalue);
  positive("global_clipnorm", o.global_clipnorm);
  positive("loss_scale_factor", o.loss_scale_factor);
  TD_CHECK(o.clipnorm.has_value() + o.clipvalue.has_value() + o.global_clipnorm.has_value() <= 1,
           "more than one of clipnorm, clipvalue and global_clipnorm was given");
  if (o.weight_decay) check_range("weight_decay", *o.weight_decay, 0, INFINITY);
  check_range("ema_momentum", o.ema_momentum, 0, 1);
  TD_CHECK(o.gradient_accumulation_steps >= 1, "gradient_accumulation_steps is {}; expected 1 or more",
           o.gradient_accumulation_steps);
  if (o.ema_overwrite_frequency)
    TD_CHECK(*o.ema_overwrite_frequency >= 1, "ema_overwrite_frequency is {}; expected 1 or more",
             *o.ema_overwrite_frequency);
}

}  // namespace

FormulaOptimizer::FormulaOptimizer(const char* kind, LearningRate rate, OptimizerOptions options, Decay decay,
                                   Location where)
    : kind_(options.name.empty() ? kind : options.name),
      name_(kind_),
      options_(std::move(options)),
      decay_(options_.decoupled_weight_decay ? Decay::decoupled : decay),
      where_(where),
      rate_(std::move(rate)) {
  check_options(options_);
  if (rate_.is_number())
    TD_CHECK(rate_.number() >= 0, "the learning rate is {}; expected 0 or more", rate_.number());
  name_registration_ = register_variable_name(name_);
  iterations_ = make("iterations", [] { return Tensor(int64_t{0}, DType::i64); });
  if (rate_.is_number())
    rate_variable_ = make("learning_rate", [this] { return Tensor(rate_.number(), DType::f64); });
  if (options_.gradient_accumulation_steps > 1)
    accumulated_ = make("accumulated_steps", [] { return Tensor(int64_t{0}, DType::i64); });
}

Variable FormulaOptimizer::make(const std::string& name, const std::function<Tensor()>& initial) const {
  return Variable(initial, {.name = name_ + '/' + name, .trainable = false, .unique_name = false},
                  call_line(where_));
}

Variable FormulaOptimizer::scalar(const char* slot_name, double initial) {
  return scalars_.emplace_back(slot_name, make(slot_name, [&] { return Tensor(initial, DType::f64); }))
      .second;
}

std::unique_ptr<FormulaOptimizer::Slots> FormulaOptimizer::make_slots(const Variable& variable) const {
  const std::function<Tensor()> zero = [&] { return zeros(variable.shape(), variable.dtype()); };
  const std::string prefix = variable.name() + '/';
  auto made = std::make_unique<Slots>();
  made->variable = variable;
  made->decays = decays(variable);
  for (const SlotKind& kind : slots()) {
    const std::function<Tensor()> initial = [&] { return kind.initial(variable); };
    made->own.push_back(make(prefix + kind.name, kind.initial ? initial : zero));
  }
  if (options_.use_ema) made->average = make(prefix + "moving_average", zero);
  if (options_.gradient_accumulation_steps > 1)
    made->accumulator = make(prefix + "gradient_accumulator", zero);
  return made;
}

void FormulaOptimizer::build(const std::vector<Variable>& variables) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Variable& v : variables) {
    if (!v.trainable() || !is_floating(v.dtype())) continue;
    std::unique_ptr<Slots>& found = slots_[v.impl()->serial];
    if (found) continue;
    found = make_slots(v);
    order_.push_back(found.get());
  }
}

bool FormulaOptimizer::is_built() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !order_.empty();
}

void FormulaOptimizer::exclude_from_decay(const std::vector<Variable>& variables,
                                          const std::vector<std::string>& names) {
  const std::lock_guard<std::mutex> lock(mutex_);
  TD_CHECK(order_.empty(), "the optimizer has begun; leave variables out of weight decay before that");
  excluded_.insert(excluded_.end(), variables.begin(), variables.end());
  excluded_names_.insert(excluded_names_.end(), names.begin(), names.end());
}

bool FormulaOptimizer::decays(const Variable& variable) const {
  return std::none_of(excluded_.begin(), excluded_.end(),
                      [&](const Variable& v) { return v.is(variable); }) &&
         std::none_of(excluded_names_.begin(), excluded_names_.end(), [&](const std::string& name) {
           return variable.name().find(name) != std::string::npos;
         });
}

// ---- what it knows

const Variable& FormulaOptimizer::rate() const {
  TD_CHECK(rate_.is_number(), "the learning rate of {} follows a function, so it cannot be set", name_);
  return rate_variable_;
}

Tensor FormulaOptimizer::current_rate() const {
  return rate_.is_number() ? rate_variable_.value(where_) : rate_(iterations_);
}

Tensor FormulaOptimizer::scale_loss(const Tensor& loss) const {
  return options_.loss_scale_factor ? loss * *options_.loss_scale_factor : loss;
}

std::vector<std::pair<std::string, Variable>> FormulaOptimizer::named_variables() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::pair<std::string, Variable>> all;
  std::map<std::string, int> seen;
  const auto add = [&](const std::string& name, const Variable& v) {
    if (!v.defined()) return;
    const int earlier = seen[name]++;
    all.emplace_back(kind_ + '/' + name + (earlier > 0 ? fmt::format("_{}", earlier) : ""), v);
  };
  add("iterations", iterations_);
  add("learning_rate", rate_variable_);
  add("accumulated_steps", accumulated_);
  for (const auto& [name, v] : scalars_) add(name, v);
  const std::vector<SlotKind> kinds = slots();
  for (const Slots* s : order_) {
    const std::string prefix = s->variable.name() + '/';
    for (size_t i = 0; i < kinds.size(); ++i) add(prefix + kinds[i].name, s->own[i]);
    add(prefix + "moving_average", s->average);
    add(prefix + "gradient_accumulator", s->accumulator);
  }
  return all;
}

Variable FormulaOptimizer::average_of(const Variable& variable) const {
  TD_CHECK(options_.use_ema, "the optimizer keeps no averages; give it .use_ema = true");
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = slots_.find(variable.impl()->serial);
  TD_CHECK(found != slots_.end(), "variable {} is not one that the optimizer has updated", variable.name());
  return found->second->average;
}

void FormulaOptimizer::finalize(const std::vector<Variable>& variables) {
  if (!options_.use_ema || options_.ema_overwrite_frequency) return;
  for (const Variable& v : variables) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto found = slots_.find(v.impl()->serial);
    if (found == slots_.end()) continue;
    const Variable average = found->second->average;
    lock.unlock();
    v.assign(average);
  }
}

// ---- a step

void FormulaOptimizer::apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables) {
  TD_CHECK(gradients.size() == variables.size(), "{} gradients were given for {} variables", gradients.size(),
           variables.size());
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable& v = variables[i];
    if (gradients[i].defined() && v.trainable())
      TD_CHECK(gradients[i].dtype() == v.dtype() && gradients[i].rank() == v.shape().rank(),
               "the gradient for variable {} is {}{} and the variable {}{}", v.name(), gradients[i].dtype(),
               gradients[i].shape(), v.dtype(), v.shape());
  }
  build(variables);
  Moves moves;
  size_t trained = 0;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Variable& v = variables[i];
    if (!v.trainable()) continue;
    ++trained;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (gradients[i].defined())
      moves.emplace_back(gradients[i], slots_.at(v.impl()->serial).get());
    else if (warned_.insert(v.impl()->serial).second)
      std::cerr << "tandem: variable " << v.name() << " has no gradient and stays as it is\n";
  }
  if (trained == 0) return;
  TD_CHECK(
      !moves.empty(),
      "none of the {} variables has a gradient; was the loss computed from them while the tape recorded?",
      trained);
  if (options_.loss_scale_factor)
    for (auto& [gradient, slots] : moves) gradient = gradient * (1 / *options_.loss_scale_factor);
  if (options_.gradient_accumulation_steps > 1)
    accumulate(moves);
  else
    update(std::move(moves));
}

void FormulaOptimizer::accumulate(const Moves& moves) {
  const int64_t steps = options_.gradient_accumulation_steps;
  cond(
      accumulated_.value(where_) == steps - 1,
      [&] {
        Moves mean;
        for (const auto& [gradient, slots] : moves) {
          mean.emplace_back((slots->accumulator + gradient) / static_cast<double>(steps), slots);
          slots->accumulator.assign(zeros_like(gradient));
        }
        accumulated_.assign(0);
        update(std::move(mean));
      },
      [&] {
        for (const auto& [gradient, slots] : moves) slots->accumulator.assign_add(gradient);
        accumulated_.assign_add(1);
      },
      where_);
}

void FormulaOptimizer::limit(Moves& moves) const {
  // In float32 at least, so that squares stay finite.
  const auto square_sum = [](const Tensor& g) {
    const bool half = g.dtype() == DType::f16 || g.dtype() == DType::bf16;
    return sum(square(half ? cast(g, DType::f32) : g));
  };
  if (options_.clipvalue)
    for (auto& [gradient, slots] : moves)
      gradient = clip(gradient, -*options_.clipvalue, *options_.clipvalue);
  if (options_.clipnorm)
    for (auto& [gradient, slots] : moves)
      gradient = gradient * cast(*options_.clipnorm / maximum(sqrt(square_sum(gradient)), *options_.clipnorm),
                                 gradient.dtype());
  if (options_.global_clipnorm) {
    Tensor all;
    for (const auto& [gradient, slots] : moves) {
      const Tensor squares = cast(square_sum(gradient), DType::f64);
      all = all.defined() ? all + squares : squares;
    }
    const Tensor factor = *options_.global_clipnorm / maximum(sqrt(all), *options_.global_clipnorm);
    for (auto& [gradient, slots] : moves) gradient = gradient * cast(factor, gradient.dtype());
  }
}

void FormulaOptimizer::update(Moves moves) {
  limit(moves);
  Update now(iterations_,
             [&] { return rate_.is_number() ? rate_variable_.value(where_) : rate_(now.before()); });
  std::vector<Tensor> exact = numbers(now);
  const double decay = options_.weight_decay.value_or(0);
  if (decay > 0 && decay_ == Decay::decoupled) exact.push_back(1 - now.rate() * decay);
  Tensor overwrite;
  if (options_.ema_overwrite_frequency)
    overwrite = floor_mod(iterations_.value(where_) + 1, *options_.ema_overwrite_frequency) == 0;

  std::map<DType, std::vector<Tensor>> rounded;
  for (const auto& [gradient, slots] : moves) {
    const DType dtype = gradient.dtype();
    std::vector<Tensor>& n = rounded[dtype];
    if (n.empty())
      for (const Tensor& number : exact) n.push_back(dtype == DType::f64 ? number : cast(number, dtype));
    Change change{slots->variable.value(where_), gradient, slots->own, n};
    if (decay > 0 && slots->decays) {
      if (decay_ == Decay::coupled) change.gradient = gradient + decay * change.value;
      if (decay_ == Decay::decoupled) change.value = change.value * n.back();
      if (decay_ == Decay::own) change.decay = decay;
    }
    Tensor next = move(change);
    if (const auto& constraint = slots->variable.impl()->constraint) next = constraint(next);
    if (options_.use_ema) {
      const double kept = options_.ema_momentum;
      const Tensor average =
          where(now.before() == 0, next, kept * slots->average.value(where_) + (1 - kept) * next);
      slots->average.assign(average);
      if (overwrite.defined()) next = where(overwrite, average, next);
    }
    slots->variable.assign(next);
  }
  iterations_.assign_add(1);
}

}  // namespace tandem::nn::detail
