#include "tandem/nn/activation.h"

#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

struct Row {
  std::string_view name;
  Tensor (*function)(const Tensor& x);
};

// Constants are Keras's.
constexpr Row rows[] = {
    {"linear", [](const Tensor& x) { return x; }},
    {"relu", [](const Tensor& x) { return relu(x); }},
    {"relu6", [](const Tensor& x) { return clip(x, 0, 6); }},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2f); }},
    {"elu", [](const Tensor& x) { return elu(x); }},
    {"selu", [](const Tensor& x) { return selu(x); }},
    {"gelu", [](const Tensor& x) { return gelu(x); }},
    {"sigmoid", [](const Tensor& x) { return sigmoid(x); }},
    {"hard_sigmoid", [](const Tensor& x) { return hard_sigmoid(x, 1.f / 6, 0.5f); }},
    {"softmax", [](const Tensor& x) { return softmax(x); }},
    {"log_softmax", [](const Tensor& x) { return log_softmax(x); }},
    {"softplus", [](const Tensor& x) { return softplus(x); }},
    {"softsign", [](const Tensor& x) { return softsign(x); }},
    {"swish", [](const Tensor& x) { return swish(x); }},
    {"silu", [](const Tensor& x) { return swish(x); }},
    {"hard_swish", [](const Tensor& x) { return hard_swish(x); }},
    {"hard_silu", [](const Tensor& x) { return hard_swish(x); }},
    {"mish", [](const Tensor& x) { return mish(x); }},
    {"tanh", [](const Tensor& x) { return tanh(x); }},
    {"exponential", [](const Tensor& x) { return exp(x); }},
};

}  // namespace

ActivationFunction::ActivationFunction(const std::string& name, Location where) {
  function_ = detail::find_named(rows, "activation", name, where).function;
}

}  // namespace tandem::nn
