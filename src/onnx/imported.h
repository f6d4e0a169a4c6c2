#pragma once
// A model after import: names are resolved to slots, every node to what runs it.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "onnx/model.pb.h"
#include "ops/op_def.h"
#include "tandem/load.h"

namespace tandem::onnx {

struct Body;
struct ImportedNode;

/// The attributes of one node as the file gives them.
class NodeAttributes {
 public:
  NodeAttributes() = default;
  explicit NodeAttributes(std::vector<AttributeProto> attributes) : attributes_(std::move(attributes)) {}

  const AttributeProto* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  int64_t integer(std::string_view name, int64_t otherwise) const;
  float number(std::string_view name, float otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  /// Empty when it is left out.
  std::vector<int64_t> integers(std::string_view name) const;

  std::vector<AttributeProto>& all() { return attributes_; }
  const std::vector<AttributeProto>& all() const { return attributes_; }

 private:
  std::vector<AttributeProto> attributes_;
};

/// What a node that is no single op of the table sees when it runs.
struct Call {
  const ImportedNode& node;
  std::span<const Tensor> inputs;  ///< undefined: left out
  std::span<const Tensor> frame;   ///< the enclosing body's values, for what inner bodies capture

  bool has(size_t i) const { return i < inputs.size() && inputs[i].defined(); }
};
/// Composes public operations: runs eagerly and under a trace.
using Runner = Tensors (*)(const Call&);

struct ImportedNode {
  std::string name;  ///< the file's; may be empty
  std::string op_type;
  int64_t version = 0;       ///< opset of its domain
  Location where;            ///< the model's file, and the position in its graph
  std::vector<int> inputs;   ///< slots; -1: left out; -2 - i: numbers[i]
  std::vector<int> outputs;  ///< slots; -1: not wanted
  std::vector<int> dying;    ///< slots that nothing needs after this node
  std::vector<double> numbers;
  const OpDef* op = nullptr;  ///< of the table, or
  AttributeBox settings;      ///<   its attributes
  Runner run = nullptr;       ///< else this
  NodeAttributes attributes;  ///< for `run`
  Tensor constant;            ///< of the operator Constant
  std::vector<std::shared_ptr<const Body>> bodies;

  /// `node "conv1" (Conv of opset 13)`
  std::string describe() const;
};

/// A graph, a branch, a loop's body or a function's.
struct Body {
  struct Capture {
    int outer, inner;  // slots
  };
  std::string name;
  int slot_count = 0;
  std::vector<int> inputs;
  std::vector<int> outputs;        ///< -1: an optional one of a function that it does not give
  std::vector<Spec> output_specs;  ///< as declared; float32 of unknown shape where nothing is
  std::vector<std::pair<int, Tensor>> constants;
  std::vector<Capture> captures;
  std::vector<ImportedNode> nodes;
  int64_t expanded_nodes = 0;  ///< with inner bodies counted wherever they are used
};

/// Runs a body through dispatch: at once, or as the current mode says. `frame`: the enclosing body's values.
std::vector<Tensor> run_body(const Body& body, std::span<const Tensor> inputs,
                             std::span<const Tensor> frame = {});

/// A whole model.
struct ImportedModel {
  std::string path;
  std::string name;  ///< of its graph
  Body body;         ///< its inputs are `inputs`, then `defaults`
  std::vector<ModelValue> inputs, outputs;
  std::vector<ModelValue> defaults;  ///< inputs that have an initializer, which a caller may replace
  std::vector<Tensor> default_values;
  std::map<std::string, Tensor> initializers;  ///< of the main graph: constants and default values
  std::map<std::string, std::string> metadata;
  std::string producer;
  int64_t ir_version = 0;
  std::map<std::string, int64_t> opsets;
  std::map<std::string, int> operators;  ///< how often each occurs, in bodies too
  int64_t parameter_count = 0, parameter_bytes = 0;
};

}  // namespace tandem::onnx
