#pragma once
// The optimizers, under Keras's names and with its defaults. Where formulas differ they are PyTorch's;
// docs/training.md says where. w is a variable, g its gradient, t the number of the update, from 1.

#include "tandem/nn/optimizer.h"

namespace tandem::nn {

/// Options of SGD.
struct SGDOptions {
  double momentum = 0;    ///< 0 to 1
  bool nesterov = false;  ///< needs momentum, and no dampening
  double dampening = 0;   ///< the share of g that the velocity leaves out after the first update
};

/// Gradient descent: w -= rate * g. With momentum the velocity v = momentum * v + (1 - dampening) * g takes
/// g's place, with nesterov g + momentum * v does. Errors of all optimizers: a negative rate, options outside
/// their ranges.
///
///     nn::SGD optimizer(0.1, {.momentum = 0.9, .nesterov = true});
class SGD : public Optimizer {
 public:
  explicit SGD(LearningRate learning_rate = 0.01, SGDOptions options = {}, OptimizerOptions common = {},
               Location where = here());
};

/// Options of Adam and AdamW.
struct AdamOptions {
  double beta_1 = 0.9, beta_2 = 0.999;  ///< 0 up to, not including, 1
  double epsilon = 1e-7;
  bool amsgrad = false;  ///< divides by the largest mean square so far
};

/// Kingma and Ba 2015: w -= rate * m / (sqrt(v) + epsilon) with running means m of g and v of g^2, corrected
/// for their start at 0.
class Adam : public Optimizer {
 public:
  explicit Adam(LearningRate learning_rate = 0.001, AdamOptions options = {}, OptimizerOptions common = {},
                Location where = here());
};

/// Adam with decoupled weight decay, 0.004 unless said otherwise.
class AdamW : public Optimizer {
 public:
  explicit AdamW(LearningRate learning_rate = 0.001, AdamOptions options = {}, OptimizerOptions common = {},
                 Location where = here());
};

/// Options of Adamax and LAMB.
struct MomentsOptions {
  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-7;
};

/// Adam with the largest |g| of late in place of the root mean square.
class Adamax : public Optimizer {
 public:
  explicit Adamax(LearningRate learning_rate = 0.001, MomentsOptions options = {},
                  OptimizerOptions common = {}, Location where = here());
};

/// Options of Nadam.
struct NadamOptions {
  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-7;
  double momentum_decay = 0.004;  ///< how fast beta_1 warms up: beta_1 * (1 - 0.96^(t * momentum_decay) / 2)
};

/// Adam with Nesterov's momentum.
class Nadam : public Optimizer {
 public:
  explicit Nadam(LearningRate learning_rate = 0.001, NadamOptions options = {}, OptimizerOptions common = {},
                 Location where = here());
};

/// Adam whose first updates are plain momentum, until enough squares are known.
class RAdam : public Optimizer {
 public:
  explicit RAdam(LearningRate learning_rate = 0.001, MomentsOptions options = {},
                 OptimizerOptions common = {}, Location where = here());
};

/// Adam's update, per variable as long as the variable itself (You et al. 2020). Weight decay is part of the
/// update, so that it counts in its length.
class LAMB : public Optimizer {
 public:
  explicit LAMB(LearningRate learning_rate = 0.001, MomentsOptions options = {}, OptimizerOptions common = {},
                Location where = here());
};

/// Options of RMSprop.
struct RMSpropOptions {
  double rho = 0.9;  ///< what is kept of the mean square
  double momentum = 0;
  double epsilon = 1e-7;
  bool centered = false;  ///< divides by the deviation instead of the root mean square
};

/// w -= rate * g / (sqrt(running mean of g^2) + epsilon).
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(LearningRate learning_rate = 0.001, RMSpropOptions options = {},
                   OptimizerOptions common = {}, Location where = here());
};

/// Options of Adagrad.
struct AdagradOptions {
  double initial_accumulator_value = 0.1;
  double epsilon = 1e-7;
};

/// w -= rate * g / (sqrt(sum of all g^2) + epsilon).
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(LearningRate learning_rate = 0.001, AdagradOptions options = {},
                   OptimizerOptions common = {}, Location where = here());
};

/// Options of Adadelta.
struct AdadeltaOptions {
  double rho = 0.95;  ///< what is kept of the mean squares
  double epsilon = 1e-7;
};

/// w -= rate * d, where d = g * sqrt(mean of d^2 + epsilon) / sqrt(mean of g^2 + epsilon).
class Adadelta : public Optimizer {
 public:
  explicit Adadelta(LearningRate learning_rate = 0.001, AdadeltaOptions options = {},
                    OptimizerOptions common = {}, Location where = here());
};

/// Options of Ftrl.
struct FtrlOptions {
  double learning_rate_power = -0.5;  ///< at most 0
  double initial_accumulator_value = 0.1;
  double l1_regularization_strength = 0, l2_regularization_strength = 0;
  double l2_shrinkage_regularization_strength = 0;
  double beta = 0;
};

/// Follow the regularized leader (McMahan et al. 2013): for sparse linear models.
class Ftrl : public Optimizer {
 public:
  explicit Ftrl(LearningRate learning_rate = 0.001, FtrlOptions options = {}, OptimizerOptions common = {},
                Location where = here());
};

/// Options of Lion.
struct LionOptions {
  double beta_1 = 0.9;   ///< the momentum's share in the direction
  double beta_2 = 0.99;  ///< what is kept of the momentum
};

/// w -= rate * sign(beta_1 * m + (1 - beta_1) * g) (Chen et al. 2023). Weight decay is decoupled.
class Lion : public Optimizer {
 public:
  explicit Lion(LearningRate learning_rate = 0.001, LionOptions options = {}, OptimizerOptions common = {},
                Location where = here());
};

/// Options of Rprop.
struct RpropOptions {
  double eta_minus = 0.5, eta_plus = 1.2;  ///< factors of a step after a turn, and without one
  double smallest_step = 1e-6, largest_step = 50;
};

/// Steps of one size an element, which grow while g keeps its sign; the rate is their first size. For whole
/// data sets, not batches.
class Rprop : public Optimizer {
 public:
  explicit Rprop(LearningRate learning_rate = 0.01, RpropOptions options = {}, OptimizerOptions common = {},
                 Location where = here());
};

/// Options of ASGD.
struct ASGDOptions {
  double decay = 1e-4;  ///< of w, and of the rate over time
  double power = 0.75;  ///< of the rate's decay
  double start = 1e6;   ///< the update after which averages are of more than the last value
};

/// Averaged gradient descent (Polyak and Juditsky 1992). The averages are the state "average".
class ASGD : public Optimizer {
 public:
  explicit ASGD(LearningRate learning_rate = 0.01, ASGDOptions options = {}, OptimizerOptions common = {},
                Location where = here());
};

/// Options of LossScaleOptimizer.
struct LossScaleOptions {
  double initial_scale = 32'768;
  int64_t dynamic_growth_steps = 2'000;  ///< the scale doubles after so many good steps
  bool dynamic = true;                   ///< false: the scale stays
};

/// For float16: scales the loss up, so that small gradients do not vanish, and the gradients down. A step
/// with a gradient that is not finite changes nothing but the scale, which is halved.
///
///     nn::LossScaleOptimizer optimizer(nn::Adam(1e-3));
///     tape.gradient(optimizer.scale_loss(loss), variables)
class LossScaleOptimizer : public Optimizer {
 public:
  explicit LossScaleOptimizer(Optimizer inner, LossScaleOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
