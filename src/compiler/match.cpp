// The engine behind the rows of rules.cpp.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>

#include "compiler/rules.h"
#include "ops/dispatch.h"

namespace tandem {

namespace {

// The first element of a constant when all its elements have its bits; else undefined.
Tensor uniform(const Tensor& t) {
  if (!t.defined() || t.shape().codes().element_count() == 0) return {};
  const size_t size = size_of(t.dtype());
  const Tensor dense = t.contiguous();
  const auto* bytes = static_cast<const std::byte*>(dense.impl()->data);
  const auto count = static_cast<size_t>(dense.size());
  if (std::memcmp(bytes, bytes + size, (count - 1) * size) != 0) return {};
  return detail::from_bytes(bytes, t.dtype(), 1, {});
}

// The number as the dtype has it; undefined when it has not.
Tensor number_of(double number, DType dtype) {
  try {
    if (dtype == DType::boolean) return Tensor(number != 0);
    return to_tensor(Operand(number), dtype);
  } catch (const Error&) {
    return {};  // a fraction, or out of range
  }
}

bool is_number(const Tensor& constant, double number) {
  const Tensor element = uniform(constant);
  if (!element.defined()) return false;
  const Tensor wanted = number_of(number, element.dtype());
  return wanted.defined() &&
         std::memcmp(element.impl()->data, wanted.impl()->data, size_of(element.dtype())) == 0;
}

ValueRef input_of(const Node& n, size_t i) {
  return i < static_cast<size_t>(n.inputs.size()) ? n.inputs[static_cast<int>(i)] : ValueRef{};
}

bool matches(const Term& t, ValueRef v, Match& m);

bool matches_inputs(const Term& t, const Node& n, Match& m, bool exchanged) {
  for (size_t i = 0; i < t.inputs.size(); ++i)
    if (!matches(t.inputs[i], input_of(n, exchanged && i < 2 ? 1 - i : i), m)) return false;
  return true;
}

bool matches(const Term& t, ValueRef v, Match& m) {
  if (!v.present()) {
    if (t.kind != Term::Kind::optional) return false;
  } else if (t.kind == Term::Kind::number) {
    if (!is_number(m.rebuild.graph().constant(v), t.number)) return false;
    m.numbers.push_back(v);
    return true;
  } else if (t.kind == Term::Kind::op) {
    const Node& n = m.rebuild.node(v.node);
    if (n.op != t.op || v.output != 0 || static_cast<size_t>(n.inputs.size()) > t.inputs.size()) return false;
    const Match before = m;
    m.nodes.push_back(v.node);
    if (matches_inputs(t, n, m, false)) return true;
    m.go_back_to(before);
    if (!n.op->has(commutative) || t.inputs.size() < 2) return false;
    m.nodes.push_back(v.node);
    if (matches_inputs(t, n, m, true)) return true;
    m.go_back_to(before);
    return false;
  } else if (t.kind == Term::Kind::constant && !m.rebuild.graph().constant(v).defined()) {
    return false;
  }
  const auto i = static_cast<size_t>(t.index);
  if (m.bound[i]) return m.values[i] == v;
  m.bound[i] = true;
  m.values[i] = v;
  return true;
}

bool mentions(const Term& t, int index) {
  if (t.kind == Term::Kind::op)
    return std::any_of(t.inputs.begin(), t.inputs.end(), [&](const Term& in) { return mentions(in, index); });
  return t.kind != Term::Kind::number && t.index == index;
}

/// Makes the nodes of a replacement.
class Emitter {
 public:
  Emitter(const Match& m, Location where) : m_(m), where_(where) {}

  std::optional<ValueRef> emit(const Term& t, DType dtype) {
    switch (t.kind) {
      case Term::Kind::number: {
        const Tensor value = number_of(t.number, dtype);
        if (!value.defined()) return {};
        return m_.rebuild.add_constant(value, where_);
      }
      case Term::Kind::op:
        break;
      default:
        return m_.values[static_cast<size_t>(t.index)];
    }
    const Term* leaf = first_value(t);
    const DType of_inputs = leaf ? m_.spec(leaf->index).dtype : dtype;
    SmallVector<ValueRef, 3> inputs;
    bool constant = true;
    for (const Term& in : t.inputs) {
      const auto v = emit(in, of_inputs);
      if (!v) return {};
      constant = constant && v->present() && m_.rebuild.node(v->node).op->has(is_constant);
      inputs.push_back(*v);
    }
    const auto made = m_.rebuild.add(*t.op, attributes(*t.op), inputs, where_);
    if (!made) return {};
    if (!constant) ++made_;  // constants are folded away
    return ValueRef{*made, 0};
  }
  int made() const { return made_; }

 private:
  static const Term* first_value(const Term& t) {
    for (const Term& in : t.inputs) {
      if (in.kind == Term::Kind::any || in.kind == Term::Kind::constant) return &in;
      if (in.kind == Term::Kind::op)
        if (const Term* found = first_value(in)) return found;
    }
    return nullptr;
  }
  // Those of the matched op with attributes of the same type, else defaults.
  AttributeBox attributes(const OpDef& op) const {
    for (int32_t id : m_.nodes)
      if (m_.rebuild.node(id).op->attributes == op.attributes) return m_.rebuild.node(id).attributes;
    return AttributeDraft(*op.attributes).box();
  }

  const Match& m_;
  Location where_;
  int made_ = 0;
};

// Matched values that the replacement does not use, numbers among them: their shapes must not have mattered,
// nor could they make the pattern fail.
bool may_drop_unused(const Rule& rule, const Match& m, const Shape& result) {
  for (int i = 0; i < Match::most_values; ++i)
    if (m.bound[static_cast<size_t>(i)] && m.values[static_cast<size_t>(i)].present() &&
        !mentions(rule.to, i) && !broadcasts_to(m.spec(i).shape, result))
      return false;
  return std::all_of(m.numbers.begin(), m.numbers.end(),
                     [&](ValueRef v) { return broadcasts_to(m.rebuild.spec(v).shape, result); });
}

// A symbol that inference has just made may be any size.
bool may_equal(const Spec& made, const Spec& wanted, int64_t first_fresh) {
  bool fits =
      made.dtype == wanted.dtype && made.device == wanted.device && made.shape.rank() == wanted.shape.rank();
  for (int i = 0; fits && i < made.shape.rank(); ++i)
    fits = same_size(made.shape[i], wanted.shape[i]) || (made.shape[i] <= first_fresh && wanted.shape[i] < 0);
  return fits;
}

// `v` in the root's full shape, in which it may have been broadcast; none when that shape is unknown.
std::optional<ValueRef> in_shape(Rebuild& r, ValueRef v, const Spec& result, Location where) {
  if (same_spec(r.spec(v), result)) return v;
  if (!result.shape.is_static() || r.spec(v).dtype != result.dtype) return {};
  static const OpDef& expand = *find_op("Expand");
  const ValueRef inputs[] = {v, r.add_shape(result.shape, where)};
  const auto made = r.add(expand, AttributeDraft(*expand.attributes).box(), inputs, where);
  if (!made || !same_spec(r.spec({*made, 0}), result)) return {};
  return ValueRef{*made, 0};
}

// How many of the matched nodes go: the root, and those that only going ones use.
int dying_nodes(const Match& m) {
  std::vector<int32_t> dying;
  for (int32_t id : m.nodes) {  // users stand before what they use
    const bool by_dying = std::any_of(dying.begin(), dying.end(), [&](int32_t user) {
      const auto& inputs = m.rebuild.node(user).inputs;
      return std::any_of(inputs.begin(), inputs.end(), [&](ValueRef v) { return v.node == id; });
    });
    if (id == m.root || (m.rebuild.uses(id) == 1 && by_dying)) dying.push_back(id);
  }
  return static_cast<int>(dying.size());
}

bool apply_rule(const Rule& rule, Rebuild& r, int32_t id, bool fast_math) {
  Match m{r, id, {}, {}, {}, {}};
  if (!matches(rule.from, {id, 0}, m)) return false;
  if (!m.bound[0] || !((fast_math ? rule.fast : rule.exact) & type_bit(m.spec(0).dtype))) return false;
  if (rule.guard && !rule.guard(m)) return false;
  if (rule.single_use && dying_nodes(m) < static_cast<int>(m.nodes.size())) return false;
  const Spec result = r.node(id).outputs[0];
  if (!may_drop_unused(rule, m, result.shape)) return false;
  const Location where = r.node(id).where;
  const auto mark = static_cast<int32_t>(r.graph().nodes.size());
  const int64_t first_fresh = r.graph().next_symbol;
  Emitter emitter(m, where);
  auto v = emitter.emit(rule.to, result.dtype);
  if (v && emitter.made() <= dying_nodes(m) + rule.growth) {
    if (rule.to.kind == Term::Kind::op) {
      if (may_equal(r.spec(*v), result, first_fresh))
        r.set_spec(*v, result);
      else
        v = {};
    } else {
      v = in_shape(r, *v, result, where);
    }
  } else {
    v = {};
  }
  if (!v) {
    r.forget(mark);
    return false;
  }
  r.replace(0, *v);
  return true;
}

bool known_ops(const Term& t) {
  return t.kind != Term::Kind::op || (t.op && std::all_of(t.inputs.begin(), t.inputs.end(), known_ops));
}

}  // namespace

bool Match::number(int i, double& value) const {
  const Tensor element = uniform(rebuild.graph().constant(values[static_cast<size_t>(i)]));
  if (!element.defined()) return false;
  static const OpDef& cast = *find_op("Cast");
  AttributeDraft attributes(*cast.attributes);
  attributes.set("to", DType::f64);
  value = evaluate_tensors(cast, attributes.get(), {&element, 1}, {})[0].item<double>();
  return true;
}

bool apply_rules(Rebuild& rebuild, int32_t id, bool fast_math) {
  static const auto by_op = [] {
    std::unordered_map<const OpDef*, std::vector<const Rule*>> index;
    for (const Rule& rule : all_rules())
      if (known_ops(rule.from) && known_ops(rule.to)) index[rule.from.op].push_back(&rule);
    return index;
  }();
  const auto found = by_op.find(rebuild.node(id).op);
  if (found == by_op.end() || !is_pure(rebuild.node(id))) return false;
  return std::any_of(found->second.begin(), found->second.end(),
                     [&](const Rule* rule) { return apply_rule(*rule, rebuild, id, fast_math); });
}

}  // namespace tandem
