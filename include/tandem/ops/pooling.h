#pragma once
// Pooling over windows of one to three spatial dimensions, and over all of them. Tensors have shape (batch,
// channels, sizes...).

#include <string_view>

#include "tandem/operand.h"

namespace tandem {

/// How windows slide. One number serves all spatial dimensions.
struct PoolOptions {
  Dims strides = {};                     ///< 1 where left out
  Dims pads = {};                        ///< before each dimension, then after each; 0 where left out
  Dims dilations = {};                   ///< distance between a window's elements; 1 where left out
  bool ceil_mode = false;                ///< a last window need not be filled
  bool count_include_pad = false;        ///< average_pool counts the padding's zeros
  std::string_view auto_pad = "NOTSET";  ///< or "SAME_UPPER", "SAME_LOWER", "VALID", as in ConvOptions
};

/// The largest element of each window, ONNX MaxPool; padding never wins, NaN does. Floating dtypes, int8 and
/// uint8. `td::max_pool(x, {2, 2}, {.strides = {2}})`. Errors: windows larger than the padded input.
Tensor max_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options = {});

/// What max_pool_indices() gives.
struct MaxPoolResult {
  Tensor values;
  Tensor indices;  ///< int64: where each comes from in the flattened input; the first of equals
};
/// The same with the positions; with `column_major` the last spatial dimension counts slowest in them.
MaxPoolResult max_pool_indices(const Operand& x, const Dims& kernel_shape, const PoolOptions& options = {},
                               bool column_major = false);
/// Puts pooled values back where `indices` say, zeros elsewhere, ONNX MaxUnpool. `output_shape` is the whole
/// shape of the result where the sizes that follow from the windows are too small.
/// Errors: an index outside the result.
Tensor max_unpool(const Operand& x, const Operand& indices, const Dims& kernel_shape,
                  const PoolOptions& options = {}, const Operand& output_shape = nullptr);
/// The mean of each window, ONNX AveragePool. Floating dtypes.
Tensor average_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options = {});
/// The sum of each window. Floating dtypes.
Tensor sum_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options = {});
/// The p-norm of each window, ONNX LpPool. Floating dtypes.
Tensor lp_pool(const Operand& x, const Dims& kernel_shape, int64_t p = 2, const PoolOptions& options = {});

/// The mean over all spatial dimensions, which become 1, ONNX GlobalAveragePool. Floating dtypes.
Tensor global_average_pool(const Operand& x);
/// The largest element of all spatial dimensions, which become 1, ONNX GlobalMaxPool. Floating dtypes.
Tensor global_max_pool(const Operand& x);
/// The p-norm over all spatial dimensions, which become 1, ONNX GlobalLpPool. Floating dtypes.
Tensor global_lp_pool(const Operand& x, int64_t p = 2);

}  // namespace tandem
