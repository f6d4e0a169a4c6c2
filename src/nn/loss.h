#pragma once
// What losses and metrics share.

#include <string>
#include <string_view>

#include "tandem/nn/loss.h"

namespace tandem::nn::detail {

/// What a Loss is.
struct LossBody {
  Loss::Function values;
  /// Which positions count, for losses that ignore some targets.
  Loss::Function mask = {};
  LossOptions options;
  /// True when operations inside have no lines of the user's own.
  bool builtin = false;
};

using LossFunction = Tensor (*)(const Tensor& predictions, const Tensor& targets, Location where);
/// A loss's function by its name; null if there is none.
LossFunction find_loss(std::string_view name);
/// A loss whose operations count as called where the loss is.
Loss builtin_loss(LossFunction function, std::string name);
/// All names, for messages.
std::string loss_names();

/// Sizes are equal as far as they are known.
bool fits(const Shape& a, const Shape& b);
Shape without_last(Shape shape);
void check_defined(const Tensor& predictions, const Tensor& targets);
/// Floating predictions, and targets of their dtype and shape.
struct Pair {
  Tensor p, t;
};
/// A missing last dimension of size 1 is put in on either side. Errors: shapes that differ.
Pair aligned(const Tensor& predictions, const Tensor& targets);
/// The mean over an axis; of (batch) every number is an example's.
Tensor mean_over(const Tensor& values, int axis = -1);
/// The labels as int64, one for each row of the predictions. Errors: other shapes and dtypes.
Tensor checked_labels(const Tensor& predictions, Tensor labels);
/// Weights or a mask in as many dimensions as the values. Errors: shapes that do not fit.
Tensor fitted_to(const char* what, const Tensor& weights, const Tensor& values);
/// The mask as bool.
Tensor as_mask(const Tensor& mask);
/// One number or, without a reduction, the weighted values.
Tensor reduced(const Tensor& values, const Tensor& weights, const Tensor& mask, Reduction reduction);

}  // namespace tandem::nn::detail
