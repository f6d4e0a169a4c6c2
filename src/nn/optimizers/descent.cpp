// Optimizers without running squares: plain descent, its average, and signs.

#include <cmath>

#include "nn/optimizers/body.h"

namespace tandem::nn {

namespace detail {

namespace {

class SGDBody final : public FormulaOptimizer {
 public:
  SGDBody(LearningRate rate, SGDOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("sgd", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("momentum", options.momentum, 0, 1);
    check_range("dampening", options.dampening, 0, 1);
    TD_CHECK(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
             "nesterov needs a momentum above 0 and no dampening");
  }

 protected:
  std::vector<SlotKind> slots() const override {
    if (options_.momentum == 0) return {};
    return {{"momentum"}};
  }
  std::vector<Tensor> numbers(Update& u) override {
    if (options_.dampening == 0) return {u.rate()};
    // The first gradient is taken whole.
    return {u.rate(),
            where(u.before() == 0, Tensor(1.0, DType::f64), Tensor(1 - options_.dampening, DType::f64))};
  }
  Tensor move(const Change& c) override {
    if (options_.momentum == 0) return c.value - c.numbers[0] * c.gradient;
    const Tensor fresh = options_.dampening == 0 ? c.gradient : c.numbers[1] * c.gradient;
    const Tensor velocity = options_.momentum * c.slots[0].value({}) + fresh;
    c.slots[0].assign(velocity);
    return c.value -
           c.numbers[0] * (options_.nesterov ? c.gradient + options_.momentum * velocity : velocity);
  }

 private:
  SGDOptions options_;
};

class ASGDBody final : public FormulaOptimizer {
 public:
  ASGDBody(LearningRate rate, ASGDOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("asgd", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("decay", options.decay, 0, INFINITY);
    check_range("power", options.power, 0, INFINITY);
    check_range("start", options.start, 0, INFINITY);
  }

 protected:
  std::vector<SlotKind> slots() const override { return {{"average"}}; }
  std::vector<Tensor> numbers(Update& u) override {
    const Tensor rate = u.rate() / pow(1 + options_.decay * u.rate() * u.before(), options_.power);
    return {rate, 1 - options_.decay * rate, 1 / maximum(u.before() - options_.start, 1)};
  }
  Tensor move(const Change& c) override {
    Tensor next = c.value * c.numbers[1] - c.numbers[0] * c.gradient;
    const Tensor average = c.slots[0].value({});
    c.slots[0].assign(average + (next - average) * c.numbers[2]);
    return next;
  }

 private:
  ASGDOptions options_;
};

class RpropBody final : public FormulaOptimizer {
 public:
  RpropBody(LearningRate rate, RpropOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("rprop", std::move(rate), std::move(common), Decay::coupled, where),
        options_(options) {
    check_range("eta_minus", options.eta_minus, 0, 1, true);
    check_range("eta_plus", options.eta_plus, 1, INFINITY);
    TD_CHECK(options.smallest_step >= 0 && options.smallest_step <= options.largest_step,
             "the steps' limits are {} and {}; expected 0 or more, the smaller first", options.smallest_step,
             options.largest_step);
  }

 protected:
  std::vector<SlotKind> slots() const override {
    return {{"previous_gradient"}, {"step_size", [this](const Variable& v) {
                                      return cast(current_rate() * ones(v.shape(), DType::f64), v.dtype());
                                    }}};
  }
  std::vector<Tensor> numbers(Update&) override { return {}; }
  Tensor move(const Change& c) override {
    const Tensor agreement = c.gradient * c.slots[0].value({});
    const Tensor size = c.slots[1].value({});
    const Tensor grown =
        where(agreement > 0, size * options_.eta_plus, where(agreement < 0, size * options_.eta_minus, size));
    const Tensor next = clip(grown, options_.smallest_step, options_.largest_step);
    // After a turn an element rests once.
    const Tensor gradient = where(agreement < 0, zeros_like(c.gradient), c.gradient);
    c.slots[0].assign(gradient);
    c.slots[1].assign(next);
    return c.value - sign(gradient) * next;
  }

 private:
  RpropOptions options_;
};

}  // namespace

}  // namespace detail

SGD::SGD(LearningRate learning_rate, SGDOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("sgd", where, [&] {
        return std::make_shared<detail::SGDBody>(learning_rate, options, common, where);
      })) {}

ASGD::ASGD(LearningRate learning_rate, ASGDOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("asgd", where, [&] {
        return std::make_shared<detail::ASGDBody>(learning_rate, options, common, where);
      })) {}

Rprop::Rprop(LearningRate learning_rate, RpropOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("rprop", where, [&] {
        return std::make_shared<detail::RpropBody>(learning_rate, options, common, where);
      })) {}

}  // namespace tandem::nn
