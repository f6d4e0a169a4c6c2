#pragma once
// What a graph's values are once the sizes that enter it are known.

#include <map>
#include <vector>

#include "graph/graph.h"
#include "ops/dispatch.h"

namespace tandem {

/// Thrown when a shape depends on data.
struct DynamicShape {};

/// Infers node by node, in program order. Small integer values that follow from shapes and constants are
/// computed on the way: they are other ops' parameters.
class SizedInference final : public KnownValues {
 public:
  /// `graph` outlives this.
  explicit SizedInference(const Graph& graph);

  /// Tells what a value is. `known`: its elements, where shapes may follow from them.
  void give(ValueRef v, const Spec& spec, const Tensor& known = {});
  /// Infers the outputs of a node whose inputs are told or inferred. Throws DynamicShape, after which nothing
  /// is known of them, or the user's mistakes that only known sizes reveal.
  void infer(int32_t id);

  /// The value, without elements; undefined when nothing is known of it yet.
  const Tensor& value(ValueRef v) const;
  /// Its elements, where they are known; else undefined.
  const Tensor& known(ValueRef v) const { return known_[index(v)]; }
  /// What ops take for an input: elements where they are known, else a value without them.
  Tensor operand(ValueRef v) const;

  Tensor known_value(const detail::TensorImpl* tensor) override;
  int64_t fresh_symbol() override { throw DynamicShape(); }

 private:
  size_t index(ValueRef v) const {
    return static_cast<size_t>(first_value_[static_cast<size_t>(v.node)] + v.output);
  }
  void set(ValueRef v, const Spec& spec);
  Tensor fold(const Node& node, std::span<const Operand* const> operands, const Spec& output);
  void resolve_symbols(SmallVector<Spec, 1>& specs) const;

  const Graph& graph_;
  std::vector<int32_t> first_value_;  // by node
  std::vector<Tensor> values_, known_;
  std::map<int64_t, int64_t> sizes_;  // of the graph's symbols
};

}  // namespace tandem
