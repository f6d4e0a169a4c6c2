// Branches and loops of which one way is left. A body that certainly runs, once, takes the place of its op,
// effects and all; a body that never runs goes.

#include <algorithm>

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"
#include "graph/bodies.h"

namespace tandem::passes {

namespace {

/// The value of a scalar bool that is constant.
std::optional<bool> constant_bool(const Tensor& value) {
  if (!value.defined() || value.dtype() != DType::boolean || value.size() != 1) return {};
  return *value.contiguous().data<bool>();
}

/// What a loop's condition says of its first values, if these decide it.
std::optional<bool> holds_at_entry(const Rebuild& r, const Node& n, const Graph& condition) {
  Graph g = condition;
  drop_dead_nodes(g);
  std::vector<Tensor> values;
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    const Node& from = r.node(n.inputs[static_cast<int>(i)].node);
    values.push_back(from.op->has(is_constant) ? from.attributes.as<ConstantAttributes>().value : Tensor());
  }
  for (const Node& node : g.nodes) {
    if (!node.op->has(is_input) && !is_pure(node)) return {};
    for (ValueRef v : node.inputs)
      if (v.present() && g.node(v.node).op->has(is_input) &&
          !values[static_cast<size_t>(g.node(v.node).attributes.as<InputAttributes>().index)].defined())
        return {};
  }
  const Node& decision = g.node(g.outputs[0].node);
  if (decision.op->has(is_input))
    return constant_bool(values[static_cast<size_t>(decision.attributes.as<InputAttributes>().index)]);
  try {
    return constant_bool(interpret(g, values)[0]);
  } catch (const Error&) {
    return {};  // it fails when it runs, with the user's line
  }
}

void replace_outputs(Rebuild& r, const std::vector<ValueRef>& with) {
  for (size_t k = 0; k < with.size(); ++k) r.replace(static_cast<int>(k), with[k]);
  r.drop_last();
}

/// The first values, and for what would be stacked over iterations, nothing stacked.
std::vector<ValueRef> results_of_no_iteration(Rebuild& r, const Node& n, int variables) {
  std::vector<ValueRef> results;
  const Location where = n.where;
  const SmallVector<Spec, 1> outputs = n.outputs;
  for (int i = 0; i < variables; ++i) results.push_back(n.inputs[i]);
  for (int i = variables; i < outputs.size(); ++i) {
    Spec s = outputs[i];
    s.shape[0] = 0;
    for (int64_t& d : s.shape) d = std::max<int64_t>(d, 0);
    results.push_back(r.add_constant(detail::empty_tensor(s.dtype, s.shape), where));
  }
  return results;
}

void take_branch_at(Rebuild& r, int32_t id) {
  const Node n = r.node(id);
  if (!n.op->has(has_bodies)) return;
  const GraphBodies::View view = bodies_of(n);
  const bool quiet =
      std::all_of(view.graphs.begin(), view.graphs.end(), [](const Graph* g) { return only_computes(*g); });
  if (quiet && r.uses(id) == 0) return r.drop_last();
  const std::span<const ValueRef> inputs(n.inputs.begin(), static_cast<size_t>(n.inputs.size()));
  if (view.kind == GraphBodies::Kind::branches) {
    if (const auto taken = constant_bool(r.graph().constant(n.inputs[0])))
      replace_outputs(r, r.add_body(*view.graphs[*taken ? 0 : 1], inputs.subspan(1)));
  } else if (view.kind == GraphBodies::Kind::loop) {
    const bool never = view.maximum_iterations == 0;
    const std::optional<bool> begins = never ? false : holds_at_entry(r, n, *view.graphs[0]);
    if (!begins) return;
    if (!*begins)
      replace_outputs(r, results_of_no_iteration(r, n, view.loop_variables));
    else if (view.maximum_iterations == 1 && n.outputs.size() == view.loop_variables)
      replace_outputs(r, r.add_body(*view.graphs[1], inputs));
  }
}

}  // namespace

bool dead_branches(Graph& graph) { return rebuild_until_stable(graph, take_branch_at); }

}  // namespace tandem::passes
