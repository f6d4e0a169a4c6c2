#pragma once
// Rearranging elements. What strides allow shares the buffer and costs nothing.

#include "tandem/operand.h"

namespace tandem {

/// The same elements in another shape, ONNX Reshape; one size may be -1. `td::reshape(x, {-1, 784})`.
/// Errors: the number of elements differs.
Tensor reshape(const Operand& x, const Operand& shape);
/// Two dimensions, those before `axis` and those from it on joined, ONNX Flatten. A view where strides allow.
Tensor flatten(const Operand& x, int64_t axis = 1);
/// Drops dimensions of size 1: those listed, or all, ONNX Squeeze. A view. Errors: a listed size is not 1.
Tensor squeeze(const Operand& x, const Operand& axes = nullptr);
/// Adds dimensions of size 1 at these positions of the result, ONNX Unsqueeze. `td::unsqueeze(x, {0, -1})`.
Tensor unsqueeze(const Operand& x, const Operand& axes);
/// Permutes the dimensions, ONNX Transpose; reverses them when `permutation` is empty. A view.
Tensor transpose(const Operand& x, const Dims& permutation = {});
/// Exchanges two dimensions. A view.
Tensor swapaxes(const Operand& x, int64_t first, int64_t second);
/// Takes one dimension out and puts it in at position `to`; the others keep their order. A view.
Tensor moveaxis(const Operand& x, int64_t from, int64_t to);
/// Repeats dimensions of size 1 up to `shape` (broadcasting both ways), ONNX Expand. A view.
Tensor expand(const Operand& x, const Operand& shape);
/// The sizes as an int64 tensor, ONNX Shape, from dimension `start` up to `end`.
Tensor shape_of(const Operand& x, int64_t start = 0, int64_t end = INT64_MAX);
/// The number of elements as an int64 scalar, ONNX Size.
Tensor size_of(const Operand& x);
/// Joins tensors along `axis`, ONNX Concat.
Tensor concat(const std::vector<Tensor>& parts, int64_t axis, Location where = here());
/// Joins tensors of equal shape along a new dimension. `td::stack({a, b})` has shape (2, ...).
Tensor stack(const std::vector<Tensor>& parts, int64_t axis = 0, Location where = here());
/// Cuts one dimension into parts, ONNX Split: a number gives so many equal ones (the last may be smaller), a
/// list their sizes. Views. `td::split(x, 2)`, `td::split(x, {1, 3}, -1)`.
std::vector<Tensor> split(const Operand& x, const Operand& parts, int64_t axis = 0);
/// The entries along one dimension, which goes. Views. Errors: a size that is not known while tracing.
std::vector<Tensor> unstack(const Operand& x, int64_t axis = 0);
/// Ranges of some dimensions, ONNX Slice, by NumPy's rules: negative positions count from the end, ranges are
/// cut to fit, steps may be negative. A view; `x[{...}]` writes it shorter. `td::slice(x, {1}, {5}, {0})`.
Tensor slice(const Operand& x, const Operand& starts, const Operand& ends, const Operand& axes = nullptr,
             const Operand& steps = nullptr);
/// Reverses the order along some dimensions (all by default). A view.
Tensor flip(const Operand& x, const Operand& axes = nullptr);
/// Shifts the entries along one dimension; those that leave at one end come in at the other.
Tensor roll(const Operand& x, int64_t shift, int64_t axis = 0);
/// Adds elements around the edges, ONNX Pad: `pads` lists how many before each axis, then how many after;
/// negative ones cut off. `mode` is "constant" (of `value`), "reflect", "edge" or "wrap".
/// `td::pad(x, {0, 1, 0, 1})` adds a column on either side.
Tensor pad(const Operand& x, const Operand& pads, std::string_view mode = "constant",
           const Operand& value = nullptr, const Operand& axes = nullptr);
/// The whole repeated along each dimension, ONNX Tile. `td::tile(x, {2, 1})`.
Tensor tile(const Operand& x, const Operand& repeats);
/// Each sequence's first entries along time in reverse order, `lengths` (int64, one a batch) many; the rest
/// stays, ONNX ReverseSequence. One of the axes is 0, the other 1. `td::reverse_sequence(x, {3, 1})`.
/// Errors: a length outside 0 to the size of the time axis.
Tensor reverse_sequence(const Operand& x, const Operand& lengths, int64_t batch_axis = 1,
                        int64_t time_axis = 0);
/// The value itself under a new identity, ONNX Identity.
Tensor identity(const Operand& x);
/// Converts the elements, ONNX Cast: as C++ where the value fits; NaN to an integer gives 0, too large ones
/// saturate.
Tensor cast(const Operand& x, DType dtype);
/// Converts to the dtype of `like`, ONNX CastLike.
Tensor cast_like(const Operand& x, const Operand& like);
/// The same bits read as another dtype of the same width, ONNX BitCast. `td::bit_cast(x, td::int32)`. To
/// bool: whether any bit is set. Errors: a dtype of another width.
Tensor bit_cast(const Operand& x, DType dtype);

}  // namespace tandem
