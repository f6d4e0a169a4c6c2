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
    {"relu", [](const Tensor& x) { return maximum(x, 0); }},
    {"softmax", [](const Tensor& x) { return softmax(x); }},
    {"exponential", [](const Tensor& x) { return exp(x); }},
};

}  // namespace

ActivationFunction::ActivationFunction(const std::string& name, Location where) {
  function_ = detail::find_named(rows, "activation", name, where).function;
}

}  // namespace tandem::nn
