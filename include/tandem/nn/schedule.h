#pragma once
// Learning rates: numbers, callables, and schedules over the iterations.

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/operand.h"
#include "tandem/tensor.h"

namespace tandem::nn {

/// An optimizer's learning rate: a number, which can be changed later; a function of no arguments, which may
/// read Variables; or a schedule: a function of the number of iterations so far, a float64 scalar. Functions
/// give a floating scalar, and are traced where the step is.
///
///     nn::SGD(0.1);
///     nn::SGD(nn::schedules::CosineDecay(0.1, 10'000));
///     nn::SGD([](const td::Tensor& iterations) { return 0.1 / (1 + iterations); });
class LearningRate {
 public:
  using Function = std::function<Tensor(const Tensor& iterations)>;

  template <class T>
  requires(std::is_arithmetic_v<T>) LearningRate(T number) : number_(static_cast<double>(number)) {}
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&> && !std::derived_from<F, LearningRate>)
      LearningRate(F schedule)
      : function_(std::move(schedule)) {}
  template <class F>
  requires(std::is_same_v<std::invoke_result_t<F&>, Tensor>) LearningRate(F callable)
      : function_([callable = std::move(callable)](const Tensor&) { return callable(); }) {}

  bool is_number() const { return !function_; }
  /// The number; 0 for a function.
  double number() const { return number_; }
  /// The rate after so many iterations, a float64 scalar; whole or not. `schedule(100).item<double>()`
  /// Errors: a function that gives no floating scalar.
  Tensor operator()(const Operand& iterations) const;

 private:
  double number_ = 0;
  Function function_;
};

/// Schedules, under Keras's names where it has them. Steps are iterations, from 0; `decay_steps` is how many
/// make one period. Errors of all: periods below 1.
namespace schedules {

/// Options of schedules that decay smoothly or in stairs.
struct DecayOptions {
  bool staircase = false;  ///< only at the end of each period
};

/// initial * rate^(step / decay_steps).
class ExponentialDecay : public LearningRate {
 public:
  ExponentialDecay(double initial, double decay_steps, double rate, DecayOptions options = {},
                   Location where = here());
};

/// initial / (1 + rate * step / decay_steps).
class InverseTimeDecay : public LearningRate {
 public:
  InverseTimeDecay(double initial, double decay_steps, double rate, DecayOptions options = {},
                   Location where = here());
};

/// Options of PolynomialDecay.
struct PolynomialDecayOptions {
  double end = 0.0001;
  double power = 1;
  bool cycle = false;  ///< goes on past the end, with a period that grows by decay_steps each time
};

/// From initial to end over decay_steps: (initial - end) * (1 - step / decay_steps)^power + end.
class PolynomialDecay : public LearningRate {
 public:
  PolynomialDecay(double initial, double decay_steps, PolynomialDecayOptions options = {},
                  Location where = here());
};

/// values[0] up to boundaries[0], that included, values[1] up to boundaries[1], ..., the last for ever.
/// Errors: not one value more than boundaries, boundaries that do not rise.
class PiecewiseConstantDecay : public LearningRate {
 public:
  PiecewiseConstantDecay(std::vector<double> boundaries, std::vector<double> values, Location where = here());
};

/// Options of CosineDecay.
struct CosineDecayOptions {
  double alpha = 0;                          ///< the share of the highest rate that remains at the end
  std::optional<double> warmup_target = {};  ///< the rate rises from initial to this first
  double warmup_steps = 0;                   ///< over so many steps
};

/// Half a period of a cosine from initial (or warmup_target) down over decay_steps, then constant.
class CosineDecay : public LearningRate {
 public:
  CosineDecay(double initial, double decay_steps, CosineDecayOptions options = {}, Location where = here());
};

/// Options of CosineDecayRestarts.
struct CosineDecayRestartsOptions {
  double t_mul = 2;  ///< each period is so many times as long as the one before
  double m_mul = 1;  ///< and begins so many times as high
  double alpha = 0;  ///< the share of initial that remains at the end of a period
};

/// Cosines one after another.
class CosineDecayRestarts : public LearningRate {
 public:
  CosineDecayRestarts(double initial, double first_decay_steps, CosineDecayRestartsOptions options = {},
                      Location where = here());
};

/// initial * factor^(number of whole periods).
class StepDecay : public LearningRate {
 public:
  StepDecay(double initial, double decay_steps, double factor = 0.1, Location where = here());
};

/// Options of OneCycle.
struct OneCycleOptions {
  double rising = 0.3;               ///< the share of the steps until the highest rate
  double division = 25;              ///< begins at highest / division
  double final_division = 10'000;    ///< ends at that / final_division
  std::string annealing = "cosine";  ///< or "linear"
};

/// Up from low to highest and down to almost nothing, in `steps` steps, as PyTorch's OneCycleLR; then
/// constant. Errors: a share outside 0 to 1, another annealing.
class OneCycle : public LearningRate {
 public:
  OneCycle(double highest, double steps, OneCycleOptions options = {}, Location where = here());
};

/// A straight line from `start` to the beginning of another schedule (or number), which then follows.
/// `nn::schedules::WarmUp(nn::schedules::CosineDecay(0.1, 10'000), 500)`
class WarmUp : public LearningRate {
 public:
  WarmUp(LearningRate then, double steps, double start = 0, Location where = here());
};

}  // namespace schedules

}  // namespace tandem::nn
