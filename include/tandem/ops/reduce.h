#pragma once
// Reductions over axes. `axes` is one integer, a list, or left out for all of them; `keepdims` leaves sizes
// of 1. Errors of all: an axis out of range, or listed twice.

#include "tandem/operand.h"

namespace tandem {

/// Sum over `axes`, ONNX ReduceSum. Numeric dtypes; integers wrap. `td::reduce_sum(x, {0})`
Tensor reduce_sum(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_sum.
Tensor sum(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Mean over `axes`, ONNX ReduceMean. Numeric dtypes; integers truncate, and fail where nothing is averaged.
Tensor reduce_mean(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_mean.
Tensor mean(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Largest over `axes`, ONNX ReduceMax. All dtypes; NaN wins; of nothing: -infinity or the lowest value.
/// Elements that tie share the gradient equally.
Tensor reduce_max(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_max.
Tensor amax(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Smallest over `axes`, ONNX ReduceMin. All dtypes; NaN wins; of nothing: infinity or the highest value.
/// Elements that tie share the gradient equally.
Tensor reduce_min(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_min.
Tensor amin(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Product over `axes`, ONNX ReduceProd. Numeric dtypes; integers wrap.
Tensor reduce_prod(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Short name of reduce_prod.
Tensor prod(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Sum of magnitudes, ONNX ReduceL1. Numeric dtypes.
Tensor reduce_l1(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Euclidean length, ONNX ReduceL2. Numeric dtypes; integers truncate.
Tensor reduce_l2(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Sum of squares, ONNX ReduceSumSquare. Numeric dtypes.
Tensor reduce_sum_square(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Logarithm of the sum, ONNX ReduceLogSum. Numeric dtypes; integers truncate.
Tensor reduce_log_sum(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// log(sum(exp(x))) without overflow, ONNX ReduceLogSumExp. Numeric dtypes; integers truncate.
Tensor reduce_log_sum_exp(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Whether all elements differ from zero, as bool. All dtypes.
Tensor reduce_all(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);
/// Whether any element differs from zero, as bool. All dtypes.
Tensor reduce_any(const Operand& x, const Operand& axes = nullptr, bool keepdims = false);

/// Mean squared distance from the mean; divides by the count less `correction` (1 for a sample's estimate).
Tensor variance(const Operand& x, const Operand& axes = nullptr, bool keepdims = false,
                double correction = 0);
/// Square root of the variance.
Tensor standard_deviation(const Operand& x, const Operand& axes = nullptr, bool keepdims = false,
                          double correction = 0);

/// Position of the largest element along `axis` as int64, ONNX ArgMax. Numeric dtypes; NaN counts as largest.
/// Of equal ones the first, or the last with `select_last_index`. Errors: an axis of size 0.
Tensor argmax(const Operand& x, int64_t axis, bool keepdims = false, bool select_last_index = false);
/// Position of the smallest element along `axis` as int64, ONNX ArgMin; NaN counts as smallest.
Tensor argmin(const Operand& x, int64_t axis, bool keepdims = false, bool select_last_index = false);

/// Running sums along `axis`, ONNX CumSum. `exclusive` leaves each element out of its own sum, `reverse` runs
/// from the end. Numeric dtypes; float16 and bfloat16 are summed in float32.
Tensor cumsum(const Operand& x, const Operand& axis, bool exclusive = false, bool reverse = false);
/// Running products along `axis`, ONNX CumProd, with the same options.
Tensor cumprod(const Operand& x, const Operand& axis, bool exclusive = false, bool reverse = false);

/// Sums broadcast dimensions away until the shape is `shape`: the gradient of broadcasting.
Tensor sum_to(const Operand& x, const Operand& shape);

}  // namespace tandem
