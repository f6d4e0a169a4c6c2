#pragma once
// Where a Value comes from.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tandem/nn/layer.h"

namespace tandem::nn::detail {

/// How a layer is called: on one tensor, on a list, or on a structure.
enum class CallForm : uint8_t { one, list, nest };

/// An input, or a layer's call. Calls are numbered in the order in which they were made, so that every node's
/// arguments have smaller numbers.
struct ValueNode {
  uint64_t serial = 0;
  std::string name;            ///< an input's
  bool optional = false;       ///< an input that may be absent
  std::optional<Layer> layer;  ///< none: an input
  CallForm form = CallForm::one;
  Values arguments;
  CallOptions options;
  NestOf<int> results;        ///< the form of the outputs
  std::vector<Spec> outputs;  ///< unknown sizes are symbols
  Location where;

  ValueNode();
};

/// The nodes that the outputs need, down to the inputs, in order.
std::vector<std::shared_ptr<const ValueNode>> nodes_between(const std::vector<Value>& inputs,
                                                            const std::vector<Value>& outputs);

/// The value's spec; unknown sizes are symbols. Errors: an empty value.
const Spec& spec_of(const Value& value);

/// The shape with -1 for unknown sizes.
Shape plain_shape(Shape shape);

}  // namespace tandem::nn::detail
