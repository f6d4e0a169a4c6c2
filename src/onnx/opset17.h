#pragma once
// How ops of the table, which speak opset 28, are written as opset 17: rows of data.

#include <functional>

#include "graph/graph.h"
#include "onnx/model.pb.h"

namespace tandem::onnx {

inline constexpr int64_t saved_opset = 17;

/// A node that is being written, in opset 28's form at first.
struct SavedNode {
  NodeProto& proto;
  const Node& node;
  /// The integers of an input that is known now; false otherwise.
  std::function<bool(int input, Tensor& value)> known;
  /// An input's element type.
  std::function<DType(int input)> dtype;
  /// A constant as a value's name.
  std::function<std::string(const Tensor& value)> constant;
};

/// True for ops whose name opset 17 knows: others are written by what they are composed of.
bool in_saved_opset(const OpDef& op);
/// Brings a node to opset 17. Throws what opset 17 cannot say.
void downgrade(SavedNode& node);

}  // namespace tandem::onnx
