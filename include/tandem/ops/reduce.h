#pragma once
// Reductions over axes.

#include "tandem/operand.h"

namespace tandem {

/// Sum over `axes` (none: all of them), ONNX ReduceSum. Numeric dtypes; `keepdims` leaves sizes of 1.
/// `td::reduce_sum(x, {0})`. Errors: an axis out of range.
Tensor reduce_sum(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_sum.
Tensor sum(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Sums broadcast dimensions away until the shape is `shape`: the gradient of broadcasting.
Tensor sum_to(const Operand& x, const Operand& shape);

}  // namespace tandem
