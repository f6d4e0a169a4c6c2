#include "model_cost.h"

#include "function/function_core.h"
#include "function/graph_cost.h"

namespace tandem::cli {

Cost cost_of(const LoadedModel& model, const std::vector<Tensor>& inputs) {
  Cost cost;
  for (const detail::FunctionTrace* trace : model.function().core().traces()) {
    if (!trace->accepts(inputs, trace->static_key)) continue;
    const Graph& graph = trace->compiled.graph();
    cost.nodes = static_cast<int>(graph.nodes.size());
    cost.peak_bytes = trace->compiled.peak_bytes();
    cost.flops = operations_of(graph);
  }
  return cost;
}

}  // namespace tandem::cli
