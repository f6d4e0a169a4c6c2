// Ops that only move elements: those that do nothing go, chains of them combine. Reshapes, transposes,
// broadcasts, casts, joins, and reductions of single elements, known by their traits.

#include <algorithm>
#include <cstring>

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"
#include "core/tensor_impl.h"
#include "kernel/nest.h"

namespace tandem::passes {

namespace {

using Inputs = SmallVector<ValueRef, 3>;

bool has_data_input(const Node& n) {
  return is_pure(n) && n.outputs.size() == 1 && !n.inputs.empty() && n.inputs[0].present();
}

// ---- probes: what a mover does, from what it does to numbered elements

/// Puts sizes for symbols: distinct, above one.
class ExampleSizes {
 public:
  int64_t size_of_symbol(int64_t d) {
    if (d >= 0) return d;
    const auto found = std::find(symbols_.begin(), symbols_.end(), d);
    if (found == symbols_.end() || !is_symbol(d)) {
      symbols_.push_back(d);
      return 1 + static_cast<int64_t>(symbols_.size());
    }
    return 2 + (found - symbols_.begin());
  }
  Shape operator()(Shape shape) {
    for (int64_t& d : shape) d = size_of_symbol(d);
    return shape;
  }
  Tensor operator()(const KnownValue& known) {
    if (!known.symbolic) return known.value;
    std::vector<int64_t> values = known.value.to_vector<int64_t>();
    for (int64_t& v : values)
      if (is_symbol(v)) v = size_of_symbol(v);
    return from_vector(std::move(values), known.value.shape().codes());
  }

 private:
  std::vector<int64_t> symbols_;
};

const InputDef& input_def(const OpDef& op, int i) {
  return op.inputs[std::min(static_cast<size_t>(i), op.inputs.size() - 1)];
}

// A tensor whose elements all differ, counted from `first`; undefined when the dtype has too few values.
Tensor numbered(DType dtype, const Shape& shape, uint64_t first) {
  const int64_t count = shape.element_count();
  const size_t size = size_of(dtype);
  if (dtype == DType::boolean ||
      (size < 8 && first + static_cast<uint64_t>(count) > uint64_t{1} << (8 * size)))
    return {};
  Tensor t = detail::empty_tensor(dtype, shape);
  auto* to = static_cast<std::byte*>(t.impl()->data);
  for (int64_t i = 0; i < count; ++i, to += size) {
    const uint64_t number = first + static_cast<uint64_t>(i);
    std::memcpy(to, &number, size);
  }
  return t;
}

// Larger probes would cost more than the op they save.
constexpr int64_t largest_probe = 4096;

// Whether a mover whose result has its input's shape gives each element back in its place.
bool leaves_all_in_place(Rebuild& r, const Node& n) {
  ExampleSizes sizes;
  std::vector<StandIn> inputs;
  uint64_t next = 0;
  for (int i = 0; i < n.inputs.size(); ++i) {
    const ValueRef v = n.inputs[i];
    if (!v.present()) {
      inputs.push_back({{}, {}, false});
      continue;
    }
    StandIn in{r.spec(v), {}};
    in.spec.shape = sizes(in.spec.shape);
    const InputDef& def = input_def(*n.op, i);
    if (def.group != n.op->inputs[0].group) {
      in.value = r.graph().constant(v);
      if (!in.value.defined()) in.value = sizes(r.known(v));
      // Where elements go may depend on the values of parameters and indices, in a view on parameters only.
      if (!in.value.defined() && (!n.op->view || (def.flags & InputDef::parameter))) return false;
    } else if (!n.op->view) {
      const int64_t count = in.spec.shape.element_count();
      if (count > largest_probe) return false;
      in.value = numbered(in.spec.dtype, in.spec.shape, next);
      if (!in.value.defined()) return false;
      next += static_cast<uint64_t>(count);
    }
    inputs.push_back(std::move(in));
  }
  const Shape shape = sizes(n.outputs[0].shape);
  bool in_place = false;
  if (n.op->view) {
    infer_stand_ins(*n.op, n.attributes.get(), inputs, nullptr, [&](InferContext& context) {
      ViewResult result;
      const kernel::View from{nullptr, inputs[0].spec.dtype, shape, contiguous_strides(shape)};
      in_place = context.outputs()[0].shape == shape &&
                 n.op->view(context, n.attributes.get(), from, shape, result) && result.offset == 0 &&
                 detail::strides_are_contiguous(shape, result.strides);
    });
    return in_place;
  }
  std::vector<Tensor> values;
  for (const StandIn& in : inputs) values.push_back(in.value);
  const Tensor result = evaluate_tensors(*n.op, n.attributes.get(), values, n.where)[0].contiguous();
  const size_t bytes = static_cast<size_t>(values[0].size()) * size_of(values[0].dtype());
  return result.shape() == shape && std::memcmp(result.impl()->data, values[0].impl()->data, bytes) == 0;
}

bool does_nothing(Rebuild& r, const Node& n) {
  if (!same_spec(n.outputs[0], r.spec(n.inputs[0]))) return false;
  if (n.op->traits & (keeps_order | broadcasts | converts | keeps_single)) return true;
  if (!n.op->has(moves_only)) return false;
  try {
    return leaves_all_in_place(r, n);
  } catch (const Error&) {
    return false;  // it fails when it runs
  }
}

// ---- replacements

// `x` under another shape, which certainly has as many elements; none when the shape cannot be written down.
std::optional<ValueRef> reshape_to(Rebuild& r, ValueRef x, const Spec& result, Location where) {
  if (same_spec(r.spec(x), result)) return x;
  Shape shape = result.shape;
  int unknown = 0;
  bool empty = false;
  for (int64_t& d : shape) {
    empty = empty || d == 0;
    if (d >= 0) continue;
    d = -1;
    ++unknown;
  }
  if (unknown > 1 || (unknown == 1 && empty)) return {};
  static const OpDef& reshape = *find_op("Reshape");
  AttributeDraft attributes(*reshape.attributes);
  attributes.set("allowzero", int64_t{1});
  const auto mark = static_cast<int32_t>(r.graph().nodes.size());
  const ValueRef inputs[] = {x, r.add_shape(shape, where)};
  const auto made = r.add(reshape, attributes.box(), inputs, where);
  if (!made) {
    r.forget(mark);
    return {};
  }
  r.set_spec({*made, 0}, result);
  return ValueRef{*made, 0};
}

// The node that made input 0, when it has the trait.
const Node* maker(const Rebuild& r, const Node& n, Trait trait) {
  const Node& from = r.node(n.inputs[0].node);
  return from.op->has(trait) && has_data_input(from) ? &from : nullptr;
}

// Gives the node the input of its own input's maker, when inference says that nothing else changes.
bool skip_maker(Rebuild& r, const Node& n, const Node& from) {
  Inputs inputs = n.inputs;
  inputs[0] = from.inputs[0];
  try {
    const auto specs = r.inference().infer(*n.op, n.attributes.get(), inputs);
    if (!same_spec(specs[0], n.outputs[0])) return false;
  } catch (const Error&) {
    return false;
  }
  r.set_input(0, inputs[0]);
  return true;
}

void combine_reshapes(Rebuild& r, const Node& n) {
  const Node* from = maker(r, n, keeps_order);
  // The first must certainly succeed: its failure may not get lost.
  if (!from || !same_count(r.spec(from->inputs[0]).shape, from->outputs[0].shape)) return;
  const ValueRef x = from->inputs[0];
  if (!same_spec(r.spec(x), n.outputs[0]) && skip_maker(r, n, *from)) return;
  const Spec result = n.outputs[0];
  if (!same_count(r.spec(x).shape, result.shape)) return;
  if (const auto y = reshape_to(r, x, result, Location(n.where))) r.replace(0, *y);
}

void combine_transposes(Rebuild& r, const Node& n) {
  const Spec result = n.outputs[0];
  const Location where = n.where;
  std::vector<int> order = permutation(n, r.spec(n.inputs[0]));
  ValueRef x = n.inputs[0];
  bool combined = false;
  if (const Node* from = maker(r, n, permutes)) {
    const std::vector<int> first = permutation(*from, r.spec(from->inputs[0]));
    for (int& d : order) d = first[static_cast<size_t>(d)];
    x = from->inputs[0];
    combined = true;
  }
  // Dimensions of size 1 may stand anywhere.
  std::vector<int> others;
  for (int d : order)
    if (r.spec(x).shape[d] != 1) others.push_back(d);
  if (std::is_sorted(others.begin(), others.end()))
    if (const auto y = reshape_to(r, x, result, where)) return r.replace(0, *y);
  if (!combined) return;
  static const OpDef& transpose = *find_op("Transpose");
  AttributeDraft attributes(*transpose.attributes);
  attributes.set("perm", std::vector<int64_t>(order.begin(), order.end()));
  if (const auto made = r.add(transpose, attributes.box(), {&x, 1}, where)) {
    r.set_spec({*made, 0}, result);
    r.replace(0, {*made, 0});
  }
}

void combine_broadcasts(Rebuild& r, const Node& n) {
  const Node* from = maker(r, n, broadcasts);
  if (from && broadcasts_to(r.spec(from->inputs[0]).shape, from->outputs[0].shape)) skip_maker(r, n, *from);
}

// ---- casts

int significant_bits(DType d) {
  constexpr int bits[dtype_count] = {1, 8, 7, 16, 15, 32, 31, 64, 63, 11, 8, 24, 53};
  return bits[static_cast<int>(d)];
}

// True when every value of `from`, NaN and infinities too, is a value of `to`.
bool holds_all(DType to, DType from) {
  if (to == from) return true;
  if (to == DType::boolean) return false;
  if (is_floating(to)) {
    // f16's range is too small for 16 bits; bf16 has f32's range and f16 a range of its own.
    if (from == DType::f16) return to == DType::f32 || to == DType::f64;
    if (from == DType::bf16) return to == DType::f32 || to == DType::f64;
    return significant_bits(to) >= significant_bits(from) &&
           (!is_floating(from) || size_of(to) >= size_of(from));
  }
  if (is_floating(from)) return false;
  return significant_bits(to) >= significant_bits(from) && (is_signed(to) || !is_signed(from));
}

void combine_casts(Rebuild& r, const Node& n) {
  const Node* from = maker(r, n, converts);
  if (!from) return;
  const DType first = r.spec(from->inputs[0]).dtype, middle = from->outputs[0].dtype,
              last = n.outputs[0].dtype;
  if (!holds_all(middle, first)) return;
  // What a floating value out of an integer's range becomes is nobody's promise.
  if (last != first && is_floating(middle) && is_integer(last)) return;
  const ValueRef x = from->inputs[0];
  if (last == first)
    r.replace(0, x);
  else
    r.set_input(0, x);
}

// ---- joins

// f(f(a, b), c) -> f(a, b, c), f(x) -> x, and runs of constants joined.
void flatten(Rebuild& r, const Node& n) {
  constexpr int most_terms = 16;  // of an element-wise op: more would not stay in registers
  const Spec result = n.outputs[0];
  if (n.inputs.size() == 1) {
    if (same_spec(result, r.spec(n.inputs[0]))) r.replace(0, n.inputs[0]);
    return;
  }
  Inputs inputs;
  bool changed = false;
  int terms = n.inputs.size();
  for (ValueRef v : n.inputs) {
    const Node& from = r.node(v.node);
    const bool same =
        from.op == n.op && r.uses(v.node) == 1 &&
        (n.op->attributes->empty || n.op->attributes->equal(from.attributes.get(), n.attributes.get()));
    if (!same || (n.op->is_elementwise() && terms + from.inputs.size() - 1 > most_terms)) {
      inputs.push_back(v);
      continue;
    }
    terms += from.inputs.size() - 1;
    for (ValueRef inner : from.inputs) inputs.push_back(inner);
    changed = true;
  }
  const AttributeBox attributes = n.attributes;
  const OpDef& op = *n.op;
  const Location where = n.where;
  const auto mark = static_cast<int32_t>(r.graph().nodes.size());
  Inputs joined;
  for (int i = 0; i < inputs.size();) {
    std::vector<Tensor> run;
    int64_t given = 0;
    int end = i;
    for (; end < inputs.size() && r.graph().constant(inputs[end]).defined(); ++end) {
      run.push_back(r.graph().constant(inputs[end]));
      given += run.back().size();
    }
    Tensor value;
    if (run.size() > 1 && static_cast<int>(run.size()) < inputs.size()) {
      try {
        value = evaluate_tensors(op, attributes.get(), run, where)[0].contiguous();
      } catch (const Error&) {
        value = Tensor();  // it fails when it runs
      }
    }
    if (value.defined() && value.size() <= given) {
      joined.push_back(r.add_constant(value, where));
      i = end;
      changed = true;
    } else {
      joined.push_back(inputs[i++]);
    }
  }
  if (!changed) return;
  const auto made = r.add(op, attributes, joined, where);
  if (!made) return r.forget(mark);
  r.set_spec({*made, 0}, result);
  r.replace(0, {*made, 0});
}

void simplify_at(Rebuild& r, int32_t id) {
  const Node& n = r.node(id);
  if (!has_data_input(n)) return;
  if (does_nothing(r, n)) return r.replace(0, n.inputs[0]);
  if (n.op->has(keeps_order)) return combine_reshapes(r, n);
  if (n.op->has(permutes)) return combine_transposes(r, n);
  if (n.op->has(broadcasts)) return combine_broadcasts(r, n);
  if (n.op->has(converts)) return combine_casts(r, n);
  if (n.op->has(associative)) return flatten(r, n);
  if (n.op->has(keeps_single) && same_count(r.spec(n.inputs[0]).shape, n.outputs[0].shape))
    if (const auto y = reshape_to(r, n.inputs[0], Spec(n.outputs[0]), Location(n.where))) r.replace(0, *y);
}

}  // namespace

bool simplify_moves(Graph& graph) { return rebuild_until_stable(graph, simplify_at); }

}  // namespace tandem::passes
