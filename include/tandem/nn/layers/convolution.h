#pragma once
// Convolutional layers. Inputs are (batch, sizes..., channels), or (batch, channels, sizes...) where
// data_format says "channels_first".

#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// Options of Conv1D, Conv2D and Conv3D.
struct ConvolutionOptions {
  PerAxis strides = 1;
  /// "valid" pads nothing; "same" pads so that the output has input / stride elements, rounded up; "causal"
  /// (Conv1D) pads before only, so that no output sees later inputs.
  std::string padding = "valid";
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  int64_t groups = 1;  ///< channels are cut into so many groups, each convolved for itself
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the results; divided by the batch's size
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
};

/// Convolution over one dimension: (batch, steps, channels) to (batch, new steps, filters). The kernel is
/// (size, channels / groups, filters). Floating dtypes; parameters take the first input's.
/// `nn::Conv1D(32, 3, "relu", {.padding = "causal"})`
class Conv1D : public Layer {
 public:
  Conv1D(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
         ConvolutionOptions options = {}, Location where = here());
};
/// Convolution over images: (batch, height, width, channels) to (batch, new height, new width, filters). The
/// kernel is (height, width, channels / groups, filters). Floating dtypes.
/// `auto h = nn::Conv2D(32, {3, 3}, "relu", {.padding = "same"})(images);`
class Conv2D : public Layer {
 public:
  Conv2D(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
         ConvolutionOptions options = {}, Location where = here());
};
/// Convolution over volumes: (batch, depth, height, width, channels); otherwise as Conv2D.
class Conv3D : public Layer {
 public:
  Conv3D(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
         ConvolutionOptions options = {}, Location where = here());
};

/// Options of Conv1DTranspose, Conv2DTranspose and Conv3DTranspose.
struct TransposedConvolutionOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same": the output has input * stride elements
  /// Elements at the end beyond (input - 1) * stride + kernel ("valid") or + kernel % 2 ("same"). Default: as
  /// many as give input * stride + max(kernel - stride, 0), or input * stride.
  PerAxis output_padding = {};
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the results; divided by the batch's size
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
};

/// The transpose of a convolution, which makes its input larger: (batch, steps, channels) to (batch, more
/// steps, filters). The kernel is (size, filters, channels).
class Conv1DTranspose : public Layer {
 public:
  Conv1DTranspose(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
                  TransposedConvolutionOptions options = {}, Location where = here());
};
/// The same for images; the kernel is (height, width, filters, channels).
class Conv2DTranspose : public Layer {
 public:
  Conv2DTranspose(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
                  TransposedConvolutionOptions options = {}, Location where = here());
};
/// The same for volumes; the kernel is (depth, height, width, filters, channels).
class Conv3DTranspose : public Layer {
 public:
  Conv3DTranspose(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
                  TransposedConvolutionOptions options = {}, Location where = here());
};

/// Options of DepthwiseConv1D and DepthwiseConv2D.
struct DepthwiseConvolutionOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"
  int64_t depth_multiplier = 1;   ///< outputs for each channel
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer depthwise_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the results; divided by the batch's size
  Constraint depthwise_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
};

/// Each channel convolved for itself: (batch, steps, channels) to (batch, new steps, channels *
/// depth_multiplier). The kernel is (size, channels, depth_multiplier).
class DepthwiseConv1D : public Layer {
 public:
  explicit DepthwiseConv1D(PerAxis kernel_size, ActivationFunction activation = {},
                           DepthwiseConvolutionOptions options = {}, Location where = here());
};
/// The same for images; the kernel is (height, width, channels, depth_multiplier).
class DepthwiseConv2D : public Layer {
 public:
  explicit DepthwiseConv2D(PerAxis kernel_size, ActivationFunction activation = {},
                           DepthwiseConvolutionOptions options = {}, Location where = here());
};

/// Options of SeparableConv1D and SeparableConv2D.
struct SeparableConvolutionOptions {
  PerAxis strides = 1;
  std::string padding = "valid";  ///< or "same"; SeparableConv1D also "causal"
  std::string data_format = "channels_last";
  PerAxis dilation_rate = 1;
  int64_t depth_multiplier = 1;  ///< outputs for each channel between the two steps
  bool use_bias = true;
  Initializer depthwise_initializer = "glorot_uniform";
  Initializer pointwise_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer depthwise_regularizer = {};
  Regularizer pointwise_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the results; divided by the batch's size
  Constraint depthwise_constraint = {};
  Constraint pointwise_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
};

/// Each channel convolved for itself, then all mixed at each place. The kernels are (size, channels,
/// depth_multiplier) and (1, channels * depth_multiplier, filters).
class SeparableConv1D : public Layer {
 public:
  SeparableConv1D(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
                  SeparableConvolutionOptions options = {}, Location where = here());
};
/// The same for images.
class SeparableConv2D : public Layer {
 public:
  SeparableConv2D(int64_t filters, PerAxis kernel_size, ActivationFunction activation = {},
                  SeparableConvolutionOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
