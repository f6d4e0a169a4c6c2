#pragma once
// Convolutions over one to three spatial dimensions. Tensors have shape (batch, channels, sizes...).

#include <string_view>

#include "tandem/operand.h"

namespace tandem {

/// How convolutions slide. One number serves all spatial dimensions.
struct ConvOptions {
  Dims strides = {};    ///< 1 where left out
  Dims pads = {};       ///< elements added before each dimension, then after each; 0 where left out
  Dims dilations = {};  ///< distance between a kernel's elements; 1 where left out
  int64_t group = 1;    ///< channels are cut into so many groups, each convolved for itself
  /// "SAME_UPPER" and "SAME_LOWER" pad so that the output has input / stride elements, rounded up, with the
  /// odd one after or before; "VALID" does not pad. Then pads are not used.
  std::string_view auto_pad = "NOTSET";
};
/// How transposed convolutions slide. One number serves all spatial dimensions.
struct ConvTransposeOptions {
  Dims strides = {}, pads = {}, dilations = {};  ///< as above
  int64_t group = 1;
  std::string_view auto_pad = "NOTSET";
  Dims output_padding = {};  ///< more elements at the end of each dimension
  Dims output_shape = {};    ///< the output's spatial sizes; pads are then found and not used
};

/// Convolution (without flipping the kernel), ONNX Conv: x (batch, channels, ...), w (outputs, channels /
/// group, kernel...), bias (outputs,) or none. Floating dtypes. `td::conv(images, w, b, {.pads = {1}})`
/// Errors: channels that do not fit, a kernel larger than the padded input.
Tensor conv(const Operand& x, const Operand& w, const Operand& bias = nullptr,
            const ConvOptions& options = {});
/// The transpose of conv as a linear map, ONNX ConvTranspose: x (batch, channels, ...), w (channels, outputs
/// / group, kernel...), bias (outputs,) or none. Floating dtypes. Errors: channels that do not fit, pads that
/// cut off all.
Tensor conv_transpose(const Operand& x, const Operand& w, const Operand& bias = nullptr,
                      const ConvTransposeOptions& options = {});
/// How deform_conv slides. One number serves all spatial dimensions.
struct DeformConvOptions {
  Dims strides = {}, pads = {}, dilations = {};  ///< as in ConvOptions
  int64_t group = 1;
  int64_t offset_group = 1;  ///< channels are cut into so many groups, each moved by offsets of its own
};
/// A convolution that reads between the elements of x, ONNX DeformConv: each element of the kernel is moved
/// by `offset` (batch, offset groups * kernel's elements * dimensions, output's sizes...) and its value
/// multiplied by `mask` (batch, offset groups * kernel's elements, output's sizes...) if there is one.
/// Floating dtypes.
Tensor deform_conv(const Operand& x, const Operand& w, const Operand& offset, const Operand& bias = nullptr,
                   const Operand& mask = nullptr, const DeformConvOptions& options = {});
/// What conv's gradient with respect to x is, given that of its output; linear in both, itself
/// differentiable.
Tensor conv_input_gradient(const Operand& dy, const Operand& w, const Operand& x_shape,
                           const ConvOptions& options = {});
/// What conv's gradient with respect to w is, given that of its output; linear in both, itself
/// differentiable.
Tensor conv_weight_gradient(const Operand& x, const Operand& dy, const Operand& w_shape,
                            const ConvOptions& options = {});

}  // namespace tandem
