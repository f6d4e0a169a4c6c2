// Adam and its kin: running means of the gradient and of its size.

#include <cmath>

#include "nn/optimizers/body.h"

namespace tandem::nn {

namespace detail {

namespace {

/// 1 - beta^t: what a mean that began at 0 has of its weights.
Tensor weight_of(double beta, const Tensor& number) { return 1 - pow(Tensor(beta, DType::f64), number); }

template <class Options>
void check_moments(const Options& options) {
  check_range("beta_1", options.beta_1, 0, 1, true);
  check_range("beta_2", options.beta_2, 0, 1, true);
  check_range("epsilon", options.epsilon, 0, INFINITY);
}

/// What those with Adam's slots share.
template <class Options>
class Moments : public FormulaOptimizer {
 public:
  Moments(const char* kind, LearningRate rate, Options options, OptimizerOptions common, Decay decay,
          Location where)
      : FormulaOptimizer(kind, std::move(rate), std::move(common), decay, where), options_(options) {
    check_moments(options);
  }

 protected:
  std::vector<SlotKind> slots() const override { return {{"momentum"}, {"velocity"}}; }
  Tensor mean(const Change& c) const { return running_mean(c.slots[0], options_.beta_1, c.gradient); }
  Tensor squares(const Change& c) const {
    return running_mean(c.slots[1], options_.beta_2, square(c.gradient));
  }

  Options options_;
};

class AdamBody final : public Moments<AdamOptions> {
 public:
  using Moments::Moments;

 protected:
  std::vector<SlotKind> slots() const override {
    if (!options_.amsgrad) return Moments::slots();
    return {{"momentum"}, {"velocity"}, {"velocity_hat"}};
  }
  std::vector<Tensor> numbers(Update& u) override {
    return {u.rate() / weight_of(options_.beta_1, u.number()),
            1 / sqrt(weight_of(options_.beta_2, u.number()))};
  }
  Tensor move(const Change& c) override {
    const Tensor m = mean(c);
    Tensor v = squares(c);
    if (options_.amsgrad) {
      v = maximum(c.slots[2].value({}), v);
      c.slots[2].assign(v);
    }
    return c.value - c.numbers[0] * m / (sqrt(v) * c.numbers[1] + options_.epsilon);
  }
};

class AdamaxBody final : public Moments<MomentsOptions> {
 public:
  using Moments::Moments;

 protected:
  std::vector<SlotKind> slots() const override { return {{"momentum"}, {"norm"}}; }
  std::vector<Tensor> numbers(Update& u) override {
    return {u.rate() / weight_of(options_.beta_1, u.number())};
  }
  Tensor move(const Change& c) override {
    const Tensor norm = maximum(options_.beta_2 * c.slots[1].value({}), abs(c.gradient) + options_.epsilon);
    c.slots[1].assign(norm);
    return c.value - c.numbers[0] * mean(c) / norm;
  }
};

class NadamBody final : public Moments<NadamOptions> {
 public:
  NadamBody(LearningRate rate, NadamOptions options, OptimizerOptions common, Location where)
      : Moments("nadam", std::move(rate), options, std::move(common), Decay::coupled, where),
        product_(scalar("momentum_product", 1)) {
    check_range("momentum_decay", options.momentum_decay, 0, INFINITY);
  }

 protected:
  std::vector<Tensor> numbers(Update& u) override {
    const Tensor now = momentum_at(u.number()), next = momentum_at(u.number() + 1);
    const Tensor product = product_.value({}) * now;
    product_.assign(product);
    // PyTorch 1.13 counts the present momentum twice in the second product, and so do its recorded runs.
    return {u.rate() * (1 - now) / (1 - product), u.rate() * next / (1 - product * now * next),
            1 / sqrt(weight_of(options_.beta_2, u.number()))};
  }
  Tensor move(const Change& c) override {
    const Tensor m = mean(c), root = sqrt(squares(c)) * c.numbers[2] + options_.epsilon;
    return c.value - (c.numbers[0] * c.gradient + c.numbers[1] * m) / root;
  }

 private:
  Tensor momentum_at(const Tensor& number) const {
    return options_.beta_1 * (1 - 0.5 * pow(Tensor(0.96, DType::f64), number * options_.momentum_decay));
  }

  Variable product_;
};

class RAdamBody final : public Moments<MomentsOptions> {
 public:
  using Moments::Moments;

 protected:
  std::vector<Tensor> numbers(Update& u) override {
    const Tensor& t = u.number();
    const Tensor weight = weight_of(options_.beta_2, t);
    // How many squares the running mean is worth, at the end and now.
    const double most = 2 / (1 - options_.beta_2) - 1;
    const Tensor known = most - 2 * t * (1 - weight) / weight;
    const Tensor rectified = sqrt((known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known));
    const Tensor rate = u.rate() / weight_of(options_.beta_1, t);
    // A plain step divides by 0 * sqrt(v) + 1.
    const Tensor enough = known > 5;
    return {where(enough, rate * rectified * sqrt(weight), rate), cast(enough, DType::f64),
            where(enough, Tensor(options_.epsilon, DType::f64), Tensor(1.0, DType::f64))};
  }
  Tensor move(const Change& c) override {
    const Tensor m = mean(c);
    return c.value - c.numbers[0] * m / (sqrt(squares(c)) * c.numbers[1] + c.numbers[2]);
  }
};

class LambBody final : public Moments<MomentsOptions> {
 public:
  using Moments::Moments;

 protected:
  std::vector<Tensor> numbers(Update& u) override {
    return {u.rate(), 1 / weight_of(options_.beta_1, u.number()),
            1 / sqrt(weight_of(options_.beta_2, u.number()))};
  }
  Tensor move(const Change& c) override {
    const Tensor m = mean(c);
    Tensor direction = m * c.numbers[1] / (sqrt(squares(c)) * c.numbers[2] + options_.epsilon);
    if (c.decay > 0) direction = direction + c.decay * c.value;
    const Tensor length = norm(c.value), step = norm(direction);
    const Tensor trust = where(logical_and(length > 0, step > 0), length / step, ones_like(length));
    return c.value - c.numbers[0] * trust * direction;
  }

 private:
  static Tensor norm(const Tensor& x) { return sqrt(sum(square(x))); }
};

class LionBody final : public FormulaOptimizer {
 public:
  LionBody(LearningRate rate, LionOptions options, OptimizerOptions common, Location where)
      : FormulaOptimizer("lion", std::move(rate), std::move(common), Decay::decoupled, where),
        options_(options) {
    check_range("beta_1", options.beta_1, 0, 1);
    check_range("beta_2", options.beta_2, 0, 1, true);
  }

 protected:
  std::vector<SlotKind> slots() const override { return {{"momentum"}}; }
  Tensor move(const Change& c) override {
    const Tensor direction =
        sign(options_.beta_1 * c.slots[0].value({}) + (1 - options_.beta_1) * c.gradient);
    running_mean(c.slots[0], options_.beta_2, c.gradient);
    return c.value - c.numbers[0] * direction;
  }

 private:
  LionOptions options_;
};

}  // namespace

}  // namespace detail

using detail::Decay;

Adam::Adam(LearningRate learning_rate, AdamOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("adam", where, [&] {
        return std::make_shared<detail::AdamBody>("adam", learning_rate, options, common, Decay::coupled,
                                                  where);
      })) {}

AdamW::AdamW(LearningRate learning_rate, AdamOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("adamw", where, [&] {
        if (!common.weight_decay) common.weight_decay = 0.004;
        return std::make_shared<detail::AdamBody>("adamw", learning_rate, options, common, Decay::decoupled,
                                                  where);
      })) {}

Adamax::Adamax(LearningRate learning_rate, MomentsOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("adamax", where, [&] {
        return std::make_shared<detail::AdamaxBody>("adamax", learning_rate, options, common, Decay::coupled,
                                                    where);
      })) {}

Nadam::Nadam(LearningRate learning_rate, NadamOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("nadam", where, [&] {
        return std::make_shared<detail::NadamBody>(learning_rate, options, common, where);
      })) {}

RAdam::RAdam(LearningRate learning_rate, MomentsOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("radam", where, [&] {
        return std::make_shared<detail::RAdamBody>("radam", learning_rate, options, common, Decay::coupled,
                                                   where);
      })) {}

LAMB::LAMB(LearningRate learning_rate, MomentsOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("lamb", where, [&] {
        return std::make_shared<detail::LambBody>("lamb", learning_rate, options, common, Decay::own, where);
      })) {}

Lion::Lion(LearningRate learning_rate, LionOptions options, OptimizerOptions common, Location where)
    : Optimizer(detail::make_body("lion", where, [&] {
        return std::make_shared<detail::LionBody>(learning_rate, options, common, where);
      })) {}

}  // namespace tandem::nn
