#include "graph/graph.h"

#include "core/shape_limits.h"
#include "graph/run_node.h"
#include "ops/dispatch.h"

namespace tandem {

thread_local CallChain current_calls;

void add_call(Error& error, std::string_view function, Location where) {
  error.add_context(fmt::format("in {} ({}:{})", function.empty() ? "a function" : function,
                                where.file_name(), where.line));
}

void add_calls(Error& error, const CallChain& calls) {
  for (const CallFrame* c = calls.get(); c; c = c->outer.get()) add_call(error, c->function, c->where);
}

int32_t Graph::add(const OpDef& op, AttributeBox attributes, std::span<const ValueRef> node_inputs,
                   std::span<const Spec> node_outputs, Location where, std::string_view name) {
  Node n;
  n.op = &op;
  n.attributes = std::move(attributes);
  for (ValueRef v : node_inputs) n.inputs.push_back(v);
  for (const Spec& s : node_outputs) {
    check_sizes(s.shape, s.dtype);  // they come from files, too
    n.outputs.push_back(s);
  }
  n.where = where;
  n.calls = current_calls;
  std::string base = name.empty() ? op.display_name() : std::string(name);
  for (;;) {
    const int used = names_[base]++;
    if (used == 0) break;
    base += "_" + std::to_string(used);
  }
  n.name = std::move(base);
  nodes.push_back(std::move(n));
  return static_cast<int32_t>(nodes.size()) - 1;
}

ValueRef Graph::add_input(std::string_view name, const Spec& spec) {
  const InputAttributes a{static_cast<int64_t>(inputs.size()), std::string(name), spec.dtype, spec.shape};
  const int32_t id =
      add(input_op(), AttributeBox(attribute_type<InputAttributes>, &a), {}, {&spec, 1}, {}, name);
  inputs.push_back(id);
  return {id, 0};
}

ValueRef Graph::add_constant(const Tensor& value, Location where) {
  const ConstantAttributes a{value};
  const Spec spec = detail::coded_spec(value);
  return {add(constant_op(), AttributeBox(attribute_type<ConstantAttributes>, &a), {}, {&spec, 1}, where), 0};
}

std::string Graph::name_of(ValueRef v) const {
  return v.present() ? node(v.node).name + ":" + std::to_string(v.output) : "none";
}

Tensor Graph::constant(ValueRef v) const {
  if (!v.present() || !node(v.node).op->has(is_constant)) return {};
  return node(v.node).attributes.as<ConstantAttributes>().value;
}

void Graph::replace_uses(ValueRef from, ValueRef to) {
  for (Node& n : nodes)
    for (ValueRef& v : n.inputs)
      if (v == from) v = to;
  for (ValueRef& v : outputs)
    if (v == from) v = to;
}

void Graph::compact(const std::vector<bool>& keep) {
  std::vector<int32_t> renumbered(nodes.size(), -1);
  size_t next = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!keep[i]) continue;
    renumbered[i] = static_cast<int32_t>(next);
    if (next != i) nodes[next] = std::move(nodes[i]);
    ++next;
  }
  nodes.resize(next);
  auto renumber = [&](ValueRef& v) {
    if (v.present()) v.node = renumbered[static_cast<size_t>(v.node)];
  };
  for (Node& n : nodes)
    for (ValueRef& v : n.inputs) renumber(v);
  for (ValueRef& v : outputs) renumber(v);
  for (int32_t& id : inputs) id = renumbered[static_cast<size_t>(id)];
}

Graph Graph::skeleton() const {
  Graph g;
  g.next_symbol = next_symbol;
  g.names_ = names_;
  return g;
}

std::vector<int> Graph::use_counts() const {
  std::vector<int> counts(nodes.size(), 0);
  for (const Node& n : nodes)
    for (ValueRef v : n.inputs)
      if (v.present()) ++counts[static_cast<size_t>(v.node)];
  for (ValueRef v : outputs)
    if (v.present()) ++counts[static_cast<size_t>(v.node)];
  return counts;
}

bool must_run(const Node& node) { return node.op->has(effect) || node.op->has(is_input); }

bool is_pure(const Node& node) {
  return (node.op->traits & (effect | reads_variable | writes_variable | is_input | has_bodies)) == 0;
}

std::vector<Tensor> interpret(const Graph& graph, std::span<const Tensor> inputs) {
  std::vector<Tensors> values(graph.nodes.size());
  std::vector<int> uses = graph.use_counts();
  for (size_t i = 0; i < graph.inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = {inputs[i]};
  std::vector<Operand> operands;
  std::vector<const Operand*> list;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    if (n.op->has(is_input)) continue;
    operands.clear();
    list.clear();
    for (ValueRef v : n.inputs)
      operands.emplace_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor(), n.where);
    for (const Operand& o : operands) list.push_back(&o);
    run_node(&n, [&] { evaluate(*n.op, n.attributes.get(), list, n.where, values[i]); });
    for (ValueRef v : n.inputs)
      if (v.present() && --uses[static_cast<size_t>(v.node)] == 0)
        values[static_cast<size_t>(v.node)].clear();
  }
  std::vector<Tensor> outputs;
  for (ValueRef v : graph.outputs)
    outputs.push_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor());
  return outputs;
}

}  // namespace tandem
