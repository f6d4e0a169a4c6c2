#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"

namespace tandem::passes {

bool prune(Graph& graph) { return drop_dead_nodes(graph); }

bool bypass(Graph& graph) {
  return rebuild_until_stable(graph, [](Rebuild& r, int32_t id) {
    const Node& n = r.node(id);
    if (!n.op->has(pass_through)) return;
    for (int i = 0; i < r.node(id).outputs.size(); ++i)
      if (const ValueRef given = r.node(id).inputs[i]; same_spec(r.node(id).outputs[i], r.spec(given)))
        r.replace(i, given);
  });
}

}  // namespace tandem::passes
