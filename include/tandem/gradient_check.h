#pragma once
// Whether gradients agree with differences.

#include <functional>
#include <vector>

#include "tandem/tensor.h"

namespace tandem {

/// What check_gradients found: for each floating input the jacobian of the function's value, as a float64
/// matrix with a row for each element of the value and a column for each element of the input. Undefined for
/// other inputs.
struct GradientCheck {
  std::vector<Tensor> analytic;  ///< by the tape
  std::vector<Tensor> numeric;   ///< by central differences
  /// The largest difference between the two, over the larger of 1 and the numeric value; infinite where
  /// either is not a number.
  double largest_error = 0;
};

/// Compares the gradients of `f` at `inputs` with central differences of this `step` (0: one that suits each
/// dtype).
///
///     auto check = td::check_gradients([](const std::vector<td::Tensor>& x) { return td::tanh(x[0]); },
///     {x}); assert(check.largest_error < 1e-6);
GradientCheck check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                              const std::vector<Tensor>& inputs, double step = 0, Location where = here());

}  // namespace tandem
