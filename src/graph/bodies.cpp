#include "graph/bodies.h"

#include <algorithm>

namespace tandem {

bool only_computes(const Graph& graph) {
  return std::all_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& n) {
    if (!n.op->has(has_bodies)) return (n.op->traits & (effect | writes_variable)) == 0;
    const GraphBodies::View view = bodies_of(n);
    return std::all_of(view.graphs.begin(), view.graphs.end(),
                       [](const Graph* g) { return only_computes(*g); });
  });
}

}  // namespace tandem
