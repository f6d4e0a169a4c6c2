#include "model_cost.h"

#include <algorithm>

#include "function/function_core.h"

namespace tandem::cli {

namespace {

/// How operators count whose work is no function of their results alone: `each` multiplications and additions
/// for an element of the result or of the first input.
struct Products {
  std::string_view op;
  int64_t (*operations)(const Graph& graph, const Node& node);
};

int64_t elements(const Graph& g, ValueRef v) { return v.present() ? g.spec(v).shape.element_count() : 0; }

// Sums over the last axis of the left factor.
int64_t matrix_product(const Graph& g, const Node& n) {
  const Shape& left = g.spec(n.inputs[0]).shape;
  const int64_t result = n.outputs[0].shape.element_count();
  return left.rank() == 0 || result < 0 || left.back() < 0 ? -1 : 2 * result * left.back();
}
// The inner size is what the factors have and the result has not.
int64_t general_product(const Graph& g, const Node& n) {
  const Shape& result = n.outputs[0].shape;
  const int64_t left = elements(g, n.inputs[0]);
  if (left < 0 || !result.is_static()) return -1;
  return result[0] == 0 ? 0 : 2 * left / result[0] * result.element_count();
}
// Each element of the result takes one filter's worth of products.
int64_t convolution(const Graph& g, const Node& n) {
  const Shape& filters = g.spec(n.inputs[1]).shape;
  const int64_t result = n.outputs[0].shape.element_count();
  if (!filters.is_static() || result < 0) return -1;
  return filters[0] == 0 ? 0 : 2 * result * (filters.element_count() / filters[0]);
}
int64_t transposed_convolution(const Graph& g, const Node& n) {
  const Shape& filters = g.spec(n.inputs[1]).shape;
  const int64_t given = elements(g, n.inputs[0]);
  if (!filters.is_static() || given < 0) return -1;
  return filters[0] == 0 ? 0 : 2 * given * (filters.element_count() / filters[0]);
}

constexpr Products products[] = {{"MatMul", matrix_product},
                                 {"Gemm", general_product},
                                 {"Conv", convolution},
                                 {"ConvTranspose", transposed_convolution}};

/// -1: unknown.
int64_t operations_of(const Graph& g, const Node& n) {
  if (n.op->has(is_input) || n.op->has(is_constant) || n.op->has(moves_only) || n.op->view) return 0;
  if (n.op->has(has_bodies)) return -1;
  const auto known = std::find_if(std::begin(products), std::end(products),
                                  [&](const Products& p) { return p.op == n.op->name; });
  if (known != std::end(products)) return known->operations(g, n);
  // One for each element that is read or made, whichever are more.
  int64_t most = 0;
  for (const Spec& s : n.outputs) {
    if (!s.shape.is_static()) return -1;
    most = std::max(most, s.shape.element_count());
  }
  for (ValueRef v : n.inputs) most = std::max(most, elements(g, v));
  return most;
}

}  // namespace

Cost cost_of(const LoadedModel& model, const std::vector<Tensor>& inputs) {
  Cost cost;
  for (const detail::FunctionTrace* trace : model.function().core().traces()) {
    if (!trace->accepts(inputs, trace->static_key)) continue;
    const Graph& graph = trace->compiled.graph();
    cost.nodes = static_cast<int>(graph.nodes.size());
    cost.peak_bytes = trace->compiled.peak_bytes();
    cost.flops = 0;
    for (const Node& n : graph.nodes) {
      const int64_t operations = operations_of(graph, n);
      if (operations < 0) cost.flops.reset();
      if (cost.flops) *cost.flops += operations;
    }
  }
  return cost;
}

}  // namespace tandem::cli
