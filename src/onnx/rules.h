#pragma once
// How nodes of older opsets become what the op table speaks, opset 28: rows of data.

#include <array>

#include "onnx/imported.h"

namespace tandem::onnx {

inline constexpr int64_t newest_opset = 28;

/// One input of a node under construction: a value's name ("": left out), a constant, or a number that takes
/// the dtype of the tensor it meets.
struct DraftInput {
  std::string name;
  Tensor constant;
  std::optional<double> number;
};

/// A node while rules rewrite it.
struct NodeDraft {
  std::string op_type;
  int64_t version = 0;
  int output_count = 0;
  std::vector<DraftInput> inputs;
  NodeAttributes attributes;

  AttributeProto* find(std::string_view name);
  void drop(std::string_view name);
  AttributeProto& set(std::string_view name);
  DraftInput& input(size_t i);
};

/// How a node runs whose inputs or outputs need other operators around its own; `run` is null for the rest.
struct Upgrade {
  Runner run = nullptr;
  std::string_view taken;  ///< attributes that are for `run` and not for the node's own operator, by spaces
};

/// Brings a node to opset 28. Throws what is wrong with it.
Upgrade upgrade(NodeDraft& node);

/// An operator that runs bodies.
struct ControlFlow {
  std::string_view op_type;
  int64_t first, last;                     ///< opsets
  std::array<std::string_view, 2> bodies;  ///< the attributes that hold them
  Runner run;
};
/// If, Loop and Scan; null for others.
const ControlFlow* find_control_flow(std::string_view op_type, int64_t version);

}  // namespace tandem::onnx
