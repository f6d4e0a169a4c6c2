#include "function/differentiate.h"

#include <algorithm>
#include <map>

#include "autodiff/tape_mode.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "ops/structured.h"
#include "ops/variable_impl.h"

namespace tandem {

std::vector<Tensors> replay(const Graph& graph, std::span<const Tensor> inputs) {
  std::vector<Tensors> values(graph.nodes.size());
  for (size_t i = 0; i < graph.inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = {inputs[i]};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    if (n.op->has(is_input)) continue;
    if (n.op->has(is_constant)) {
      values[i] = {n.attributes.as<ConstantAttributes>().value};
      continue;
    }
    std::vector<Operand> operands;
    std::vector<const Operand*> list;
    for (ValueRef v : n.inputs)
      operands.emplace_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor(), n.where);
    for (const Operand& o : operands) list.push_back(&o);
    const CallSiteOverride site(n.where);
    const CallChainScope calls(n.calls);
    apply(*n.op, n.attributes.get(), list, values[i]);
  }
  return values;
}

Differentiated differentiate(const Graph& recorded,
                             const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                             const std::vector<bool>& needed, const std::vector<bool>& arriving,
                             const std::vector<bool>& summed) {
  TraceMode trace;
  const ModeScope scope(&trace);
  Differentiated d;
  std::vector<Tensor> inputs;
  for (int32_t id : recorded.inputs)
    inputs.push_back(trace.add_input(recorded.node(id).name, recorded.node(id).outputs[0]));
  trace.graph.next_symbol = std::min(trace.graph.next_symbol, recorded.next_symbol);
  GradientTape tape({.persistent = false, .watch_accessed_variables = false});
  std::vector<GradientSource> sources;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    if (i < inputs.size())
      sources.emplace_back(inputs[i]);
    else
      sources.emplace_back(Variable::from_impl(variables[i - inputs.size()]));
    tape.watch(sources.back());
  }
  const std::vector<Tensors> values = replay(recorded, inputs);
  std::vector<Tensor> outputs;
  for (ValueRef v : recorded.outputs) {
    outputs.push_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor());
    d.outputs.push_back(outputs.back().defined() ? trace.value_of(outputs.back(), {}) : ValueRef{});
  }
  tape.stop();
  d.boundary = static_cast<int32_t>(trace.graph.nodes.size());
  std::vector<Tensor> targets, weights, sums;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!arriving[i]) continue;
    targets.push_back(outputs[i]);
    weights.push_back(trace.add_input("gradient", detail::coded_spec(outputs[i])));
    d.gradient_inputs.push_back(trace.value_of(weights.back(), {}));
  }
  size_t next = 0;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    const GradientSource& s = sources[next++];
    if (!summed[i]) {
      sums.emplace_back();
      continue;
    }
    sums.push_back(trace.add_input("sum", s.is_variable()
                                              ? Spec{s.variable().dtype(), s.variable().shape(), {}}
                                              : detail::coded_spec(s.tensor())));
    d.gradient_inputs.push_back(trace.value_of(sums.back(), {}));
  }
  const std::vector<Tensor> found = tape.gradients_onto(targets, weights, sources, sums);
  for (const Tensor& t : found) d.sums.push_back(t.defined() ? trace.value_of(t, {}) : ValueRef{});
  d.graph = std::move(trace.graph);
  return d;
}

std::vector<std::vector<bool>> arriving_patterns(const Graph& recorded, const std::vector<bool>& all) {
  std::vector<std::vector<bool>> patterns{all};
  const bool may_fill = std::any_of(recorded.nodes.begin(), recorded.nodes.end(), [](const Node& n) {
    return n.op->has(has_bodies) || std::count_if(n.outputs.begin(), n.outputs.end(),
                                                  [](const Spec& s) { return is_floating(s.dtype); }) > 1;
  });
  // Elsewhere, too, a rule may ask for more where less arrives; for few results it costs little to look.
  constexpr auto few = 8;
  const auto count = std::count(all.begin(), all.end(), true);
  if (count < 2 || (!may_fill && count > few)) return patterns;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all[i]) continue;
    patterns.emplace_back(all.size(), false);
    patterns.back()[i] = true;
  }
  return patterns;
}

void add_missing(std::vector<ValueRef>& values, std::span<const ValueRef> more) {
  for (ValueRef v : more)
    if (std::find(values.begin(), values.end(), v) == values.end()) values.push_back(v);
}

Graph forward_part(const Differentiated& d, std::span<const ValueRef> residuals) {
  Graph g = d.graph;
  g.outputs.clear();
  for (ValueRef v : d.outputs) g.outputs.push_back(v);
  for (ValueRef v : residuals) g.outputs.push_back(v);
  std::vector<bool> keep(g.nodes.size());
  for (size_t i = 0; i < keep.size(); ++i) keep[i] = i < static_cast<size_t>(d.boundary);
  std::erase_if(g.inputs, [&](int32_t id) { return id >= d.boundary; });
  g.compact(keep);
  return g;
}

/// The nodes from `boundary` on; values from before it come in as arguments, in the order in which
/// `residuals` gets them, then the gradients and sums.
Graph backward_part(const Differentiated& d, std::vector<ValueRef>& residuals) {
  Graph g;
  g.next_symbol = d.graph.next_symbol;
  std::map<ValueRef, ValueRef> here;
  auto from_forward = [&](ValueRef v) {
    const Tensor constant = d.graph.constant(v);
    if (constant.defined()) {
      here[v] = g.add_constant(constant, d.graph.node(v.node).where);
    } else if (!here.contains(v)) {
      residuals.push_back(v);
      here[v] = g.add_input("kept", d.graph.spec(v));
    }
  };
  for (auto id = static_cast<size_t>(d.boundary); id < d.graph.nodes.size(); ++id)
    for (ValueRef v : d.graph.nodes[id].inputs)
      if (v.present() && v.node < d.boundary && !here.contains(v)) from_forward(v);
  for (ValueRef v : d.sums)
    if (v.present() && v.node < d.boundary && !here.contains(v)) from_forward(v);
  for (ValueRef v : d.gradient_inputs) here[v] = g.add_input(d.graph.node(v.node).name, d.graph.spec(v));
  for (auto id = static_cast<size_t>(d.boundary); id < d.graph.nodes.size(); ++id) {
    const Node& n = d.graph.nodes[id];
    if (n.op->has(is_input)) continue;
    std::vector<ValueRef> inputs;
    for (ValueRef v : n.inputs) inputs.push_back(v.present() ? here.at(v) : ValueRef{});
    const int32_t copy = g.add(*n.op, n.attributes, inputs, n.outputs, n.where, n.name);
    g.node(copy).calls = n.calls;
    for (int k = 0; k < n.outputs.size(); ++k) here[{static_cast<int32_t>(id), k}] = {copy, k};
  }
  for (ValueRef v : d.sums) g.outputs.push_back(v.present() ? here.at(v) : ValueRef{});
  return g;
}

std::vector<std::shared_ptr<detail::VariableImpl>> variables_read(const Graph& graph) {
  std::vector<std::shared_ptr<detail::VariableImpl>> result;
  auto add = [&](const std::shared_ptr<detail::VariableImpl>& v) {
    if (is_floating(v->spec.dtype) && std::find(result.begin(), result.end(), v) == result.end())
      result.push_back(v);
  };
  for (const Node& n : graph.nodes) {
    if (n.op->has(reads_variable)) add(n.attributes.as<VariableAttributes>().variable);
    if (n.op->has(has_bodies))
      for (const auto& v : n.attributes.as<StructuredAttributes>().structured->variables()) add(v);
  }
  return result;
}

bool runs_effects(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) {
    if (n.op->has(has_bodies)) return n.attributes.as<StructuredAttributes>().structured->has_effects();
    return n.op->has(effect);
  });
}

std::vector<Tensor> replay_outputs(const Graph& graph, std::span<const Tensor> inputs) {
  const std::vector<Tensors> values = replay(graph, inputs);
  std::vector<Tensor> result;
  for (ValueRef v : graph.outputs)
    result.push_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor());
  return result;
}

}  // namespace tandem
