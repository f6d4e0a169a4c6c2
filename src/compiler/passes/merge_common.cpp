// Common subexpressions: equal ops on equal inputs are computed once. Constants are compared by their bits,
// so that +0 and -0, and NaNs of different payloads, stay apart.

#include <unordered_map>

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"
#include "core/same_bits.h"
#include "ops/variable_impl.h"

namespace tandem::passes {

namespace {

/// What makes two nodes equal, apart from a constant's elements.
struct Key {
  const OpDef* op;
  AttributeBox attributes;
  SmallVector<ValueRef, 3> inputs;
  Tensor constant;
  int epoch = 0;  // of the variable that is read

  size_t hash() const {
    size_t h = std::hash<const void*>()(op);
    h = detail::mix(h, static_cast<size_t>(epoch));
    if (constant.defined()) return detail::mix(h, hash_of_elements());
    if (!op->attributes->opaque) h = detail::mix(h, op->attributes->hash(attributes.get()));
    for (ValueRef v : inputs)
      h = detail::mix(h, detail::mix(static_cast<size_t>(v.node), static_cast<size_t>(v.output)));
    return h;
  }
  // Samples are enough to tell constants apart; equality looks at all elements.
  size_t hash_of_elements() const {
    const auto* p = static_cast<const std::byte*>(constant.impl()->data);
    const size_t size = static_cast<size_t>(constant.size()) * size_of(constant.dtype());
    size_t h = detail::mix(detail::hash_of(constant.shape().codes()), static_cast<size_t>(constant.dtype()));
    const size_t step = std::max<size_t>(size / 64, 1);
    for (size_t i = 0; i < size; i += step) h = detail::mix(h, static_cast<size_t>(p[i]));
    return h;
  }
  bool operator==(const Key& o) const {
    if (op != o.op || epoch != o.epoch || !(inputs == o.inputs)) return false;
    if (!constant.defined())
      return op->attributes->empty || op->attributes->equal(attributes.get(), o.attributes.get());
    return constant.impl() == o.constant.impl() || detail::same_bits(constant, o.constant);
  }
};
struct Hash {
  size_t operator()(const Key& k) const { return k.hash(); }
};

/// Counts the writes of each variable, so that reads with equal counts give equal values.
class Epochs {
 public:
  void see(const Node& n) {
    if (n.op->has(has_bodies) || (n.op->has(writes_variable) && !variable(n)))
      ++all_;  // it may write any
    else if (n.op->has(writes_variable))
      ++writes_[variable(n)];
  }
  int of(const Node& n) const {
    const auto found = writes_.find(variable(n));
    return all_ + (found == writes_.end() ? 0 : found->second);
  }

 private:
  static const void* variable(const Node& n) {
    return n.attributes.type() == &attribute_type<VariableAttributes>
               ? n.attributes.as<VariableAttributes>().variable.get()
               : nullptr;
  }
  int all_ = 0;
  std::unordered_map<const void*, int> writes_;
};

}  // namespace

bool merge_common(Graph& graph) {
  Rebuild r(graph);
  std::unordered_map<Key, int32_t, Hash> seen;
  Epochs epochs;
  while (!r.done()) {
    const int32_t id = r.copy_next();
    const Node& n = r.node(id);
    epochs.see(n);
    const bool is_read =
        n.op->has(reads_variable) && (n.op->traits & (effect | writes_variable | has_bodies)) == 0;
    if (!is_read && !is_pure(n)) continue;
    Key key{n.op, n.attributes, n.inputs, {}, is_read ? epochs.of(n) : 0};
    if (n.op->has(is_constant)) key.constant = n.attributes.as<ConstantAttributes>().value.contiguous();
    if (n.op->has(commutative) && key.inputs.size() > 1 && key.inputs[1] < key.inputs[0])
      std::swap(key.inputs[0], key.inputs[1]);
    const auto [found, is_new] = seen.try_emplace(std::move(key), id);
    if (is_new) continue;
    const int outputs = n.outputs.size();
    // The first may know its sizes less well than this one.
    bool same = outputs == r.node(found->second).outputs.size();
    for (int i = 0; same && i < outputs; ++i) same = same_spec(r.spec({found->second, i}), r.spec({id, i}));
    for (int i = 0; same && i < outputs; ++i) r.replace(i, {found->second, i});
  }
  return r.finish(graph);
}

}  // namespace tandem::passes
