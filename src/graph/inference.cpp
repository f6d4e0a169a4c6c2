#include "graph/inference.h"

#include <algorithm>

#include "ops/dispatch.h"

namespace tandem {

using detail::TensorImpl;

bool same_shape(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank()) return false;
  for (int i = 0; i < a.rank(); ++i)
    if (!same_size(a[i], b[i])) return false;
  return true;
}

bool same_count(const Shape& a, const Shape& b) {
  // Products of symbols and a number; equal when their factors are.
  SmallVector<int64_t, max_rank> symbols;
  int64_t factor_a = 1, factor_b = 1;
  bool zero_a = false, zero_b = false;
  for (int64_t d : a) {
    if (d == 0) zero_a = true;
    if (d > 0) factor_a *= d;
    if (d < 0 && !is_symbol(d)) return false;
    if (d < 0) symbols.push_back(d);
  }
  bool paired = true;
  for (int64_t d : b) {
    if (d == 0) zero_b = true;
    if (d > 0) factor_b *= d;
    if (d >= 0) continue;
    int64_t* found = std::find(symbols.begin(), symbols.end(), d);
    if (found == symbols.end()) {
      paired = false;
      continue;
    }
    *found = symbols.back();
    symbols.pop_back();
  }
  if (zero_a || zero_b) return zero_a && zero_b;
  return paired && symbols.empty() && factor_a == factor_b;
}

bool broadcasts_to(const Shape& part, const Shape& whole) {
  const int lead = whole.rank() - part.rank();
  if (lead < 0) return false;
  for (int i = 0; i < part.rank(); ++i)
    if (part[i] != 1 && !same_size(part[i], whole[lead + i])) return false;
  return true;
}

namespace {

// Values this small are worth knowing: they decide shapes.
constexpr int64_t largest_known = 64;
// A longer chain of unasked values counts as unknown: text from anywhere must not exhaust the stack.
constexpr int deepest_chain = 500;

bool has_symbol(const Tensor& t) {
  if (t.dtype() != DType::i64) return false;
  const auto values = t.span<int64_t>();
  return std::any_of(values.begin(), values.end(), is_symbol);
}

}  // namespace

Tensors evaluate_tensors(const OpDef& op, const void* attributes, std::span<const Tensor> inputs,
                         Location where) {
  std::vector<Operand> operands;
  operands.reserve(inputs.size());
  for (const Tensor& t : inputs) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  evaluate(op, attributes, list, where, outputs);
  return outputs;
}

const KnownValue& GraphInference::known(ValueRef v) {
  const auto found = known_.find(v);
  if (found != known_.end()) return found->second;
  ++depth_;
  KnownValue value = depth_ > deepest_chain ? KnownValue() : compute(v);
  --depth_;
  return known_[v] = std::move(value);
}

KnownValue GraphInference::compute(ValueRef v) {
  if (!v.present()) return {};
  const Node& n = graph_.node(v.node);
  const Spec& out = n.outputs[v.output];
  if (is_floating(out.dtype) || !out.shape.is_static() || out.shape.element_count() > largest_known)
    return {};
  if (n.op->has(is_constant)) return {graph_.constant(v).contiguous(), false};
  if (!is_pure(n) || n.op->has(dynamic_shape) || n.outputs.size() != 1) return {};
  if (n.op->has(shape_only)) {
    // Evaluated on a view that has the input's shape and no elements.
    const Spec& in = graph_.spec(n.inputs[0]);
    const bool symbolic = !in.shape.is_static();
    if (symbolic && !n.op->has(keeps_symbols)) return {};
    const Tensor value = detail::empty_tensor(out.dtype, out.shape);
    const kernel::View from{nullptr, in.dtype, in.shape, contiguous_strides(in.shape)};
    const kernel::View to{value.impl()->data, out.dtype, out.shape, contiguous_strides(out.shape)};
    n.op->kernel({{&from, 1}, {&to, 1}}, n.attributes.get());
    // -1 among the sizes is no symbol, only unknown.
    for (int64_t d : in.shape)
      if (d < 0 && !is_symbol(d)) return {};
    return {value, symbolic && has_symbol(value)};
  }
  std::vector<Tensor> inputs;
  bool symbolic = false;
  for (int i = 0; i < n.inputs.size(); ++i) {
    if (!n.inputs[i].present()) {
      inputs.emplace_back();
      continue;
    }
    const KnownValue& k = known(n.inputs[i]);
    if (!k.value.defined()) return {};
    // Moving entries, symbols too, needs no arithmetic; parameters say where to and must be numbers.
    const InputDef& def = n.op->inputs[std::min(static_cast<size_t>(i), n.op->inputs.size() - 1)];
    const bool moved = n.op->has(moves_only) && def.group == n.op->inputs[0].group;
    if (k.symbolic && !moved) return {};
    symbolic = symbolic || k.symbolic;
    inputs.push_back(k.value);
  }
  try {
    Tensors outputs = evaluate_tensors(*n.op, n.attributes.get(), inputs, n.where);
    Tensor value = outputs[v.output].contiguous();
    symbolic = symbolic && has_symbol(value);
    return {std::move(value), symbolic};
  } catch (const Error&) {
    return {};  // it fails when it runs, not before
  }
}

void infer_stand_ins(const OpDef& op, const void* attributes, std::span<const StandIn> inputs,
                     KnownValues* known, const std::function<void(InferContext&)>& use) {
  // Headers without elements, which live as long as this call.
  const size_t count = inputs.size();
  const std::unique_ptr<TensorImpl[]> headers(new TensorImpl[count]);
  std::vector<Operand> operands;
  operands.reserve(count);
  std::vector<const Operand*> list;
  for (size_t i = 0; i < count; ++i) {
    const StandIn& in = inputs[i];
    if (!in.present) {
      operands.emplace_back();
    } else if (in.value.defined()) {
      operands.emplace_back(in.value);
    } else {
      TensorImpl& h = headers[i];
      h.kind = TensorImpl::Kind::symbolic;
      h.dtype = in.spec.dtype;
      h.device = in.spec.device;
      h.shape = in.spec.shape;
      h.strides = contiguous_strides(in.spec.shape);
      h.count = -1;
      h.value_id = static_cast<int32_t>(i);
      operands.emplace_back(Tensor::share(&h));
    }
  }
  for (const Operand& o : operands) list.push_back(&o);
  SmallVector<Argument, 8> arguments;
  resolve(op, list, arguments);
  InferContext context(op, arguments, known);
  tandem::infer(context, attributes);
  use(context);
}

namespace {

class Answers : public KnownValues {
 public:
  Answers(GraphInference& inference, Graph& graph, std::span<const ValueRef> inputs)
      : inference_(inference), graph_(graph), inputs_(inputs) {}
  Tensor known_value(const TensorImpl* tensor) override {
    return inference_.known(inputs_[static_cast<size_t>(tensor->value_id)]).value;
  }
  int64_t fresh_symbol() override { return graph_.fresh_symbol(); }

 private:
  GraphInference& inference_;
  Graph& graph_;
  std::span<const ValueRef> inputs_;
};

}  // namespace

SmallVector<Spec, 1> GraphInference::infer(const OpDef& op, const void* attributes,
                                           std::span<const ValueRef> inputs) {
  std::vector<StandIn> stand_ins;
  for (ValueRef v : inputs)
    stand_ins.push_back(v.present() ? StandIn{graph_.spec(v), graph_.constant(v)} : StandIn{{}, {}, false});
  Answers answers(*this, graph_, inputs);
  SmallVector<Spec, 1> specs;
  infer_stand_ins(op, attributes, stand_ins, &answers, [&](InferContext& context) {
    for (const Spec& s : context.outputs()) specs.push_back(s);
  });
  return specs;
}

}  // namespace tandem
