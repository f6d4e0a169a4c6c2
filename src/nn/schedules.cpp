// Learning rates over time. Everything is float64, so that long runs end exactly where they should.

#include <cmath>
#include <numbers>

#include "nn/layer_call.h"
#include "tandem/nn/schedule.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using Function = LearningRate::Function;

void check_steps(const char* name, double steps, Location where) {
  detail::in_call(name, where, [&] {
    TD_CHECK(steps >= 1, "a period of {} steps was asked for; expected 1 or more", steps);
  });
}

Tensor constant(double value) { return {value, DType::f64}; }

Tensor periods(const Tensor& step, double decay_steps, bool whole) {
  const Tensor share = step / decay_steps;
  return whole ? floor(share) : share;
}

// From 1 at 0 to 0 at 1.
Tensor half_cosine(const Tensor& share) { return 0.5 * (1 + cos(std::numbers::pi * share)); }

}  // namespace

Tensor LearningRate::operator()(const Operand& iterations) const {
  if (is_number()) return constant(number_);
  const Tensor step = cast(iterations, DType::f64);
  const Tensor rate = function_(step);
  TD_CHECK(rate.defined() && rate.rank() == 0 && is_floating(rate.dtype()),
           "the learning rate's function gave {}; expected a floating scalar",
           rate.defined() ? fmt::format("{}{}", rate.dtype(), rate.shape()) : "an empty tensor handle");
  return rate.dtype() == DType::f64 ? rate : cast(rate, DType::f64);
}

namespace schedules {

ExponentialDecay::ExponentialDecay(double initial, double decay_steps, double rate, DecayOptions options,
                                   Location where)
    : LearningRate(Function([=](const Tensor& step) {
        return initial * pow(constant(rate), periods(step, decay_steps, options.staircase));
      })) {
  check_steps("exponential_decay", decay_steps, where);
}

InverseTimeDecay::InverseTimeDecay(double initial, double decay_steps, double rate, DecayOptions options,
                                   Location where)
    : LearningRate(Function([=](const Tensor& step) {
        return initial / (1 + rate * periods(step, decay_steps, options.staircase));
      })) {
  check_steps("inverse_time_decay", decay_steps, where);
}

PolynomialDecay::PolynomialDecay(double initial, double decay_steps, PolynomialDecayOptions options,
                                 Location where)
    : LearningRate(Function([=](const Tensor& step) {
        // A cycle that just ended counts as ended; at step 0 the first has begun.
        const Tensor share = options.cycle ? step / (decay_steps * maximum(ceil(step / decay_steps), 1))
                                           : minimum(step, decay_steps) / decay_steps;
        return (initial - options.end) * pow(1 - share, options.power) + options.end;
      })) {
  check_steps("polynomial_decay", decay_steps, where);
}

PiecewiseConstantDecay::PiecewiseConstantDecay(std::vector<double> boundaries, std::vector<double> values,
                                               Location where)
    : LearningRate(Function([=](const Tensor& step) {
        Tensor rate = constant(values.back());
        for (size_t i = boundaries.size(); i-- > 0;)
          rate = tandem::where(step <= boundaries[i], constant(values[i]), rate);
        return rate;
      })) {
  detail::in_call("piecewise_constant_decay", where, [&] {
    TD_CHECK(values.size() == boundaries.size() + 1,
             "{} boundaries and {} values were given; expected {} values", boundaries.size(), values.size(),
             boundaries.size() + 1);
    for (size_t i = 1; i < boundaries.size(); ++i)
      TD_CHECK(boundaries[i - 1] < boundaries[i], "boundary {} comes after {}; expected rising ones",
               boundaries[i], boundaries[i - 1]);
  });
}

CosineDecay::CosineDecay(double initial, double decay_steps, CosineDecayOptions options, Location where)
    : LearningRate(Function([=](const Tensor& step) {
        const double highest = options.warmup_target.value_or(initial);
        const double warmup = options.warmup_target ? options.warmup_steps : 0;
        const Tensor share = minimum(step - warmup, decay_steps) / decay_steps;
        Tensor rate = highest * ((1 - options.alpha) * half_cosine(share) + options.alpha);
        if (warmup == 0) return rate;
        return tandem::where(step < warmup, initial + (highest - initial) * (step / warmup), rate);
      })) {
  check_steps("cosine_decay", decay_steps, where);
}

CosineDecayRestarts::CosineDecayRestarts(double initial, double first_decay_steps,
                                         CosineDecayRestartsOptions options, Location where)
    : LearningRate(Function([=](const Tensor& step) {
        const double t = options.t_mul;
        const Tensor done = step / first_decay_steps;  // in first periods
        Tensor restarts, share;
        if (t == 1) {
          restarts = floor(done);
          share = done - restarts;
        } else {
          // When the i-th restart comes, in first periods.
          const auto start = [t](const Tensor& i) { return (1 - pow(constant(t), i)) / (1 - t); };
          const Tensor guess = floor(log(1 - done * (1 - t)) / std::log(t));
          // Logarithms are rounded: right at a restart the guess may be one off.
          const Tensor later = tandem::where(start(guess + 1) <= done, guess + 1, guess);
          restarts = tandem::where(start(later) > done, later - 1, later);
          share = (done - start(restarts)) / pow(constant(t), restarts);
        }
        const Tensor height = pow(constant(options.m_mul), restarts) * half_cosine(share);
        return initial * ((1 - options.alpha) * height + options.alpha);
      })) {
  check_steps("cosine_decay_restarts", first_decay_steps, where);
  detail::in_call("cosine_decay_restarts", where,
                  [&] { TD_CHECK(options.t_mul >= 1, "t_mul is {}; expected 1 or more", options.t_mul); });
}

StepDecay::StepDecay(double initial, double decay_steps, double factor, Location where)
    : LearningRate(Function([=](const Tensor& step) {
        return initial * pow(constant(factor), periods(step, decay_steps, true));
      })) {
  check_steps("step_decay", decay_steps, where);
}

OneCycle::OneCycle(double highest, double steps, OneCycleOptions options, Location where)
    : LearningRate(Function([=](const Tensor& step) {
        const double low = highest / options.division, last = low / options.final_division;
        const double top = options.rising * steps - 1, end = steps - 1;
        const auto between = [&](double from, double to, const Tensor& share) {
          if (options.annealing == "linear") return from + (to - from) * share;
          return to + (from - to) * half_cosine(share);
        };
        Tensor down = between(highest, last, (minimum(step, end) - top) / (end - top));
        if (top <= 0) return down;
        return tandem::where(step <= top, between(low, highest, step / top), down);
      })) {
  check_steps("one_cycle", steps, where);
  detail::in_call("one_cycle", where, [&] {
    TD_CHECK(options.rising >= 0 && options.rising < 1,
             "the rising share is {}; expected 0 up to, not including, 1", options.rising);
    TD_CHECK(options.division > 0 && options.final_division > 0,
             "the divisions are {} and {}; expected more than 0", options.division, options.final_division);
    TD_CHECK(options.annealing == "cosine" || options.annealing == "linear",
             "the annealing is \"{}\"; expected \"cosine\" or \"linear\"", options.annealing);
  });
}

WarmUp::WarmUp(LearningRate then, double steps, double start, Location where)
    : LearningRate(Function([=](const Tensor& step) {
        const Tensor target = then(constant(0));
        return tandem::where(step < steps, start + (target - start) * (step / steps),
                             then(maximum(step - steps, 0)));
      })) {
  check_steps("warm_up", steps, where);
}

}  // namespace schedules

}  // namespace tandem::nn
