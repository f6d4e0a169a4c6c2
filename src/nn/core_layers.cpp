// Dense, Flatten, and layers that are one operation.

#include "core/check.h"
#include "nn/layers/layer_support.h"
#include "tandem/nn/layers.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

class DenseBody final : public LayerBody {
 public:
  DenseBody(int64_t units, ActivationFunction activation, DenseOptions options)
      : units_(units), activation_(std::move(activation)), options_(std::move(options)) {
    TD_CHECK(units > 0, "dense: {} units were asked for; expected at least 1", units);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Shape& shape = x.shape();
    TD_CHECK(shape.rank() >= 2, "the input has shape {}; expected at least 2 dimensions, the first the batch",
             shape);
    const Weights& w = weights_.get([&] { return build(state, x); });
    TD_CHECK(shape.back() == w.inputs || shape.back() < 0,
             "the last dimension of input shape {} is {}; the layer was built for {}", shape, shape.back(),
             w.inputs);
    Tensor y = matmul(x, w.kernel);
    if (w.bias.defined()) y = y + w.bias;
    return activation_(y);
  }

 private:
  struct Weights {
    int64_t inputs = 0;
    Variable kernel, bias;
  };

  Weights build(ModuleState& state, const Tensor& x) const {
    TD_CHECK(is_floating(x.dtype()), "the input has dtype {}; convert it first, as td::cast(x, td::float32)",
             x.dtype());
    Weights w;
    w.inputs = x.dim(-1, state.where);
    const ParameterOptions options{.dtype = x.dtype()};
    w.kernel =
        state.parameter("kernel", {w.inputs, units_}, options_.kernel_initializer, options, state.where);
    if (options_.use_bias)
      w.bias = state.parameter("bias", {units_}, options_.bias_initializer, options, state.where);
    return w;
  }

  int64_t units_;
  ActivationFunction activation_;
  DenseOptions options_;
  detail::Once<Weights> weights_;
};

class FlattenBody final : public LayerBody {
 public:
  Tensor call(ModuleState&, const Tensor& x) override {
    const Shape& shape = x.shape();
    TD_CHECK(shape.rank() >= 1, "the input is a scalar; expected at least 1 dimension, the batch");
    int64_t rest = 1;
    for (int i = 1; i < shape.rank(); ++i) rest = shape[i] < 0 || rest < 0 ? -1 : rest * shape[i];
    // An unknown batch is left for the operation to find, which costs the graph nothing.
    return reshape(x, {shape[0] < 0 && rest > 0 ? Dim(-1) : x.dim(0), Dim(rest)});
  }
};

class ActivationBody final : public LayerBody {
 public:
  explicit ActivationBody(ActivationFunction function) : function_(std::move(function)) {}
  Tensor call(ModuleState&, const Tensor& x) override { return function_(x); }

 private:
  ActivationFunction function_;
};

}  // namespace

Dense::Dense(int64_t units, ActivationFunction activation, DenseOptions options, Location where)
    : Layer("Dense", options.name, where,
            detail::make_clonable<DenseBody>(units, std::move(activation), options)) {}

Flatten::Flatten(LayerOptions options, Location where)
    : Layer("Flatten", options.name, where, detail::make_clonable<FlattenBody>()) {}

Activation::Activation(ActivationFunction function, LayerOptions options, Location where)
    : Layer("Activation", options.name, where, detail::make_clonable<ActivationBody>(std::move(function))) {}

Softmax::Softmax(SoftmaxOptions options, Location where)
    : Layer("Softmax", options.name, where,
            detail::make_clonable<ActivationBody>(
                [axis = options.axis](const Tensor& x) { return softmax(x, axis); })) {}

ReLU::ReLU(LayerOptions options, Location where)
    : Layer("ReLU", options.name, where, detail::make_clonable<ActivationBody>("relu")) {}

}  // namespace tandem::nn
