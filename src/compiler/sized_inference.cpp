#include "compiler/sized_inference.h"

namespace tandem {

using detail::TensorImpl;
using kernel::View;

namespace {
constexpr int64_t largest_known = 64;
}

SizedInference::SizedInference(const Graph& graph) : graph_(graph) {
  int32_t values = 0;
  for (const Node& n : graph.nodes) {
    first_value_.push_back(values);
    values += n.outputs.size();
  }
  values_.resize(static_cast<size_t>(values));
  known_.resize(static_cast<size_t>(values));
}

void SizedInference::set(ValueRef v, const Spec& spec) {
  const Node& n = graph_.node(v.node);
  const Shape& recorded = n.outputs[v.output].shape;
  for (int d = 0; d < spec.shape.rank() && d < recorded.rank(); ++d)
    if (is_symbol(recorded[d])) sizes_.emplace(recorded[d], spec.shape[d]);
  values_[index(v)] =
      Tensor::adopt(detail::make_symbolic(spec, this, 0, static_cast<int32_t>(index(v)), n.name, n.where));
}

void SizedInference::give(ValueRef v, const Spec& spec, const Tensor& known) {
  set(v, spec);
  known_[index(v)] = known;
}

const Tensor& SizedInference::value(ValueRef v) const { return values_[index(v)]; }

Tensor SizedInference::operand(ValueRef v) const {
  if (!v.present()) return {};
  return known(v).defined() ? known(v) : value(v);
}

Tensor SizedInference::known_value(const TensorImpl* tensor) {
  if (tensor->kind != TensorImpl::Kind::symbolic) return Tensor::share(const_cast<TensorImpl*>(tensor));
  return known_[static_cast<size_t>(tensor->value_id)];
}

// The results of branches, loops and calls are noted with the sizes of the trace around them.
void SizedInference::resolve_symbols(SmallVector<Spec, 1>& specs) const {
  for (Spec& s : specs)
    for (int64_t& d : s.shape) {
      const auto found = sizes_.find(d);
      if (found != sizes_.end()) d = found->second;
    }
}

void SizedInference::infer(int32_t id) {
  const Node& n = graph_.node(id);
  // A variable of unknown size may have another one at each run.
  const bool any_size = n.op->has(reads_variable) && !n.outputs[0].shape.is_static();
  if (n.op->has(dynamic_shape) || any_size) throw DynamicShape();
  std::vector<Operand> operands;
  operands.reserve(static_cast<size_t>(n.inputs.size()));
  for (ValueRef v : n.inputs) operands.emplace_back(operand(v), n.where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  SmallVector<Spec, 1> specs;
  try {
    SmallVector<Argument, 8> arguments;
    resolve(*n.op, list, arguments);
    InferContext context(*n.op, arguments, this);
    tandem::infer(context, n.attributes.get());
    for (const Spec& s : context.outputs()) specs.push_back(s);
  } catch (Error& e) {
    e.set_origin(n.op->display_name(), n.where);
    add_calls(e, n.calls);
    throw;
  }
  if (n.op->has(has_bodies)) resolve_symbols(specs);
  for (const Spec& s : specs)
    if (!s.shape.is_static()) throw DynamicShape();
  for (int k = 0; k < specs.size(); ++k) set({id, k}, specs[k]);
  if (specs.size() == 1) known_[index({id, 0})] = fold(n, list, specs[0]);
}

Tensor SizedInference::fold(const Node& n, std::span<const Operand* const> list, const Spec& output) {
  if (n.op->has(is_constant)) return n.attributes.as<ConstantAttributes>().value;
  if (!is_pure(n) || is_floating(output.dtype) || output.shape.element_count() > largest_known) return {};
  if (n.op->has(shape_only)) {
    // Evaluated on a view that has the input's shape and no elements.
    const TensorImpl& in = *list[0]->tensor_impl();
    Tensor value = detail::empty_tensor(output.dtype, output.shape);
    const View from{nullptr, in.dtype, in.shape, contiguous_strides(in.shape)};
    const View to{value.impl()->data, output.dtype, output.shape, value.impl()->strides};
    n.op->kernel({{&from, 1}, {&to, 1}}, n.attributes.get());
    return value;
  }
  for (const Operand* o : list)
    if (o->is_tensor() && o->tensor_impl()->kind == TensorImpl::Kind::symbolic) return {};
  Tensors outputs;
  try {
    evaluate(*n.op, n.attributes.get(), list, n.where, outputs);
  } catch (const Error&) {
    return {};  // it fails when it runs
  }
  return outputs[0].contiguous();
}

}  // namespace tandem
