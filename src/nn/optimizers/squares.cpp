// Optimizers that divide by what they remember of squared gradients.

#include <cmath>

#include "nn/optimizers/body.h"

namespace tandem::nn {

namespace detail {

namespace {

class RMSpropBody final : public FormulaOptimizer {
 public:
  RMSpropBody(LearningRate rate, RMSpropOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("rmsprop", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("rho", options.rho, 0, 1, true);
    check_range("momentum", options.momentum, 0, 1);
    check_range("epsilon", options.epsilon, 0, INFINITY);
  }

 protected:
  std::vector<SlotKind> slots() const override {
    std::vector<SlotKind> kinds = {{"velocity"}};
    if (options_.centered) kinds.push_back({"average_gradient"});
    if (options_.momentum > 0) kinds.push_back({"momentum"});
    return kinds;
  }
  Tensor move(const Change& c) override {
    Tensor squares = running_mean(c.slots[0], options_.rho, square(c.gradient));
    if (options_.centered) squares = squares - square(running_mean(c.slots[1], options_.rho, c.gradient));
    const Tensor direction = c.gradient / (sqrt(squares) + options_.epsilon);
    if (options_.momentum == 0) return c.value - c.numbers[0] * direction;
    const Tensor velocity = options_.momentum * c.slots.back().value({}) + direction;
    c.slots.back().assign(velocity);
    return c.value - c.numbers[0] * velocity;
  }

 private:
  RMSpropOptions options_;
};

class AdagradBody final : public FormulaOptimizer {
 public:
  AdagradBody(LearningRate rate, AdagradOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("adagrad", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("initial_accumulator_value", options.initial_accumulator_value, 0, INFINITY);
    check_range("epsilon", options.epsilon, 0, INFINITY);
  }

 protected:
  std::vector<SlotKind> slots() const override {
    return {{"accumulator", [value = options_.initial_accumulator_value](const Variable& v) {
               return full(v.shape(), value, v.dtype());
             }}};
  }
  Tensor move(const Change& c) override {
    const Tensor squares = c.slots[0].value({}) + square(c.gradient);
    c.slots[0].assign(squares);
    return c.value - c.numbers[0] * c.gradient / (sqrt(squares) + options_.epsilon);
  }

 private:
  AdagradOptions options_;
};

class AdadeltaBody final : public FormulaOptimizer {
 public:
  AdadeltaBody(LearningRate rate, AdadeltaOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("adadelta", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("rho", options.rho, 0, 1, true);
    check_range("epsilon", options.epsilon, 0, INFINITY);
  }

 protected:
  std::vector<SlotKind> slots() const override { return {{"accumulated_gradient"}, {"accumulated_change"}}; }
  Tensor move(const Change& c) override {
    const Tensor squares = running_mean(c.slots[0], options_.rho, square(c.gradient));
    const Tensor change =
        sqrt(c.slots[1].value({}) + options_.epsilon) / sqrt(squares + options_.epsilon) * c.gradient;
    running_mean(c.slots[1], options_.rho, square(change));
    return c.value - c.numbers[0] * change;
  }

 private:
  AdadeltaOptions options_;
};

class FtrlBody final : public FormulaOptimizer {
 public:
  FtrlBody(LearningRate rate, FtrlOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("ftrl", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("initial_accumulator_value", options.initial_accumulator_value, 0, INFINITY);
    TD_CHECK(options.learning_rate_power <= 0, "learning_rate_power is {}; expected 0 or less",
             options.learning_rate_power);
    check_range("l1_regularization_strength", options.l1_regularization_strength, 0, INFINITY);
    check_range("l2_regularization_strength", options.l2_regularization_strength, 0, INFINITY);
    check_range("l2_shrinkage_regularization_strength", options.l2_shrinkage_regularization_strength, 0,
                INFINITY);
    check_range("beta", options.beta, 0, INFINITY);
  }

 protected:
  std::vector<SlotKind> slots() const override {
    return {{"accumulator", [value = options_.initial_accumulator_value](
                                const Variable& v) { return full(v.shape(), value, v.dtype()); }},
            {"linear"}};
  }
  std::vector<Tensor> numbers(Update& u) override {
    return {1 / u.rate(), 2 * options_.l2_regularization_strength + options_.beta / u.rate()};
  }
  Tensor move(const Change& c) override {
    const Tensor before = c.slots[0].value({}), after = before + square(c.gradient);
    const double shrinkage = options_.l2_shrinkage_regularization_strength;
    const Tensor gradient = shrinkage == 0 ? c.gradient : c.gradient + 2 * shrinkage * c.value;
    const Tensor root = power_of(after);
    const Tensor linear =
        c.slots[1].value({}) + gradient - (root - power_of(before)) * c.numbers[0] * c.value;
    c.slots[0].assign(after);
    c.slots[1].assign(linear);
    const double l1 = options_.l1_regularization_strength;
    return (clip(linear, -l1, l1) - linear) / (root * c.numbers[0] + c.numbers[1]);
  }

 private:
  Tensor power_of(const Tensor& squares) const {
    return options_.learning_rate_power == -0.5 ? sqrt(squares) : pow(squares, -options_.learning_rate_power);
  }

  FtrlOptions options_;
};

}  // namespace

}  // namespace detail

RMSprop::RMSprop(LearningRate learning_rate, RMSpropOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("rmsprop", where, [&] {
        return std::make_shared<detail::RMSpropBody>(learning_rate, options, common, where);
      })) {}

Adagrad::Adagrad(LearningRate learning_rate, AdagradOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("adagrad", where, [&] {
        return std::make_shared<detail::AdagradBody>(learning_rate, options, common, where);
      })) {}

Adadelta::Adadelta(LearningRate learning_rate, AdadeltaOptions options, OptimizerOptions common,
                   Location where)
    : Optimizer(detail::make_body("adadelta", where, [&] {
        return std::make_shared<detail::AdadeltaBody>(learning_rate, options, common, where);
      })) {}

Ftrl::Ftrl(LearningRate learning_rate, FtrlOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("ftrl", where, [&] {
        return std::make_shared<detail::FtrlBody>(learning_rate, options, common, where);
      })) {}

}  // namespace tandem::nn
