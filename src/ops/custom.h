#pragma once
// The op behind custom_gradient.

#include <functional>
#include <memory>

#include "ops/attributes.h"

namespace tandem {

/// Inputs: the arguments, then the value computed without gradients. Output: that value. Its gradient is
/// `rule`'s.
struct CustomGradientAttributes {
  std::shared_ptr<const std::function<std::vector<Tensor>(const Tensor&)>> rule;
  static constexpr auto fields() { return std::tuple{}; }
  static constexpr bool opaque = true;
  bool operator==(const CustomGradientAttributes&) const = default;
};

}  // namespace tandem
