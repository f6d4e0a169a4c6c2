#pragma once
// Rearranging elements. What strides allow shares the buffer and costs nothing.

#include "tandem/operand.h"

namespace tandem {

/// The same elements in another shape, ONNX Reshape; one size may be -1. `td::reshape(x, {-1, 784})`.
/// Errors: the number of elements differs.
Tensor reshape(const Operand& x, const Operand& shape);
/// Permutes the dimensions, ONNX Transpose; reverses them when `permutation` is empty. A view.
Tensor transpose(const Operand& x, const Dims& permutation = {});
/// Repeats dimensions of size 1 up to `shape` (broadcasting both ways), ONNX Expand. A view.
Tensor expand(const Operand& x, const Operand& shape);
/// The sizes as an int64 tensor, ONNX Shape, from dimension `start` up to `end`.
Tensor shape_of(const Operand& x, int64_t start = 0, int64_t end = INT64_MAX);
/// Joins tensors along `axis`, ONNX Concat.
Tensor concat(const std::vector<Tensor>& parts, int64_t axis, Location where = here());
/// The value itself under a new identity, ONNX Identity.
Tensor identity(const Operand& x);
/// Converts the elements, ONNX Cast: as C++ where the value fits; NaN to an integer gives 0, too large ones
/// saturate.
Tensor cast(const Operand& x, DType dtype);

}  // namespace tandem
