#pragma once
// How a layer's parameters begin.

#include <functional>
#include <string>
#include <type_traits>

#include "tandem/tensor.h"

namespace tandem::nn {

/// Makes a parameter's first value from its shape and dtype: by Keras's name, or any function.
///
/// Names: zeros, ones, glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform, lecun_normal,
/// random_uniform (in -0.05 to 0.05), random_normal (deviation 0.05). Normal ones are cut at two deviations,
/// but for random_normal. Errors: an unknown name.
///
///     nn::Dense(10, "relu", {.kernel_initializer = "he_normal"});
///     nn::Dense(10, {}, {.bias_initializer = [](td::Shape s, td::DType d) { return td::full(s, 0.1, d); }});
class Initializer {
 public:
  using Function = std::function<Tensor(const Shape& shape, DType dtype)>;

  Initializer(const char* name, Location where = here()) : Initializer(std::string(name), where) {}
  Initializer(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Shape&, DType>) Initializer(F function)
      : function_(std::move(function)) {}

  /// Errors: a function that gives another shape or dtype.
  Tensor operator()(const Shape& shape, DType dtype) const;

 private:
  Function function_;
};

}  // namespace tandem::nn
