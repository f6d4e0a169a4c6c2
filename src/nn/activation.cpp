#include "tandem/nn/activation.h"

#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

/// 1/4 (x + 1)^2 between -1 and 1, else as relu.
Tensor sparse_plus(const Tensor& x) { return where(greater(x, 1), x, square(maximum(x + 1, 0)) * 0.25); }
/// The nearest point on the simplex along the last dimension.
Tensor sparsemax(const Tensor& x) {
  const Tensor sorted = topk(x, x.dim(-1)).values;
  const Tensor sums = cumsum(sorted, -1);
  const Tensor places = cast(arange(x.dim(-1)) + 1, x.dtype());
  const Tensor inside = cast(greater(places * sorted + 1, sums), x.dtype());
  const Tensor count = reduce_sum(inside, {-1}, true);
  return maximum(x - (reduce_sum(sorted * inside, {-1}, true) - 1) / count, 0);
}
Tensor glu(const Tensor& x) {
  const std::vector<Tensor> halves = split(x, 2, -1);
  return halves[0] * sigmoid(halves[1]);
}

struct NamedActivation {
  std::string_view name;
  Tensor (*function)(const Tensor& x);
  bool elementwise = true;
};

// Constants are Keras's.
constexpr NamedActivation known_activations[] = {
    {"linear", [](const Tensor& x) { return x; }},
    {"relu", [](const Tensor& x) { return relu(x); }},
    {"relu6", [](const Tensor& x) { return clip(x, 0, 6); }},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2f); }},
    {"elu", [](const Tensor& x) { return elu(x); }},
    {"selu", [](const Tensor& x) { return selu(x); }},
    {"gelu", [](const Tensor& x) { return gelu(x); }},
    {"sigmoid", [](const Tensor& x) { return sigmoid(x); }},
    {"hard_sigmoid", [](const Tensor& x) { return hard_sigmoid(x, 1.f / 6, 0.5f); }},
    {"softmax", [](const Tensor& x) { return softmax(x); }, false},
    {"log_softmax", [](const Tensor& x) { return log_softmax(x); }, false},
    {"softplus", [](const Tensor& x) { return softplus(x); }},
    {"softsign", [](const Tensor& x) { return softsign(x); }},
    {"swish", [](const Tensor& x) { return swish(x); }},
    {"silu", [](const Tensor& x) { return swish(x); }},
    {"hard_swish", [](const Tensor& x) { return hard_swish(x); }},
    {"hard_silu", [](const Tensor& x) { return hard_swish(x); }},
    {"mish", [](const Tensor& x) { return mish(x); }},
    {"tanh", [](const Tensor& x) { return tanh(x); }},
    {"celu", [](const Tensor& x) { return celu(x); }},
    {"glu", glu, false},
    {"hard_shrink", [](const Tensor& x) { return shrink(x, 0, 0.5f); }},
    {"soft_shrink", [](const Tensor& x) { return shrink(x, 0.5f, 0.5f); }},
    {"tanh_shrink", [](const Tensor& x) { return x - tanh(x); }},
    {"hard_tanh", [](const Tensor& x) { return clip(x, -1, 1); }},
    {"log_sigmoid", [](const Tensor& x) { return -softplus(-x); }},
    {"squareplus", [](const Tensor& x) { return (x + sqrt(square(x) + 4)) * 0.5; }},
    {"sparse_plus", sparse_plus},
    {"sparse_sigmoid", [](const Tensor& x) { return clip((x + 1) * 0.5, 0, 1); }},
    {"sparsemax", sparsemax, false},
    {"exponential", [](const Tensor& x) { return exp(x); }},
};

}  // namespace

ActivationFunction::ActivationFunction(const std::string& name, Location where) {
  const NamedActivation& row = detail::find_named(known_activations, "activation", name, where);
  function_ = row.function;
  elementwise_ = row.elementwise;
}

}  // namespace tandem::nn
