#pragma once
// The ops behind custom_gradient and recompute.

#include <exception>
#include <functional>
#include <memory>

#include "ops/op_def.h"

namespace tandem {

/// How a custom_gradient goes back: one gradient for each argument from what the op was given.
struct CustomRule {
  int arguments = 0;
  std::vector<std::string> variables;  ///< names of those whose values follow the arguments
  std::function<std::vector<Tensor>(const Gradient& g)> gradients;
};

/// Inputs: the value, the arguments, the values of variables that have a gradient, and what else the rule
/// uses. Output: the value. Its gradient is `rule`'s.
struct CustomGradientAttributes {
  std::shared_ptr<const CustomRule> rule;
  static constexpr auto fields() { return std::tuple{}; }
  static constexpr bool opaque = true;
  bool operator==(const CustomGradientAttributes&) const = default;
};

/// `inputs` as CustomGradient takes them.
Tensor apply_custom_gradient(std::shared_ptr<const CustomRule> rule, std::span<const Tensor> inputs);

/// The value of x, computed no earlier than `after` and never taken for x itself: what is computed from it is
/// not merged with what was computed from x.
Tensor fence(const Tensor& x, const Tensor& after);

/// In a trace: a tensor like x whose computation throws `failure`. A way back is recorded for more than will
/// be asked of it; only one that runs may fail.
Tensor failed_gradient(const Tensor& x, std::exception_ptr failure);

}  // namespace tandem
