// KnownSizes that were unknown while tracing, or before other passes ran, may follow by now.

#include "compiler/passes/passes.h"
#include "graph/inference.h"

namespace tandem::passes {

namespace {

/// Which size stands for a symbol.
class KnownSizes {
 public:
  int64_t resolve(int64_t d) const {
    for (auto found = known_.find(d); found != known_.end(); found = known_.find(d)) d = found->second;
    return d;
  }
  void learn(int64_t symbol, int64_t d) { known_[symbol] = d; }
  bool apply(Shape& shape) const {
    bool changed = false;
    for (int64_t& d : shape) {
      const int64_t resolved = resolve(d);
      changed = changed || resolved != d;
      d = resolved;
    }
    return changed;
  }
  bool empty() const { return known_.empty(); }

 private:
  std::map<int64_t, int64_t> known_;
};

}  // namespace

bool refine_sizes(Graph& graph) {
  Graph next = graph;
  GraphInference inference(next);
  const int64_t first_fresh = next.next_symbol;
  // KnownSizes of arguments are what the caller gives: nothing in the graph decides them.
  std::map<int64_t, bool> given;
  for (int32_t id : graph.inputs)
    for (int64_t d : graph.node(id).outputs[0].shape) given[d] = true;
  KnownSizes sizes;
  bool changed = false;
  for (Node& n : next.nodes) {
    for (Spec& s : n.outputs) changed = sizes.apply(s.shape) || changed;
    if (!is_pure(n) || n.op->has(is_constant)) continue;
    SmallVector<Spec, 1> inferred;
    try {
      inferred = inference.infer(*n.op, n.attributes.get(), n.inputs);
    } catch (const Error&) {
      continue;  // it fails when it runs
    }
    for (int i = 0; i < n.outputs.size() && i < inferred.size(); ++i) {
      Shape& shape = n.outputs[i].shape;
      if (inferred[i].shape.rank() != shape.rank()) continue;
      for (int d = 0; d < shape.rank(); ++d) {
        const int64_t was = shape[d], is = sizes.resolve(inferred[i].shape[d]);
        const bool informs = is >= 0 || (is_symbol(is) && is > first_fresh);
        if (was == is || !informs || !is_symbol(was) || given.count(was)) continue;
        sizes.learn(was, is);
      }
      changed = sizes.apply(shape) || changed;
    }
  }
  if (!changed) return false;
  // What was learned late holds in early nodes too: a symbol is one size everywhere.
  for (Node& n : next.nodes)
    for (Spec& s : n.outputs) sizes.apply(s.shape);
  next.next_symbol = first_fresh;
  graph = std::move(next);
  return true;
}

}  // namespace tandem::passes
