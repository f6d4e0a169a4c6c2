#pragma once
// What a graph says about its values before it runs: values that follow from constants and shapes, and the
// specs of nodes yet to be made.

#include <map>

#include "graph/graph.h"

namespace tandem {

/// Sizes that are certainly equal: the same number, or the same symbol.
constexpr bool same_size(int64_t a, int64_t b) { return a == b && (a >= 0 || is_symbol(a)); }
bool same_shape(const Shape& a, const Shape& b);
inline bool same_spec(const Spec& a, const Spec& b) {
  return a.dtype == b.dtype && a.device == b.device && same_shape(a.shape, b.shape);
}
/// True when both shapes certainly hold the same number of elements.
bool same_count(const Shape& a, const Shape& b);
/// True when broadcasting `part` to `whole` certainly succeeds and gives `whole`.
bool broadcasts_to(const Shape& part, const Shape& whole);

/// A small integer or boolean tensor that is known before the graph runs.
struct KnownValue {
  Tensor value;           ///< undefined when unknown; contiguous
  bool symbolic = false;  ///< entries that are symbols (is_symbol) stand for sizes
};

/// Answers about one graph, which may grow meanwhile; what it has said of a value it remembers.
class GraphInference {
 public:
  explicit GraphInference(Graph& graph) : graph_(graph) {}

  /// Values that constants and shapes decide.
  const KnownValue& known(ValueRef v);
  /// The specs that an op would give; new symbols are the graph's. Throws what inference throws.
  SmallVector<Spec, 1> infer(const OpDef& op, const void* attributes, std::span<const ValueRef> inputs);
  /// Nodes from `first` on are gone.
  void forget(int32_t first) { known_.erase(known_.lower_bound({first, 0}), known_.end()); }

 private:
  KnownValue compute(ValueRef v);

  Graph& graph_;
  std::map<ValueRef, KnownValue> known_;
  int depth_ = 0;  // of `known` asking for its inputs
};

/// An input as inference sees it: a spec, and a value where one is known.
struct StandIn {
  Spec spec;
  Tensor value;
  bool present = true;
};
/// Calls use(context) after inference on stand-ins, whose specs may have any shapes. Throws what inference
/// throws.
void infer_stand_ins(const OpDef& op, const void* attributes, std::span<const StandIn> inputs,
                     KnownValues* known, const std::function<void(InferContext&)>& use);

/// Evaluates an op on tensors, whatever the mode. Throws what the op throws, with its name and `where`.
Tensors evaluate_tensors(const OpDef& op, const void* attributes, std::span<const Tensor> inputs,
                         Location where);

}  // namespace tandem
