#pragma once
// The Mode that records operations into a Graph.

#include <unordered_map>

#include "graph/graph.h"
#include "ops/dispatch.h"

namespace tandem {

/// Thrown when a symbolic dimension of an argument is asked for as a number: the function is traced again
/// with that dimension fixed.
struct PinRequest {
  int argument;
  int axis;
  Location where;
};

class TraceMode final : public Mode, public KnownValues {
 public:
  TraceMode();

  Graph graph;

  /// A new argument; its symbolic dimensions may be pinned.
  /// `known`: its value, where that is certain; entries may be symbolic sizes.
  Tensor add_input(std::string_view name, const Spec& spec, const Tensor& known = {});
  /// The graph's value of a tensor: its own symbolic ones, and eager ones as constants. Symbolic tensors of
  /// the enclosing trace become further inputs, listed in `captures`.
  ValueRef value_of(const Tensor& tensor, Location where);
  /// The tensor of a value of this graph.
  Tensor tensor_of(ValueRef value);
  /// Records every node of another graph under names that begin with `prefix`; its arguments become
  /// arguments.
  void add_graph(const Graph& other, const std::string& prefix);

  void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
             Tensors& outputs) override;
  KnownValues* known_values() override { return this; }
  bool is_tracing() const override { return true; }
  TraceMode* innermost_trace() override { return this; }
  std::shared_ptr<detail::VariableImpl> create_variable(
      const Tensor& initial, Location where,
      const std::function<std::shared_ptr<detail::VariableImpl>()>& make) override;
  int64_t pin(int64_t symbol, Location where) override;
  Tensor known_value(const detail::TensorImpl* tensor) override;
  bool knows_size(int64_t number) const override;
  int64_t fresh_symbol() override { return graph.fresh_symbol(); }

  /// Set for the body of a branch or loop: the trace whose tensors it may use.
  TraceMode* enclosing = nullptr;
  /// Tensors of the enclosing trace that this one uses, in the order of their inputs, after `own_inputs`.
  std::vector<Tensor> captures;
  /// What a body is, for messages: "a branch of cond"; empty for a function.
  std::string_view body_of;
  /// Whether Variables may be made now; made ones are counted.
  bool may_create_variables = false;
  int created_variables = 0;
  /// Arguments whose symbols may be pinned (all inputs added before the body ran).
  int pinnable_inputs = 0;

 private:
  struct Symbol {
    ValueRef value;
    int axis = 0;
  };
  Tensor new_tensor(ValueRef value);
  void note_symbols(ValueRef value);
  void note_known(const OpDef& op, const void* attributes, std::span<const Argument> arguments, int32_t node);
  ValueRef constant(const Tensor& value, Location where);
  /// A size list with symbolic entries as a value computed from shapes.
  ValueRef list_value(const Operand& operand, Location where, Tensor& keep);

  uint64_t serial_;
  std::vector<ValueRef> values_;                                       // by value id
  std::map<ValueRef, int32_t> ids_;                                    // and back
  std::unordered_map<const detail::TensorImpl*, ValueRef> constants_;  // eager tensors already in the graph
  std::vector<Tensor> kept_;                     // ... kept alive, so that addresses stay theirs
  std::unordered_map<int32_t, Tensor> known_;    // values known while tracing, by value id
  std::unordered_map<int64_t, Symbol> symbols_;  // where a symbolic size can be read
};

}  // namespace tandem
