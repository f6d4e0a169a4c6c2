// Dense, Flatten, and layers that are one operation.

#include "core/check.h"
#include "nn/module_state.h"
#include "tandem/nn/layers.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

class DenseBody : public LayerBody {
 public:
  DenseBody(int64_t units, ActivationFunction activation, DenseOptions options)
      : units_(units), activation_(std::move(activation)), options_(std::move(options)) {
    TD_CHECK(units > 0, "dense: {} units were asked for; expected at least 1", units);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Shape& shape = x.shape();
    TD_CHECK(shape.rank() >= 2, "the input has shape {}; expected at least 2 dimensions, the first the batch",
             shape);
    if (!built_.load(std::memory_order_acquire)) build(state, x);
    TD_CHECK(shape.back() == inputs_ || shape.back() < 0,
             "the last dimension of input shape {} is {}; the layer was built for {}", shape, shape.back(),
             inputs_);
    Tensor y = matmul(x, kernel_);
    if (bias_.defined()) y = y + bias_;
    return activation_(y);
  }

 private:
  void build(ModuleState& state, const Tensor& x) {
    TD_CHECK(is_floating(x.dtype()), "the input has dtype {}; convert it first, as td::cast(x, td::float32)",
             x.dtype());
    const int64_t inputs = x.dim(-1, state.where);
    const ParameterOptions options{.dtype = x.dtype()};
    // A second thread gets here only to find the same parameters made.
    const Variable kernel =
        state.parameter("kernel", {inputs, units_}, options_.kernel_initializer, options, state.where);
    Variable bias;
    if (options_.use_bias)
      bias = state.parameter("bias", {units_}, options_.bias_initializer, options, state.where);
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (built_.load(std::memory_order_relaxed)) return;
    kernel_ = kernel;
    bias_ = bias;
    inputs_ = inputs;
    built_.store(true, std::memory_order_release);
  }

  int64_t units_, inputs_ = 0;
  ActivationFunction activation_;
  DenseOptions options_;
  std::atomic<bool> built_ = false;
  Variable kernel_, bias_;
};

class FlattenBody : public LayerBody {
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

class ActivationBody : public LayerBody {
 public:
  explicit ActivationBody(ActivationFunction function) : function_(std::move(function)) {}
  Tensor call(ModuleState&, const Tensor& x) override { return function_(x); }

 private:
  ActivationFunction function_;
};

}  // namespace

Dense::Dense(int64_t units, ActivationFunction activation, DenseOptions options, Location where)
    : Layer("Dense", options.name, where,
            detail::make_body<DenseBody>(units, std::move(activation), options)) {}

Flatten::Flatten(LayerOptions options, Location where)
    : Layer("Flatten", options.name, where, detail::make_body<FlattenBody>()) {}

Activation::Activation(ActivationFunction function, LayerOptions options, Location where)
    : Layer("Activation", options.name, where, detail::make_body<ActivationBody>(std::move(function))) {}

Softmax::Softmax(SoftmaxOptions options, Location where)
    : Layer("Softmax", options.name, where,
            detail::make_body<ActivationBody>(
                [axis = options.axis](const Tensor& x) { return softmax(x, axis); })) {}

ReLU::ReLU(LayerOptions options, Location where)
    : Layer("ReLU", options.name, where, detail::make_body<ActivationBody>("relu")) {}

}  // namespace tandem::nn
