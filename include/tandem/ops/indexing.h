#pragma once
// Reading and writing by index.

#include "tandem/operand.h"

namespace tandem {

/// Entries of one axis by index, ONNX Gather: the axis is replaced by the indices' shape. Negative indices
/// count from the end. `td::gather(table, words)`. Errors: an index out of range.
Tensor gather(const Operand& x, const Operand& indices, int64_t axis = 0);
/// One element for each index, ONNX GatherElements: along `axis` the position comes from `indices`, in the
/// other dimensions it is the index's own. Errors: an index out of range.
Tensor gather_elements(const Operand& x, const Operand& indices, int64_t axis = 0);
/// Slices by coordinates, ONNX GatherND: the last dimension of `indices` holds positions of the first
/// dimensions of x, after `batch_dims` that both share. Errors: an index out of range.
Tensor gather_nd(const Operand& x, const Operand& indices, int64_t batch_dims = 0);
/// x with `updates` written where `indices` say along `axis`, ONNX ScatterElements. `reduction` is "none"
/// (the last of equal indices wins), "add", "mul", "max" or "min"; updates are applied in order.
Tensor scatter_elements(const Operand& x, const Operand& indices, const Operand& updates, int64_t axis = 0,
                        std::string_view reduction = "none");
/// x with slices replaced or changed at coordinates, ONNX ScatterND. `reduction` as in scatter_elements.
Tensor scatter_nd(const Operand& x, const Operand& indices, const Operand& updates,
                  std::string_view reduction = "none");
/// The entries where `condition` holds, ONNX Compress: along `axis`, or of the flattened x without one. The
/// result's size depends on values. `td::compress(x, mask, 0)`
Tensor compress(const Operand& x, const Operand& condition, std::optional<int64_t> axis = {});
/// The slices of x where `mask`, which has the sizes of x's first dimensions, holds.
Tensor boolean_mask(const Operand& x, const Operand& mask);
/// The positions of elements that are not zero, ONNX NonZero: int64 of shape (rank, count), in row-major
/// order.
Tensor nonzero(const Operand& x);

/// What unique() gives; all but the values are int64.
struct UniqueResult {
  Tensor values;   ///< sorted, or in order of first appearance
  Tensor indices;  ///< where each first appears
  Tensor inverse;  ///< for each entry of the input the position of its value
  Tensor counts;
};
/// The different elements, or slices along `axis`, ONNX Unique. NaN equals NaN here and is sorted last.
UniqueResult unique(const Operand& x, std::optional<int64_t> axis = {}, bool sorted = true);

/// What topk() gives.
struct TopKResult {
  Tensor values;
  Tensor indices;  ///< int64
};
/// The k largest (or smallest) entries along `axis`, sorted, ONNX TopK. NaN counts as largest; of equals the
/// first comes first. `auto [values, indices] = td::topk(scores, 5);` Errors: k beyond the axis's size.
TopKResult topk(const Operand& x, const Operand& k, int64_t axis = -1, bool largest = true);

/// A new dimension of size `depth` at `axis`, 1 at each index and 0 elsewhere, ONNX OneHot. An index outside
/// -depth to depth-1 gives zeros. `td::one_hot(labels, 10)`
Tensor one_hot(const Operand& indices, const Operand& depth, int64_t axis = -1, DType dtype = DType::f32);
/// The same with values[1] at each index and values[0] elsewhere.
Tensor one_hot_values(const Operand& indices, const Operand& depth, const Operand& values, int64_t axis = -1);
/// The upper triangle of the last two dimensions, from diagonal k on; zeros elsewhere, ONNX Trilu.
Tensor triu(const Operand& x, const Operand& k = nullptr);
/// The lower triangle of the last two dimensions, up to diagonal k; zeros elsewhere, ONNX Trilu.
Tensor tril(const Operand& x, const Operand& k = nullptr);

}  // namespace tandem
