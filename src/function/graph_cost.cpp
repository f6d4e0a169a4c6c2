#include "function/graph_cost.h"

#include <algorithm>

#include "function/trace_mode.h"

namespace tandem {

namespace {

/// None: unknown.
std::optional<int64_t> operations_of(const Graph& g, const Node& n) {
  if (n.op->has(is_input) || n.op->has(is_constant) || n.op->has(moves_only) || n.op->has(reads_variable) ||
      n.op->has(writes_variable) || n.op->view)
    return 0;
  if (n.op->has(has_bodies)) return {};
  std::vector<Spec> inputs;
  for (ValueRef v : n.inputs) inputs.push_back(v.present() ? g.spec(v) : Spec{});
  if (n.op->operations) {
    const int64_t count = n.op->operations(inputs, n.outputs);
    return count < 0 ? std::nullopt : std::optional(count);
  }
  // What is composed of others costs what they do.
  if (n.op->has(composite)) try {
      TraceMode trace;
      std::vector<Tensor> arguments;
      for (size_t i = 0; i < inputs.size(); ++i) {
        const ValueRef v = n.inputs[static_cast<int>(i)];
        const Tensor constant = g.constant(v);
        arguments.push_back(!v.present()         ? Tensor()
                            : constant.defined() ? constant
                                                 : trace.add_input("x", inputs[i]));
      }
      const ModeScope scope(&trace);
      n.op->decomposition(arguments, n.attributes.get());
      return operations_of(trace.graph);
    } catch (const Error&) {
      return {};  // its parts depend on values
    }
  // One for each element that is read or made, whichever are more.
  int64_t most = 0;
  for (const Spec& s : n.outputs) {
    if (!s.shape.is_static()) return {};
    most = std::max(most, s.shape.element_count());
  }
  for (size_t i = 0; i < inputs.size(); ++i)
    if (n.inputs[static_cast<int>(i)].present()) most = std::max(most, inputs[i].shape.element_count());
  return most;
}

}  // namespace

std::optional<int64_t> operations_of(const Graph& graph) {
  int64_t sum = 0;
  for (const Node& n : graph.nodes) {
    const std::optional<int64_t> count = operations_of(graph, n);
    if (!count) return {};
    sum += *count;
  }
  return sum;
}

}  // namespace tandem
