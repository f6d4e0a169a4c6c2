#pragma once
// Activation functions, by name or as functions.

#include <functional>
#include <string>
#include <type_traits>

#include "tandem/tensor.h"

namespace tandem::nn {

/// What a layer applies to its result: nothing, a function by Keras's name, or any function of a tensor.
///
/// Names, with Keras's constants: linear, relu, relu6, leaky_relu (slope 0.2), elu, selu, celu, gelu, glu
/// (halves the last dimension), sigmoid, hard_sigmoid, sparse_sigmoid, log_sigmoid, softmax, log_softmax,
/// sparsemax, softplus, sparse_plus, squareplus, softsign, swish (silu), hard_swish (hard_silu), mish, tanh,
/// hard_tanh, tanh_shrink, hard_shrink, soft_shrink, exponential. Errors: an unknown name.
class ActivationFunction {
 public:
  ActivationFunction() = default;
  ActivationFunction(const char* name, Location where = here())
      : ActivationFunction(std::string(name), where) {}
  ActivationFunction(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&>) ActivationFunction(F function)
      : function_(std::move(function)), elementwise_(false) {}

  Tensor operator()(const Tensor& x) const { return function_ ? function_(x) : x; }
  /// True when each element of the result depends on its own of x alone, as far as is known: not for
  /// functions of your own.
  bool is_elementwise() const { return elementwise_; }

 private:
  std::function<Tensor(const Tensor&)> function_;
  bool elementwise_ = true;
};

}  // namespace tandem::nn
