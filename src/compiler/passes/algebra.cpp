// Algebra: the rows of rules.cpp, and what traits promise.

#include "compiler/passes/passes.h"
#include "compiler/rules.h"

namespace tandem::passes {

namespace {

bool same_attributes(const Node& a, const Node& b) {
  return a.op->attributes->empty || a.op->attributes->equal(a.attributes.get(), b.attributes.get());
}

// f(f(x)) is f(x) when f is idempotent, x when it is an involution; further inputs must be the same.
bool apply_twice(Rebuild& r, const Node& n) {
  if (!(n.op->traits & (idempotent | involution)) || !is_pure(n) || n.inputs.empty() ||
      !n.inputs[0].present())
    return false;
  const Node& inner = r.node(n.inputs[0].node);
  if (inner.op != n.op || !same_attributes(n, inner) || inner.inputs.size() != n.inputs.size()) return false;
  for (int i = 1; i < n.inputs.size(); ++i)
    if (!(inner.inputs[i] == n.inputs[i])) return false;
  const ValueRef with = n.op->has(involution) ? inner.inputs[0] : n.inputs[0];
  if (!same_spec(r.spec(with), n.outputs[0])) return false;
  r.replace(0, with);
  return true;
}

// f(move(f(x))) is move(x) for an element-wise involution f, through any number of movers.
bool apply_twice_across_moves(Rebuild& r, const Node& n) {
  if (!n.op->has(involution) || !n.op->is_elementwise() || n.inputs.size() != 1) return false;
  std::vector<int32_t> movers;
  ValueRef v = n.inputs[0];
  for (;;) {
    const Node& from = r.node(v.node);
    if (from.op == n.op && same_attributes(n, from)) break;
    const bool moves_one =
        from.op->has(moves_only) && is_pure(from) && from.outputs.size() == 1 && r.uses(v.node) == 1 &&
        (from.op->inputs.size() == 1 || from.op->inputs[1].group != from.op->inputs[0].group) &&
        !(from.op->inputs[0].flags & InputDef::variadic);
    if (!moves_one) return false;
    movers.push_back(v.node);
    v = from.inputs[0];
  }
  if (movers.empty()) return false;
  ValueRef now = r.node(v.node).inputs[0];
  const auto mark = static_cast<int32_t>(r.graph().nodes.size());
  for (size_t i = movers.size(); i-- > 0;) {
    const Node mover = r.node(movers[i]);
    SmallVector<ValueRef, 3> inputs = mover.inputs;
    inputs[0] = now;
    const auto made = r.add(*mover.op, mover.attributes, inputs, mover.where);
    if (!made) {
      r.forget(mark);
      return false;
    }
    now = {*made, 0};
    r.set_spec(now, mover.outputs[0]);
  }
  r.replace(0, now);
  return true;
}

template <bool fast>
void apply_rules_at(Rebuild& r, int32_t id) {
  const Node& n = r.node(id);
  if (!fast && (apply_twice(r, n) || apply_twice_across_moves(r, n))) return;
  apply_rules(r, id, fast);
}

}  // namespace

bool algebra(Graph& graph) { return rebuild_until_stable(graph, apply_rules_at<false>); }
bool fast_math(Graph& graph) { return rebuild_until_stable(graph, apply_rules_at<true>); }

}  // namespace tandem::passes
