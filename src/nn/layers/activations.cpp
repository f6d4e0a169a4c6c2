#include "tandem/nn/layers/activations.h"

#include <algorithm>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

class ActivationBody final : public LayerBody {
 public:
  explicit ActivationBody(ActivationFunction function) : function_(std::move(function)) {}
  Tensor call(ModuleState&, const Tensor& x) override { return function_(x); }
  bool passes_mask() const override { return true; }

 private:
  ActivationFunction function_;
};

class SoftmaxBody final : public LayerBody {
 public:
  explicit SoftmaxBody(const Axes& axes) : axes_(axes.numbers()) {
    TD_CHECK(!axes_.empty(), "axis is an empty list; expected at least one");
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    if (axes_.size() == 1) return softmax(x, axes_[0]);
    return exp(x - reduce_log_sum_exp(x, Operand(axes_), true));
  }
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override {
    if (inputs.size() == 1) return {call(state, inputs[0])};
    TD_CHECK(inputs.size() == 2, "softmax takes one input, or an input and a mask, and got {}",
             inputs.size());
    TD_CHECK(inputs[1].dtype() == DType::boolean, "the mask has dtype {}; expected bool", inputs[1].dtype());
    return {call(state, where(inputs[1], inputs[0], full_like(inputs[0], lowest(inputs[0].dtype()))))};
  }
  bool passes_mask() const override { return true; }

 private:
  // Finite: rows that are masked as a whole stay numbers.
  static double lowest(DType dtype) { return dtype == DType::f16 ? -3e4 : -1e9; }

  Dims axes_;
};

class ReLUBody final : public LayerBody {
 public:
  explicit ReLUBody(const ReLUOptions& options) : o_(options) {
    TD_CHECK(o_.negative_slope >= 0, "negative_slope is {}; expected at least 0", o_.negative_slope);
    TD_CHECK(o_.threshold >= 0, "threshold is {}; expected at least 0", o_.threshold);
    TD_CHECK(o_.max_value.value_or(0) >= 0, "max_value is {}; expected at least 0", *o_.max_value);
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    if (o_.threshold == 0 && o_.negative_slope == 0) {
      const Tensor y = relu(x);
      return o_.max_value ? minimum(y, *o_.max_value) : y;
    }
    Tensor low = zeros_like(x);
    if (o_.negative_slope != 0) low = (x - o_.threshold) * o_.negative_slope;
    const Tensor y = where(greater_or_equal(x, o_.threshold), x, low);
    return o_.max_value ? minimum(y, *o_.max_value) : y;
  }
  bool passes_mask() const override { return true; }

 private:
  ReLUOptions o_;
};

class PReLUBody final : public LayerBody {
 public:
  explicit PReLUBody(PReLUOptions options) : options_(std::move(options)) {}

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(x.rank() >= 2, "the input has shape {}; expected at least 2 dimensions, the first the batch",
             x.shape());
    const Variable& alpha = alpha_.get([&] {
      detail::check_floating(x);
      Shape shape;
      for (int i = 1; i < x.rank(); ++i) {
        const Dims& shared = options_.shared_axes.numbers();
        const bool is_shared = std::find(shared.begin(), shared.end(), i) != shared.end() ||
                               std::find(shared.begin(), shared.end(), i - x.rank()) != shared.end();
        shape.push_back(is_shared ? 1 : static_cast<int64_t>(x.dim(i, state.where)));
      }
      return detail::make_parameter(state, "alpha", shape, x.dtype(), options_.alpha_initializer,
                                    options_.alpha_regularizer, options_.alpha_constraint);
    });
    return prelu(x, alpha);
  }
  bool passes_mask() const override { return true; }

 private:
  PReLUOptions options_;
  detail::Once<Variable> alpha_;
};

}  // namespace

Activation::Activation(ActivationFunction function, LayerOptions options, Location where)
    : Layer("Activation", options.name, where, detail::make_clonable<ActivationBody>(std::move(function))) {}

Softmax::Softmax(SoftmaxOptions options, Location where)
    : Layer("Softmax", options.name, where, detail::make_body<SoftmaxBody>("Softmax", where, options.axis)) {}

ReLU::ReLU(ReLUOptions options, Location where)
    : Layer("ReLU", options.name, where, detail::make_body<ReLUBody>("ReLU", where, options)) {}

LeakyReLU::LeakyReLU(LeakyReLUOptions options, Location where)
    : Layer("LeakyReLU", options.name, where,
            detail::make_clonable<ActivationBody>([slope = static_cast<float>(options.negative_slope)](
                                                      const Tensor& x) { return leaky_relu(x, slope); })) {}

PReLU::PReLU(PReLUOptions options, Location where)
    : Layer("PReLU", options.name, where, detail::make_clonable<PReLUBody>(options)) {}

ELU::ELU(ELUOptions options, Location where)
    : Layer("ELU", options.name, where,
            detail::make_clonable<ActivationBody>(
                [alpha = static_cast<float>(options.alpha)](const Tensor& x) { return elu(x, alpha); })) {}

}  // namespace tandem::nn
