#pragma once
// Graph: what tracing records and the compiler transforms.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/graph_ops.h"
#include "ops/op_def.h"
#include "tandem/error.h"
#include "tandem/location.h"

namespace tandem {

/// One output of one node.
struct ValueRef {
  int32_t node = -1;  ///< -1: an absent optional input
  int32_t output = 0;
  bool present() const { return node >= 0; }
  auto operator<=>(const ValueRef&) const = default;
};

/// A function that was being traced when a node was recorded, and the functions that called it.
struct CallFrame {
  std::string function;
  Location where;  ///< of the call
  std::shared_ptr<const CallFrame> outer;
};
using CallChain = std::shared_ptr<const CallFrame>;

/// What Graph::add notes with each node: the calls that this thread is in.
extern thread_local CallChain current_calls;
/// Other calls for a scope.
class CallChainScope {
 public:
  explicit CallChainScope(CallChain calls) : saved_(std::exchange(current_calls, std::move(calls))) {}
  ~CallChainScope() { current_calls = std::move(saved_); }
  CallChainScope(const CallChainScope&) = delete;
  CallChainScope& operator=(const CallChainScope&) = delete;

 private:
  CallChain saved_;
};
/// One line of context for a call; without a name it is "a function".
void add_call(Error& error, std::string_view function, Location where);
/// One line for each call of the chain, the innermost first.
void add_calls(Error& error, const CallChain& calls);

/// One application of an op.
struct Node {
  const OpDef* op = nullptr;
  AttributeBox attributes;
  SmallVector<ValueRef, 3> inputs;
  SmallVector<Spec, 1> outputs;
  Location where;    ///< the user's line
  std::string name;  ///< unique in its graph: "pow", "pow_1"
  CallChain calls;   ///< functions that were inlined here
};

/// Nodes in program order: every input stands before its user, and running the list from front to back is
/// right. Ops with the traits `effect`, `reads_variable` or `writes_variable` keep their relative order in
/// every pass; that order is the effect chain.
///
/// Sizes below zero are symbols: equal symbols of one graph are equal sizes.
class Graph {
 public:
  std::vector<Node> nodes;
  std::vector<int32_t> inputs;    ///< ids of the Input nodes, in argument order
  std::vector<ValueRef> outputs;  ///< what a run returns, in order
  int64_t next_symbol = symbol_base;

  int64_t fresh_symbol() { return next_symbol--; }
  /// Appends a node and gives it a unique name after its op (or `name`).
  int32_t add(const OpDef& op, AttributeBox attributes, std::span<const ValueRef> inputs,
              std::span<const Spec> outputs, Location where, std::string_view name = {});
  ValueRef add_input(std::string_view name, const Spec& spec);
  ValueRef add_constant(const Tensor& value, Location where = {});

  const Spec& spec(ValueRef v) const { return nodes[static_cast<size_t>(v.node)].outputs[v.output]; }
  const Node& node(int32_t id) const { return nodes[static_cast<size_t>(id)]; }
  Node& node(int32_t id) { return nodes[static_cast<size_t>(id)]; }
  /// "pow:0"
  std::string name_of(ValueRef v) const;
  /// The tensor of a Constant node; undefined for other nodes.
  Tensor constant(ValueRef v) const;

  /// Makes every user of `from`, outputs included, use `to`.
  void replace_uses(ValueRef from, ValueRef to);
  /// Drops nodes for which `keep` is false and renumbers the rest. Kept nodes must not use dropped ones.
  void compact(const std::vector<bool>& keep);
  /// A graph without nodes, inputs and outputs in which the names and symbols of this one stay taken.
  Graph skeleton() const;
  /// How often each node's outputs are used as data, outputs of the graph included.
  std::vector<int> use_counts() const;

 private:
  std::map<std::string, int, std::less<>> names_;
};

/// True when the node must run even if nothing uses its outputs.
bool must_run(const Node& node);
/// True when equal inputs give equal outputs and nothing else happens: it may be folded, merged, dropped.
bool is_pure(const Node& node);

/// Runs the graph node by node through eager dispatch: the reference that compiled plans are compared with,
/// and the executor of graphs whose shapes depend on data. Errors name the failing op and the user's line.
std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs);

}  // namespace tandem
