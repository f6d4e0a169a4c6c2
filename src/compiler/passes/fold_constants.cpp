// Constant folding: through eager evaluation, so that the bits are those of a run.

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"

namespace tandem::passes {

namespace {

// Larger results stay computed, unless they are no larger than what they are computed from.
constexpr int64_t largest_result = int64_t{1} << 20;  // bytes

int64_t bytes(const Spec& s) { return s.shape.element_count() * static_cast<int64_t>(size_of(s.dtype)); }

// The node's outputs when its inputs are constants; empty when it should stay.
Tensors evaluate_constant(const Rebuild& r, const Node& n) {
  int64_t given = 0, made = 0;
  std::vector<Tensor> inputs;
  for (ValueRef v : n.inputs) {
    const bool constant = !v.present() || r.node(v.node).op->has(is_constant);
    if (!constant) return {};
    inputs.push_back(v.present() ? r.node(v.node).attributes.as<ConstantAttributes>().value : Tensor());
    if (v.present()) given += bytes(r.spec(v));
  }
  for (const Spec& s : n.outputs) {
    // A shape that depends on data is known only once it is computed.
    if (s.shape.is_static()) made += bytes(s);
  }
  if (made > largest_result && made > given) return {};
  try {
    return evaluate_tensors(*n.op, n.attributes.get(), inputs, n.where);
  } catch (const Error&) {
    return {};  // it fails when it runs, with the user's line
  }
}

void fold_at(Rebuild& r, int32_t id) {
  const Node& n = r.node(id);
  if (!is_pure(n) || n.op->has(is_constant) || n.outputs.empty()) return;
  const Location where = n.where;
  Tensors values;
  if (n.outputs.size() == 1) {
    if (const KnownValue& k = r.known({id, 0}); k.value.defined() && !k.symbolic) values.push_back(k.value);
  }
  if (values.empty()) values = evaluate_constant(r, n);
  for (int i = 0; i < values.size(); ++i) r.replace(i, r.add_constant(values[i].contiguous(), where));
}

}  // namespace

bool fold_constants(Graph& graph) { return rebuild_until_stable(graph, fold_at); }

}  // namespace tandem::passes
