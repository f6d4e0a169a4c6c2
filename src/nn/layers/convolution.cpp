// Conv*, DepthwiseConv*, SeparableConv*.

#include "tandem/nn/layers/convolution.h"

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// How windows slide over `spatial` dimensions.
struct Sliding {
  int spatial;
  bool channels_last;
  Dims kernel_size;
  ConvOptions options;

  template <class Options>
  Sliding(int dimensions, const PerAxis& size, const Options& o)
      : spatial(dimensions),
        channels_last(detail::is_channels_last(o.data_format)),
        kernel_size(detail::spread(size, dimensions, "kernel_size")) {
    options.strides = detail::spread(o.strides, spatial, "strides");
    options.dilations = detail::spread(o.dilation_rate, spatial, "dilation_rate");
    if (spatial == 1)
      detail::check_word("padding", o.padding, {"valid", "same", "causal"});
    else
      detail::check_word("padding", o.padding, {"valid", "same"});
    if (o.padding == "causal")
      options.pads = {(kernel_size[0] - 1) * options.dilations[0], 0};
    else
      options.auto_pad = o.padding == "same" ? "SAME_UPPER" : "VALID";
  }

  /// The shape of a kernel whose last two sizes are these.
  Shape kernel_shape(int64_t inputs, int64_t outputs) const {
    Shape shape = kernel_size;
    shape.push_back(inputs);
    shape.push_back(outputs);
    return shape;
  }
  /// The number of channels of x; -1 where it is unknown.
  int64_t channels(const Tensor& x) const {
    return channels_last ? x.shape().codes().back() : x.shape().codes()[1];
  }
  Dim known_channels(const Tensor& x, Location where) const { return x.dim(channels_last ? -1 : 1, where); }

  void check(const Tensor& x) const { detail::check_layout(x, spatial, channels_last); }
  void check_channels(const Tensor& x, int64_t built_for) const {
    TD_CHECK(channels(x) == built_for || channels(x) < 0,
             "input shape {} has {} channels; the layer was built for {}", x.shape(), channels(x), built_for);
  }
};

/// (sizes..., inputs, outputs) as the operations want it: (outputs, inputs, sizes...).
Tensor outputs_first(const Tensor& kernel) {
  const int rank = kernel.rank();
  Dims order{rank - 1, rank - 2};
  for (int i = 0; i < rank - 2; ++i) order.push_back(i);
  return transpose(kernel, order);
}
/// (sizes..., channels, multiplier) as one filter of one channel for each output.
Tensor filters_by_channel(const Tensor& kernel) {
  const int rank = kernel.rank();
  Dims order{rank - 2, rank - 1}, shape{-1, 1};
  for (int i = 0; i < rank - 2; ++i) {
    order.push_back(i);
    shape.push_back(kernel.shape().codes()[i]);
  }
  return reshape(transpose(kernel, order), shape);
}

struct Weights {
  Variable kernel, pointwise, bias;
  int64_t channels = 0;
};

class ConvolutionBody final : public LayerBody {
 public:
  ConvolutionBody(int spatial, int64_t filters, const PerAxis& kernel_size, ActivationFunction activation,
                  ConvolutionOptions options)
      : sliding_(spatial, kernel_size, options),
        filters_(filters),
        activation_(std::move(activation)),
        options_(std::move(options)) {
    TD_CHECK(filters > 0, "{} filters were asked for; expected at least 1", filters);
    TD_CHECK(options_.groups > 0 && filters % options_.groups == 0, "{} filters cannot be cut into {} groups",
             filters, options_.groups);
    sliding_.options.group = options_.groups;
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    sliding_.check(x);
    const Weights& w = weights_.get([&] { return build(state, x); });
    sliding_.check_channels(x, w.channels);
    const Tensor bias = w.bias.defined() ? Tensor(w.bias) : Tensor();
    const Tensor input = sliding_.channels_last ? detail::channels_to_front(x) : x;
    const Tensor y = conv(input, outputs_first(w.kernel), bias, sliding_.options);
    return detail::activated(activation_, y, sliding_.channels_last);
  }

 private:
  Weights build(ModuleState& state, const Tensor& x) const {
    detail::check_floating(x);
    const int64_t channels = sliding_.known_channels(x, state.where);
    TD_CHECK(channels % options_.groups == 0,
             "the {} channels of input shape {} cannot be cut into {} groups", channels, x.shape(),
             options_.groups);
    const ConvolutionOptions& o = options_;
    Weights w;
    w.channels = channels;
    w.kernel =
        detail::make_parameter(state, "kernel", sliding_.kernel_shape(channels / o.groups, filters_),
                               x.dtype(), o.kernel_initializer, o.kernel_regularizer, o.kernel_constraint);
    if (o.use_bias)
      w.bias = detail::make_parameter(state, "bias", {filters_}, x.dtype(), o.bias_initializer,
                                      o.bias_regularizer, o.bias_constraint);
    return w;
  }

  Sliding sliding_;
  int64_t filters_;
  ActivationFunction activation_;
  ConvolutionOptions options_;
  detail::Once<Weights> weights_;
};

/// Depthwise, and with `filters` separable.
class SeparableBody final : public LayerBody {
 public:
  struct Settings {
    const char* kernel_name;
    std::optional<int64_t> filters;
    SeparableConvolutionOptions options;
  };

  SeparableBody(int spatial, const PerAxis& kernel_size, ActivationFunction activation, Settings settings)
      : sliding_(spatial, kernel_size, settings.options),
        activation_(std::move(activation)),
        settings_(std::move(settings)) {
    // As in Keras.
    if (!settings_.filters) detail::check_word("padding", settings_.options.padding, {"valid", "same"});
    TD_CHECK(settings_.options.depth_multiplier > 0, "depth_multiplier is {}; expected at least 1",
             settings_.options.depth_multiplier);
    TD_CHECK(settings_.filters.value_or(1) > 0, "{} filters were asked for; expected at least 1",
             *settings_.filters);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    sliding_.check(x);
    const Weights& w = weights_.get([&] { return build(state, x); });
    sliding_.check_channels(x, w.channels);
    const Tensor bias = w.bias.defined() ? Tensor(w.bias) : Tensor();
    ConvOptions options = sliding_.options;
    options.group = w.channels;
    Tensor y = sliding_.channels_last ? detail::channels_to_front(x) : x;
    y = conv(y, filters_by_channel(w.kernel), settings_.filters ? Tensor() : bias, options);
    if (settings_.filters) y = conv(y, outputs_first(w.pointwise), bias);
    return detail::activated(activation_, y, sliding_.channels_last);
  }

 private:
  Weights build(ModuleState& state, const Tensor& x) const {
    detail::check_floating(x);
    const SeparableConvolutionOptions& o = settings_.options;
    Weights w;
    w.channels = sliding_.known_channels(x, state.where);
    const int64_t inner = w.channels * o.depth_multiplier, outputs = settings_.filters.value_or(inner);
    w.kernel = detail::make_parameter(
        state, settings_.kernel_name, sliding_.kernel_shape(w.channels, o.depth_multiplier), x.dtype(),
        o.depthwise_initializer, o.depthwise_regularizer, o.depthwise_constraint);
    if (settings_.filters) {
      Shape shape = Dims::filled(sliding_.spatial, 1);
      shape.push_back(inner);
      shape.push_back(outputs);
      w.pointwise =
          detail::make_parameter(state, "pointwise_kernel", shape, x.dtype(), o.pointwise_initializer,
                                 o.pointwise_regularizer, o.pointwise_constraint);
    }
    if (o.use_bias)
      w.bias = detail::make_parameter(state, "bias", {outputs}, x.dtype(), o.bias_initializer,
                                      o.bias_regularizer, o.bias_constraint);
    return w;
  }

  Sliding sliding_;
  ActivationFunction activation_;
  Settings settings_;
  detail::Once<Weights> weights_;
};

std::shared_ptr<LayerBody> separable(const char* kind, Location where, int spatial,
                                     std::optional<int64_t> filters, const PerAxis& kernel_size,
                                     ActivationFunction activation, const SeparableConvolutionOptions& o) {
  return detail::make_body<SeparableBody>(
      kind, where, spatial, kernel_size, std::move(activation),
      SeparableBody::Settings{filters ? "depthwise_kernel" : "kernel", filters, o});
}
/// The same without the second step.
SeparableConvolutionOptions without_mixing(const DepthwiseConvolutionOptions& o) {
  return {.strides = o.strides,
          .padding = o.padding,
          .data_format = o.data_format,
          .dilation_rate = o.dilation_rate,
          .depth_multiplier = o.depth_multiplier,
          .use_bias = o.use_bias,
          .depthwise_initializer = o.depthwise_initializer,
          .bias_initializer = o.bias_initializer,
          .depthwise_regularizer = o.depthwise_regularizer,
          .bias_regularizer = o.bias_regularizer,
          .depthwise_constraint = o.depthwise_constraint,
          .bias_constraint = o.bias_constraint};
}

}  // namespace

#define TANDEM_CONVOLUTION(Kind, spatial)                                                                 \
  Kind::Kind(int64_t filters, PerAxis kernel_size, ActivationFunction activation,                         \
             ConvolutionOptions options, Location where)                                                  \
      : Layer(#Kind, options.name, where,                                                                 \
              detail::make_body<ConvolutionBody>(#Kind, where, spatial, filters, kernel_size, activation, \
                                                 options)) {                                              \
    detail::penalize_activity(*this, options.activity_regularizer);                                       \
  }
TANDEM_CONVOLUTION(Conv1D, 1)
TANDEM_CONVOLUTION(Conv2D, 2)
TANDEM_CONVOLUTION(Conv3D, 3)
#undef TANDEM_CONVOLUTION

#define TANDEM_SEPARABLE(Kind, spatial)                                                                  \
  Depthwise##Kind::Depthwise##Kind(PerAxis kernel_size, ActivationFunction activation,                   \
                                   DepthwiseConvolutionOptions options, Location where)                  \
      : Layer("Depthwise" #Kind, options.name, where,                                                    \
              separable("Depthwise" #Kind, where, spatial, {}, kernel_size, activation,                  \
                        without_mixing(options))) {                                                      \
    detail::penalize_activity(*this, options.activity_regularizer);                                      \
  }                                                                                                      \
  Separable##Kind::Separable##Kind(int64_t filters, PerAxis kernel_size, ActivationFunction activation,  \
                                   SeparableConvolutionOptions options, Location where)                  \
      : Layer("Separable" #Kind, options.name, where,                                                    \
              separable("Separable" #Kind, where, spatial, filters, kernel_size, activation, options)) { \
    detail::penalize_activity(*this, options.activity_regularizer);                                      \
  }
TANDEM_SEPARABLE(Conv1D, 1)
TANDEM_SEPARABLE(Conv2D, 2)
#undef TANDEM_SEPARABLE

}  // namespace tandem::nn
