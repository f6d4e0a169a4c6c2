#include "compiler/rebuild.h"

#include <map>

#include "ops/dispatch.h"

namespace tandem {

Rebuild::Rebuild(const Graph& old) : old_(old), graph_(old.skeleton()), inference_(graph_) {
  size_t values = 0;
  for (const Node& n : old.nodes) {
    first_value_.push_back(values);
    values += static_cast<size_t>(n.outputs.size());
  }
  now_.resize(values);
  old_uses_.assign(values, 0);
  const auto count = [&](ValueRef v) {
    if (v.present()) ++old_uses_[first_value_[static_cast<size_t>(v.node)] + static_cast<size_t>(v.output)];
  };
  for (const Node& n : old.nodes)
    for (ValueRef v : n.inputs) count(v);
  for (ValueRef v : old.outputs) count(v);
  graph_.nodes.reserve(old.nodes.size() + 8);
  uses_.reserve(old.nodes.size() + 8);
}

int32_t Rebuild::copy_next() {
  const auto id = static_cast<int32_t>(graph_.nodes.size());
  const Node& from = old_.nodes[next_];
  Node n = from;
  for (ValueRef& v : n.inputs)
    if (v.present()) v = now_[first_value_[static_cast<size_t>(v.node)] + static_cast<size_t>(v.output)];
  int uses = 0;
  for (int i = 0; i < n.outputs.size(); ++i) {
    const size_t value = first_value_[next_] + static_cast<size_t>(i);
    now_[value] = {id, i};
    uses += old_uses_[value];
  }
  graph_.nodes.push_back(std::move(n));
  uses_.push_back(uses);
  ++next_;
  return last_ = id;
}

void Rebuild::replace(int output, ValueRef now) {
  const size_t value = first_value_[next_ - 1] + static_cast<size_t>(output);
  TD_ASSERT(now_[value].node == last_ && now.node != last_);
  now_[value] = now;
  uses_[static_cast<size_t>(now.node)] += old_uses_[value];
  uses_[static_cast<size_t>(last_)] -= old_uses_[value];
  changed_ = true;
  if (uses_[static_cast<size_t>(last_)] == 0) release(last_);
}

void Rebuild::set_input(int i, ValueRef now) {
  ValueRef& input = graph_.node(last_).inputs[i];
  const int32_t before = input.node;
  input = now;
  ++uses_[static_cast<size_t>(now.node)];
  if (--uses_[static_cast<size_t>(before)] == 0) release(before);
  changed_ = true;
}

// A node that nothing uses any more uses its inputs no more.
void Rebuild::release(int32_t id) {
  std::vector<int32_t> dead{id};
  while (!dead.empty()) {
    const Node& n = graph_.node(dead.back());
    dead.pop_back();
    if (must_run(n)) continue;
    release_inputs(static_cast<int32_t>(&n - graph_.nodes.data()), dead);
  }
}

void Rebuild::release_inputs(int32_t id, std::vector<int32_t>& dead) {
  for (ValueRef v : graph_.node(id).inputs)
    if (v.present() && --uses_[static_cast<size_t>(v.node)] == 0) dead.push_back(v.node);
}

std::vector<ValueRef> Rebuild::add_body(const Graph& body, std::span<const ValueRef> arguments) {
  std::map<ValueRef, ValueRef> here;
  std::map<int64_t, int64_t> sizes;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const ValueRef input{body.inputs[i], 0};
    here[input] = arguments[i];
    const Shape &inside = body.spec(input).shape, &outside = spec(arguments[i]).shape;
    for (int d = 0; d < inside.rank(); ++d)
      if (is_symbol(inside[d])) sizes.try_emplace(inside[d], outside[d]);
  }
  for (size_t i = 0; i < body.nodes.size(); ++i) {
    const Node& n = body.nodes[i];
    if (n.op->has(is_input)) continue;
    SmallVector<ValueRef, 4> inputs;
    for (ValueRef v : n.inputs) inputs.push_back(v.present() ? here.at(v) : v);
    SmallVector<Spec, 4> specs;
    for (Spec s : n.outputs) {
      for (int64_t& d : s.shape)
        if (is_symbol(d)) {
          if (!sizes.contains(d)) sizes[d] = graph_.fresh_symbol();
          d = sizes[d];
        }
      specs.push_back(s);
    }
    const int32_t id = graph_.add(*n.op, n.attributes, inputs, specs, n.where, n.name);
    graph_.node(id).calls = n.calls;
    uses_.push_back(0);
    for (ValueRef v : inputs)
      if (v.present()) ++uses_[static_cast<size_t>(v.node)];
    for (int k = 0; k < n.outputs.size(); ++k) here[{static_cast<int32_t>(i), k}] = {id, k};
  }
  std::vector<ValueRef> results;
  for (ValueRef v : body.outputs) results.push_back(v.present() ? here.at(v) : v);
  return results;
}

void Rebuild::drop_last() {
  std::vector<int32_t> dead;
  release_inputs(last_, dead);
  for (int32_t id : dead) release(id);
  dropped_.push_back(last_);
  changed_ = true;
}

std::optional<int32_t> Rebuild::add(const OpDef& op, const AttributeBox& attributes,
                                    std::span<const ValueRef> inputs, Location where) {
  SmallVector<Spec, 1> specs;
  try {
    specs = inference_.infer(op, attributes.get(), inputs);
  } catch (const Error&) {
    return {};
  }
  const int32_t id = graph_.add(op, attributes, inputs, specs, where);
  if (last_ >= 0) graph_.node(id).calls = graph_.node(last_).calls;
  uses_.push_back(0);
  for (ValueRef v : inputs)
    if (v.present()) ++uses_[static_cast<size_t>(v.node)];
  return id;
}

ValueRef Rebuild::add_constant(const Tensor& value, Location where) {
  uses_.push_back(0);
  return graph_.add_constant(value, where);
}

ValueRef Rebuild::add_shape(const Shape& shape, Location where) {
  return add_constant(
      detail::from_bytes(shape.begin(), DType::i64, static_cast<size_t>(shape.rank()), {shape.rank()}),
      where);
}

void Rebuild::forget(int32_t first) {
  while (static_cast<int32_t>(graph_.nodes.size()) > first) {
    for (ValueRef v : graph_.nodes.back().inputs)
      if (v.present()) --uses_[static_cast<size_t>(v.node)];
    graph_.nodes.pop_back();
    uses_.pop_back();
  }
  inference_.forget(first);
}

bool Rebuild::finish(Graph& target) {
  while (!done()) copy_next();
  if (!changed_) return false;
  for (int32_t id : old_.inputs) graph_.inputs.push_back(now_[first_value_[static_cast<size_t>(id)]].node);
  for (ValueRef v : old_.outputs)
    graph_.outputs.push_back(
        v.present() ? now_[first_value_[static_cast<size_t>(v.node)] + static_cast<size_t>(v.output)] : v);
  if (!dropped_.empty()) {
    std::vector<bool> keep(graph_.nodes.size(), true);
    for (int32_t id : dropped_) keep[static_cast<size_t>(id)] = false;
    graph_.compact(keep);
  }
  drop_dead_nodes(graph_);
  target = std::move(graph_);
  return true;
}

std::vector<int> permutation(const Node& n, const Spec& input) {
  const int rank = input.shape.rank();
  std::vector<int> order;
  StandIn in{input, {}};
  in.spec.shape = Dims::filled(rank, 2);
  infer_stand_ins(*n.op, n.attributes.get(), {&in, 1}, nullptr, [&](InferContext& context) {
    kernel::View from{nullptr, input.dtype, in.spec.shape, Dims::filled(rank, 0)};
    for (int i = 0; i < rank; ++i) from.strides[i] = i;
    ViewResult result;
    n.op->view(context, n.attributes.get(), from, in.spec.shape, result);
    for (int64_t stride : result.strides) order.push_back(static_cast<int>(stride));
  });
  return order;
}

bool drop_dead_nodes(Graph& graph) {
  std::vector<bool> keep(graph.nodes.size(), false);
  const auto need = [&](ValueRef v) {
    if (v.present()) keep[static_cast<size_t>(v.node)] = true;
  };
  for (ValueRef v : graph.outputs) need(v);
  bool all = true;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    if (must_run(graph.nodes[i])) keep[i] = true;
    if (keep[i])
      for (ValueRef v : graph.nodes[i].inputs) need(v);
    all = all && keep[i];
  }
  if (all) return false;
  graph.compact(keep);
  return true;
}

bool rebuild_until_stable(Graph& graph, void (*visit)(Rebuild&, int32_t)) {
  // Each round but the last makes the graph smaller or cheaper; the limit only guards against rules that
  // chase each other.
  constexpr int most_rounds = 100;
  int rounds = 0;
  for (; rounds < most_rounds; ++rounds) {
    Rebuild rebuild(graph);
    while (!rebuild.done()) visit(rebuild, rebuild.copy_next());
    if (!rebuild.finish(graph)) break;
  }
  return rounds > 0;
}

}  // namespace tandem
