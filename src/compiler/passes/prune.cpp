#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"

namespace tandem::passes {

bool prune(Graph& graph) { return drop_dead_nodes(graph); }

bool bypass(Graph& graph) {
  return rebuild_until_stable(graph, [](Rebuild& r, int32_t id) {
    const Node& n = r.node(id);
    if (n.op->has(pass_through) && is_pure(n) && same_spec(n.outputs[0], r.spec(n.inputs[0])))
      r.replace(0, n.inputs[0]);
  });
}

}  // namespace tandem::passes
