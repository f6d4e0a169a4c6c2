#pragma once
// Optimizer steps as ONNX's training domain has them: functions from old values to new ones, for any number
// of tensors. `rate` is a number, `count` the int64 number of steps before this one. Values, gradients and
// states are lists of equal length and, entry by entry, of equal dtype and shape: float32 or float64. Errors
// of all: lists that do not fit.

#include <string_view>
#include <vector>

#include "tandem/operand.h"

namespace tandem {

/// How adagrad_step steps.
struct AdagradOptions {
  float decay_factor = 0;  ///< the rate is divided by 1 + count * decay_factor
  float epsilon = 1e-6f;
  float norm_coefficient = 0;  ///< gradients grow by this share of the values
};
/// What adagrad_step gives.
struct AdagradResult {
  std::vector<Tensor> values, squares;
};
/// Steps by the gradient over the root of all squared gradients so far, ONNX Adagrad.
AdagradResult adagrad_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                           const std::vector<Tensor>& gradients, const std::vector<Tensor>& squares,
                           const AdagradOptions& options = {});

/// How momentum_step steps.
struct MomentumOptions {
  float alpha = 0.9f;                  ///< what is kept of the velocity
  float beta = 1;                      ///< the gradient's share in it, after the first step
  std::string_view mode = "standard";  ///< or "nesterov"
  float norm_coefficient = 0;          ///< gradients grow by this share of the values
};
/// What momentum_step gives.
struct MomentumResult {
  std::vector<Tensor> values, velocities;
};
/// Steps by a velocity that gathers gradients, ONNX Momentum.
MomentumResult momentum_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                             const std::vector<Tensor>& gradients, const std::vector<Tensor>& velocities,
                             const MomentumOptions& options = {});

/// How adam_step steps.
struct AdamOptions {
  float alpha = 0.9f;   ///< what is kept of the mean gradient
  float beta = 0.999f;  ///< and of the mean square
  float epsilon = 1e-6f;
  float norm_coefficient = 0;       ///< gradients grow by this share of the values
  float norm_coefficient_post = 0;  ///< the new values shrink by this share
};
/// What adam_step gives.
struct AdamResult {
  std::vector<Tensor> values, means, squares;
};
/// Steps by the mean gradient over the root of the mean square (Kingma and Ba 2015), ONNX Adam.
AdamResult adam_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                     const std::vector<Tensor>& gradients, const std::vector<Tensor>& means,
                     const std::vector<Tensor>& squares, const AdamOptions& options = {});

}  // namespace tandem
