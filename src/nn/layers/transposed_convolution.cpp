// Conv*Transpose.

#include <algorithm>

#include "nn/layers/layer_support.h"
#include "tandem/nn/layers/convolution.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

class TransposedBody final : public LayerBody {
 public:
  TransposedBody(int spatial, int64_t filters, const PerAxis& kernel_size, ActivationFunction activation,
                 TransposedConvolutionOptions options)
      : spatial_(spatial),
        channels_last_(detail::is_channels_last(options.data_format)),
        kernel_size_(detail::spread(kernel_size, spatial, "kernel_size")),
        filters_(filters),
        activation_(std::move(activation)),
        options_(std::move(options)) {
    TD_CHECK(filters > 0, "{} filters were asked for; expected at least 1", filters);
    detail::check_word("padding", options_.padding, {"valid", "same"});
    place();
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    const Weights& w = weights_.get([&] { return build(state, x); });
    const int64_t channels = channels_last_ ? x.shape().codes().back() : x.shape().codes()[1];
    TD_CHECK(channels == w.channels || channels < 0,
             "input shape {} has {} channels; the layer was built for {}", x.shape(), channels, w.channels);
    // (sizes..., filters, channels) to (channels, filters, sizes...).
    Dims order{spatial_ + 1, spatial_};
    for (int i = 0; i < spatial_; ++i) order.push_back(i);
    const Tensor y =
        conv_transpose(channels_last_ ? detail::channels_to_front(x) : x, transpose(w.kernel, order),
                       w.bias.defined() ? Tensor(w.bias) : Tensor(), sliding_);
    return detail::activated(activation_, y, channels_last_);
  }

 private:
  struct Weights {
    Variable kernel, bias;
    int64_t channels = 0;
  };

  // Keras's sizes: what the convolution of which this is the transpose pads, is cut off here.
  void place() {
    sliding_.strides = detail::spread(options_.strides, spatial_, "strides");
    sliding_.dilations = detail::spread(options_.dilation_rate, spatial_, "dilation_rate");
    Dims given;
    if (!options_.output_padding.empty())
      given = detail::spread(options_.output_padding, spatial_, "output_padding", 0);
    Dims after;
    for (int i = 0; i < spatial_; ++i) {
      const int64_t stride = sliding_.strides[i], reach = (kernel_size_[i] - 1) * sliding_.dilations[i] + 1;
      if (!given.empty())
        TD_CHECK(given[i] < stride, "output_padding {} must be smaller than the stride {}", given[i], stride);
      // The output has (input - 1) * stride + tail elements.
      int64_t tail = 0, cut = 0;
      if (options_.padding == "valid") {
        tail = given.empty() ? std::max(reach, stride) : reach + given[i];
      } else {
        tail = given.empty() ? stride : reach % 2 + given[i];
        cut = std::max<int64_t>(0, reach - tail);
      }
      sliding_.pads.push_back(cut / 2);
      after.push_back(cut - cut / 2);
      sliding_.output_padding.push_back(tail - (reach - cut));
    }
    for (int64_t n : after) sliding_.pads.push_back(n);
  }

  Weights build(ModuleState& state, const Tensor& x) const {
    detail::check_floating(x);
    const TransposedConvolutionOptions& o = options_;
    Weights w;
    w.channels = x.dim(channels_last_ ? -1 : 1, state.where);
    Shape shape = kernel_size_;
    shape.push_back(filters_);
    shape.push_back(w.channels);
    w.kernel = detail::make_parameter(state, "kernel", shape, x.dtype(), o.kernel_initializer,
                                      o.kernel_regularizer, o.kernel_constraint);
    if (o.use_bias)
      w.bias = detail::make_parameter(state, "bias", {filters_}, x.dtype(), o.bias_initializer,
                                      o.bias_regularizer, o.bias_constraint);
    return w;
  }

  int spatial_;
  bool channels_last_;
  Dims kernel_size_;
  int64_t filters_;
  ActivationFunction activation_;
  TransposedConvolutionOptions options_;
  ConvTransposeOptions sliding_;
  detail::Once<Weights> weights_;
};

}  // namespace

#define TANDEM_TRANSPOSED(Kind, spatial)                                                                 \
  Kind::Kind(int64_t filters, PerAxis kernel_size, ActivationFunction activation,                        \
             TransposedConvolutionOptions options, Location where)                                       \
      : Layer(#Kind, options.name, where,                                                                \
              detail::make_body<TransposedBody>(#Kind, where, spatial, filters, kernel_size, activation, \
                                                options)) {                                              \
    detail::penalize_activity(*this, options.activity_regularizer);                                      \
  }
TANDEM_TRANSPOSED(Conv1DTranspose, 1)
TANDEM_TRANSPOSED(Conv2DTranspose, 2)
TANDEM_TRANSPOSED(Conv3DTranspose, 3)
#undef TANDEM_TRANSPOSED

}  // namespace tandem::nn
