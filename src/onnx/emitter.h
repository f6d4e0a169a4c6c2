#pragma once
// From our graphs to ONNX's.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph/bodies.h"
#include "graph/inference.h"
#include "onnx/model.pb.h"
#include "ops/variable_impl.h"
#include "tandem/save.h"

namespace tandem::onnx {

using VariablePointer = std::shared_ptr<detail::VariableImpl>;

/// Names that are given out once.
class Names {
 public:
  /// `wanted`, or `wanted_1` and so on when that is taken.
  std::string unique(const std::string& wanted);

 private:
  std::set<std::string> taken_;
};

/// Writes graphs into one model. Variables are named values here: each has its present name, which an
/// assignment changes.
class Emitter {
 public:
  Emitter(ModelProto& model, const SaveOptions& options) : model_(model), options_(options) {}

  /// What a symbolic size is called; `size_0` and so on without.
  void name_size(int64_t symbol, const std::string& name) { size_names_.emplace(symbol, name); }
  /// Writes the whole model from a function's graph.
  void emit_model(const Graph& graph, const std::string& name);

  // For models of several graphs, which share names, functions and variables:

  /// A variable that a graph touches: its name, which stands for the value before, and the output with the
  /// value after, empty where the graph only reads it.
  struct State {
    VariablePointer variable;
    std::string before, after;
  };
  void begin_model();
  void name_variable(const VariablePointer& variable, const std::string& name);
  /// Inputs and outputs get these names, or ones like them that are free.
  std::vector<State> emit_graph(const Graph& graph, const std::string& name,
                                const std::vector<std::string>& inputs,
                                const std::vector<std::string>& outputs, GraphProto& to);
  void end_model();

 private:
  using ValueNames = std::map<ValueRef, std::string>;

  /// Where nodes go: a graph, or a function's body, which has no initializers.
  struct Target {
    google::protobuf::RepeatedPtrField<NodeProto>* nodes = nullptr;
    google::protobuf::RepeatedPtrField<TensorProto>* initializers = nullptr;
    Names* names = nullptr;
    bool in_function = false;
  };

  /// Writes the nodes; `values` has the names of the inputs. The names of the outputs.
  std::vector<std::string> emit(const Graph& graph, ValueNames values, Target& to);
  void emit_op(const Graph& graph, GraphInference& inference, const Node& node, int32_t id,
               ValueNames& values, Target& to);
  /// False, and nothing happens, for what opset 17 cannot say but the op's body can.
  bool emit_standard(NodeProto& proto, const Graph& graph, GraphInference& inference, const Node& node,
                     Target& to);
  void emit_bodies(const Graph& graph, const Node& node, int32_t id, ValueNames& values, Target& to);
  void emit_branches(const Node& node, int32_t id, const GraphBodies::View& view, ValueNames& values,
                     Target& to);
  void emit_loop(const Node& node, int32_t id, const GraphBodies::View& view, ValueNames& values, Target& to);
  /// A body's graph, whose results stand under the returned names.
  std::vector<std::string> emit_body(const Graph& body, const std::vector<std::string>& inputs,
                                     GraphProto& graph);
  /// The function that stands for an op of ours, by name.
  std::string function_for(const Graph& graph, GraphInference& inference, const Node& node);
  std::string emit_constant(const Tensor& value, const std::string& name, Target& to);
  /// A name for a result that is its own, even where the value has another name already.
  std::string own_name(const std::string& value, const std::string& wanted, Target& to);
  std::string& state(const VariablePointer& variable);
  void describe(ValueInfoProto& info, const std::string& name, const Spec& spec);
  std::string size_name(int64_t symbol);
  void locate(NodeProto& proto, Location where) const;

  ModelProto& model_;
  const SaveOptions& options_;
  Names names_, function_names_;
  std::map<VariablePointer, std::string> states_;       // present names
  std::map<VariablePointer, std::string> state_names_;  // before any assignment
  std::map<std::string, std::string> functions_;        // by what makes them equal
  std::map<int64_t, std::string> size_names_;
};

/// Writes a model's file, which is replaced as a whole or not at all. Errors (io): more than 2 GB, which
/// protobuf cannot count; what cannot be written.
void write_model(const ModelProto& model, const std::string& path);

}  // namespace tandem::onnx
