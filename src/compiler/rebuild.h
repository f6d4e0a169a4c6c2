#pragma once
// How passes rewrite: a new graph grows beside the old one, node by node in program order, and takes its
// place at the end. So every input stands before its user, effects keep their order, and a pass that throws
// has changed nothing.

#include <optional>

#include "graph/inference.h"

namespace tandem {

class Rebuild {
 public:
  explicit Rebuild(const Graph& old);

  /// Copies the next node of the old graph; its id in the new one. Node by node until `done`.
  int32_t copy_next();
  bool done() const { return next_ == old_.nodes.size(); }
  /// Uses `now` wherever output `output` of the node copied last was used, which drops it if nothing else
  /// uses it.
  void replace(int output, ValueRef now);

  /// The graph as it is so far. Additions move nodes: keep no references to them.
  Graph& graph() { return graph_; }
  const Node& node(int32_t id) const { return graph_.node(id); }
  const Spec& spec(ValueRef v) const { return graph_.spec(v); }
  const KnownValue& known(ValueRef v) { return inference_.known(v); }
  GraphInference& inference() { return inference_; }

  /// Appends a node at the user's line `where` with the specs that inference gives; none when it throws: what
  /// would fail is left to fail when it runs.
  std::optional<int32_t> add(const OpDef& op, const AttributeBox& attributes,
                             std::span<const ValueRef> inputs, Location where);
  ValueRef add_constant(const Tensor& value, Location where);
  /// The shape as an int64 constant. It must be static, but for -1.
  ValueRef add_shape(const Shape& shape, Location where);
  /// Appends the nodes of a body, effects included, in which `arguments` stand for its inputs; its results.
  /// Symbols of the body become those of the arguments, or new ones.
  std::vector<ValueRef> add_body(const Graph& body, std::span<const ValueRef> arguments);
  /// Drops the node copied last although it has effects: all its outputs were replaced.
  void drop_last();
  /// Forgets nodes from `first` on, which nothing uses yet.
  void forget(int32_t first);
  /// Gives the node copied last another input.
  void set_input(int i, ValueRef now);
  /// What is known of a value beyond inference, as of the one that it replaces.
  void set_spec(ValueRef v, const Spec& spec) { graph_.node(v.node).outputs[v.output] = spec; }

  /// How many times a node's outputs are used, by nodes yet to come and by results too.
  int uses(int32_t id) const { return uses_[static_cast<size_t>(id)]; }

  /// Makes `target` the new graph, without dead nodes; false, and nothing happens, when it is equal to the
  /// old.
  bool finish(Graph& target);

 private:
  void release(int32_t id);
  void release_inputs(int32_t id, std::vector<int32_t>& dead);

  const Graph& old_;
  Graph graph_;
  GraphInference inference_;
  std::vector<int> old_uses_;        // by old value: see first_value_
  std::vector<size_t> first_value_;  // by old node: its first value
  std::vector<ValueRef> now_;        // by old value
  std::vector<int> uses_;            // by new node
  size_t next_ = 0;
  int32_t last_ = -1;  // the copy of node next_ - 1
  std::vector<int32_t> dropped_;
  bool changed_ = false;
};

/// Which dimension of the input each dimension of the result is, of a node with the trait `permutes`.
std::vector<int> permutation(const Node& node, const Spec& input);

/// Drops what nothing needs; false when there is nothing to drop.
bool drop_dead_nodes(Graph& graph);

/// Rebuilds a graph again and again until a visit of all nodes changes nothing. `visit` is called for each
/// node after it was copied, with its id in the new graph.
bool rebuild_until_stable(Graph& graph, void (*visit)(Rebuild&, int32_t));

}  // namespace tandem
