// Work that only one branch needs goes into it: pure nodes whose results nothing reads but one body of one
// If.

#include <algorithm>
#include <map>
#include <memory>

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"
#include "graph/bodies.h"

namespace tandem::passes {

namespace {

/// What a body of an If takes, and where it stood before.
struct Capture {
  ValueRef outer;
  int before = -1;  // -1: it is new
};

AttributeBox with_structured(const AttributeBox& box, std::shared_ptr<Structured> structured) {
  const AttributeType& type = *box.type();
  const std::unique_ptr<std::byte[]> memory(new std::byte[type.size]);
  type.copy(memory.get(), box.get());
  reinterpret_cast<StructuredAttributes*>(memory.get())->structured = std::move(structured);
  AttributeBox result(type, memory.get());
  type.destroy(memory.get());
  return result;
}

/// One If of a graph, whose captures become what the work that sinks needs.
class Sinking {
 public:
  Sinking(Graph& graph, int32_t id, std::vector<bool>& sunk) : graph_(graph), id_(id), sunk_(sunk) {
    const Node& n = graph.node(id);
    const GraphBodies::View view = bodies_of(n);
    for (const Graph* g : view.graphs) bodies_.push_back(*g);
    for (int i = 1; i < n.inputs.size(); ++i) captures_.push_back(n.inputs[i]);
  }

  bool run() {
    bool any = false;
    for (bool found = true; found;) {
      found = false;
      const std::vector<int> uses = uses_elsewhere();
      for (size_t k = 0; k < captures_.size() && !found; ++k) {
        const int32_t node = captures_[k].node;
        if (!may_sink(node) || uses[static_cast<size_t>(node)] > 0) continue;
        const int branch = only_branch(node);
        if (branch < 0) continue;
        sink(node, branch);
        found = any = true;
      }
    }
    return any && replace();
  }

 private:
  bool may_sink(int32_t node) const {
    const Node& n = graph_.node(node);
    return is_pure(n) && !n.op->has(is_constant) && !n.op->has(shape_only);
  }

  // How often each node is used by anything but this If.
  std::vector<int> uses_elsewhere() const {
    std::vector<int> uses(graph_.nodes.size(), 0);
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (sunk_[i]) continue;
      const Node& n = graph_.nodes[i];
      const bool is_this = static_cast<int32_t>(i) == id_;
      for (int k = 0; k < (is_this ? 1 : n.inputs.size()); ++k)
        if (n.inputs[k].present()) ++uses[static_cast<size_t>(n.inputs[k].node)];
    }
    for (ValueRef v : graph_.outputs)
      if (v.present()) ++uses[static_cast<size_t>(v.node)];
    return uses;
  }

  // The branch that uses results of the node; -1 where both do, or none.
  int only_branch(int32_t node) const {
    bool used[2];
    for (int b = 0; b < 2; ++b) {
      const Graph& body = bodies_[static_cast<size_t>(b)];
      const std::vector<int> uses = body.use_counts();
      used[b] = false;
      for (size_t k = 0; k < captures_.size(); ++k)
        if (captures_[k].node == node) used[b] = used[b] || uses[static_cast<size_t>(body.inputs[k])] > 0;
    }
    return used[0] == used[1] ? -1 : used[0] ? 0 : 1;
  }

  void sink(int32_t node, int branch) {
    const Node& n = graph_.node(node);
    std::vector<Capture> next;
    for (size_t k = 0; k < captures_.size(); ++k)
      if (captures_[k].node != node) next.push_back({captures_[k], static_cast<int>(k)});
    for (ValueRef v : n.inputs) {
      const auto same = [&](const Capture& c) { return c.outer == v; };
      if (v.present() && !graph_.node(v.node).op->has(is_constant) &&
          std::none_of(next.begin(), next.end(), same))
        next.push_back({v, -1});
    }
    for (int b = 0; b < 2; ++b) {
      Graph& body = bodies_[static_cast<size_t>(b)];
      body = rebuilt(body, next, b == branch ? &n : nullptr, node);
    }
    captures_.clear();
    for (const Capture& c : next) captures_.push_back(c.outer);
    sunk_[static_cast<size_t>(node)] = true;
  }

  /// A body with other captures; `work` stands before all else and takes the place of its results.
  Graph rebuilt(const Graph& body, const std::vector<Capture>& next, const Node* work,
                int32_t work_id) const {
    Graph g = body.skeleton();
    std::map<ValueRef, ValueRef> inside, own;  // values of the outer graph, and of the body before
    for (const Capture& c : next) {
      if (c.before < 0) {
        inside[c.outer] = g.add_input(graph_.node(c.outer.node).name, graph_.spec(c.outer));
        continue;
      }
      const int32_t old = body.inputs[static_cast<size_t>(c.before)];
      Node n = body.node(old);
      InputAttributes a = n.attributes.as<InputAttributes>();
      a.index = static_cast<int64_t>(g.inputs.size());
      n.attributes = AttributeBox(attribute_type<InputAttributes>, &a);
      const auto id = static_cast<int32_t>(g.nodes.size());
      g.nodes.push_back(std::move(n));
      g.inputs.push_back(id);
      own[{old, 0}] = inside[c.outer] = {id, 0};
    }
    if (work) {
      std::vector<ValueRef> inputs;
      for (ValueRef v : work->inputs)
        inputs.push_back(!v.present() ? v
                         : graph_.node(v.node).op->has(is_constant)
                             ? g.add_constant(graph_.constant(v), work->where)
                             : inside.at(v));
      const std::span<const Spec> outputs(work->outputs.begin(), static_cast<size_t>(work->outputs.size()));
      const int32_t id = g.add(*work->op, work->attributes, inputs, outputs, work->where, work->name);
      g.node(id).calls = work->calls;
      for (size_t k = 0; k < captures_.size(); ++k)
        if (captures_[k].node == work_id) own[{body.inputs[k], 0}] = {id, captures_[k].output};
    }
    const auto renewed = [&](ValueRef v) { return v.present() ? own.at(v) : v; };
    for (size_t i = 0; i < body.nodes.size(); ++i) {
      if (body.nodes[i].op->has(is_input)) continue;
      Node n = body.nodes[i];
      for (ValueRef& v : n.inputs) v = renewed(v);
      const auto id = static_cast<int32_t>(g.nodes.size());
      for (int k = 0; k < n.outputs.size(); ++k) own[{static_cast<int32_t>(i), k}] = {id, k};
      g.nodes.push_back(std::move(n));
    }
    for (ValueRef v : body.outputs) g.outputs.push_back(renewed(v));
    return g;
  }

  bool replace() {
    Node& n = graph_.node(id_);
    const auto& old = static_cast<const GraphBodies&>(*n.attributes.as<StructuredAttributes>().structured);
    n.attributes = with_structured(n.attributes, old.with_branches(std::move(bodies_)));
    n.inputs.resize(1);
    for (ValueRef v : captures_) n.inputs.push_back(v);
    return true;
  }

  Graph& graph_;
  const int32_t id_;
  std::vector<bool>& sunk_;  // by node of the graph: it is in a branch now
  std::vector<Graph> bodies_;
  std::vector<ValueRef> captures_;
};

}  // namespace

bool sink(Graph& graph) {
  bool changed = false;
  std::vector<bool> sunk(graph.nodes.size(), false);
  for (auto id = static_cast<int32_t>(graph.nodes.size()) - 1; id >= 0; --id) {
    const Node& n = graph.node(id);
    if (sunk[static_cast<size_t>(id)] || !n.op->has(has_bodies)) continue;
    if (bodies_of(n).kind == GraphBodies::Kind::branches) changed = Sinking(graph, id, sunk).run() || changed;
  }
  if (changed) drop_dead_nodes(graph);
  return changed;
}

}  // namespace tandem::passes
