#pragma once
// What ops with the trait has_bodies hold: graphs, which passes, files and printers may look into.

#include <memory>
#include <vector>

#include "graph/graph.h"
#include "ops/structured.h"

namespace tandem {

class GraphBodies : public Structured {
 public:
  enum class Kind {
    call,      ///< one graph, of the op's inputs
    branches,  ///< then and else, of the op's inputs after the predicate
    loop,      ///< condition and body, of the op's inputs: first those that change, then captured ones
  };
  struct View {
    Kind kind = Kind::call;
    std::vector<const Graph*> graphs = {};
    int loop_variables = 0;
    int64_t maximum_iterations = -1;  ///< -1: no limit
  };
  virtual View view() const = 0;
  /// Of the kind `branches`: the same with other bodies, of other captures.
  virtual std::shared_ptr<Structured> with_branches(std::vector<Graph>) const { return nullptr; }
};

/// The bodies of a node whose op has the trait has_bodies.
inline GraphBodies::View bodies_of(const Node& node) {
  return static_cast<const GraphBodies&>(*node.attributes.as<StructuredAttributes>().structured).view();
}

/// True when nothing but values comes out of it, however deep: no effect, no write. Reads of variables count
/// as values.
bool only_computes(const Graph& graph);

}  // namespace tandem
