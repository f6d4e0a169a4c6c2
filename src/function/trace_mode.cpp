#include "function/trace_mode.h"

#include <algorithm>
#include <atomic>

#include "ops/variable_impl.h"
#include "tandem/name_scope.h"
#include "tandem/ops/shape.h"

namespace tandem {

using detail::TensorImpl;

namespace {

// Values this small are worth knowing while tracing: they decide shapes.
constexpr int64_t largest_known = 64;

bool has_symbol(const Tensor& t) {
  if (t.dtype() != DType::i64) return false;
  const Tensor list = t.contiguous();
  for (int64_t i = 0; i < list.size(); ++i)
    if (is_symbol(list.data<int64_t>()[i])) return true;
  return false;
}

}  // namespace

TraceMode::TraceMode() {
  static std::atomic<uint64_t> serials{1};
  serial_ = serials++;
}

Tensor TraceMode::new_tensor(ValueRef value) {
  const auto id = static_cast<int32_t>(values_.size());
  values_.push_back(value);
  ids_[value] = id;
  const Node& n = graph.node(value.node);
  return Tensor::adopt(
      detail::make_symbolic(graph.spec(value), this, serial_, id, graph.name_of(value), n.where));
}

Tensor TraceMode::tensor_of(ValueRef value) {
  const auto found = ids_.find(value);
  if (found == ids_.end()) return new_tensor(value);
  return Tensor::adopt(detail::make_symbolic(graph.spec(value), this, serial_, found->second,
                                             graph.name_of(value), graph.node(value.node).where));
}

void TraceMode::add_graph(const Graph& other, const std::string& prefix) {
  std::map<int64_t, int64_t> sizes;
  std::map<ValueRef, ValueRef> here;
  for (size_t i = 0; i < other.nodes.size(); ++i) {
    const Node& n = other.nodes[i];
    SmallVector<Spec, 4> specs;
    for (Spec s : n.outputs) {
      for (int64_t& d : s.shape)
        if (is_symbol(d)) d = sizes.try_emplace(d, sizes.contains(d) ? d : fresh_symbol()).first->second;
      specs.push_back(s);
    }
    int32_t id = 0;
    if (n.op->has(is_input)) {
      id = graph.add_input(prefix + n.name, specs[0]).node;
    } else {
      SmallVector<ValueRef, 4> inputs;
      for (ValueRef v : n.inputs) inputs.push_back(v.present() ? here.at(v) : v);
      id = graph.add(*n.op, n.attributes, inputs, specs, n.where, prefix + n.name);
    }
    for (int k = 0; k < n.outputs.size(); ++k) {
      here[{static_cast<int32_t>(i), k}] = {id, k};
      note_symbols({id, k});
      new_tensor({id, k});  // gives the value its number
    }
  }
}

void TraceMode::note_symbols(ValueRef value) {
  const Shape& shape = graph.spec(value).shape;
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] < 0) symbols_.try_emplace(shape[i], Symbol{value, i});
}

Tensor TraceMode::add_input(std::string_view name, const Spec& spec, const Tensor& known) {
  const ValueRef v = graph.add_input(name, spec);
  note_symbols(v);
  Tensor t = new_tensor(v);
  if (known.defined()) known_[ids_[v]] = known;
  return t;
}

ValueRef TraceMode::constant(const Tensor& value, Location where) {
  const ValueRef v = graph.add_constant(value.contiguous(), where);
  ids_[v] = static_cast<int32_t>(values_.size());
  values_.push_back(v);
  if (value.size() <= largest_known && !is_floating(value.dtype())) known_[ids_[v]] = value.contiguous();
  return v;
}

ValueRef TraceMode::value_of(const Tensor& tensor, Location where) {
  const TensorImpl* t = tensor.impl();
  if (t->kind == TensorImpl::Kind::symbolic && t->trace_serial == serial_)
    return values_[static_cast<size_t>(t->value_id)];
  const auto found = constants_.find(t);
  if (found != constants_.end()) return found->second;
  ValueRef v;
  if (t->kind == TensorImpl::Kind::symbolic) {
    if (!enclosing) fail_leaked(t);
    enclosing->value_of(tensor, where);  // throws when it belongs to no enclosing trace either
    v = graph.add_input(detail::symbolic_info(t).name, detail::coded_spec(tensor));
    note_symbols(v);
    ids_[v] = static_cast<int32_t>(values_.size());
    values_.push_back(v);
    captures.push_back(tensor);
    if (Tensor known = enclosing->known_value(t); known.defined()) known_[ids_[v]] = known;
  } else {
    v = constant(tensor, where);
  }
  constants_[t] = v;
  kept_.push_back(tensor);
  return v;
}

Tensor TraceMode::known_value(const TensorImpl* tensor) {
  if (tensor->kind != TensorImpl::Kind::symbolic) return Tensor::share(const_cast<TensorImpl*>(tensor));
  if (tensor->trace_serial != serial_) return enclosing ? enclosing->known_value(tensor) : Tensor();
  const auto found = known_.find(tensor->value_id);
  return found == known_.end() ? Tensor() : found->second;
}

bool TraceMode::knows_size(int64_t number) const {
  return is_symbol(number) && (symbols_.contains(number) || (enclosing && enclosing->knows_size(number)));
}

ValueRef TraceMode::list_value(const Operand& operand, Location where, Tensor& keep) {
  const int64_t* list = operand.list();
  const int n = operand.list_size();
  const auto is_size = [&](int64_t number) { return knows_size(number); };
  if (std::none_of(list, list + n, is_size)) {
    keep = detail::from_bytes(list, DType::i64, static_cast<size_t>(n), {n});
    return constant(keep, where);
  }
  std::vector<Tensor> parts;
  for (int i = 0; i < n; ++i) {
    if (!is_size(list[i])) {
      parts.push_back(Tensor({list[i]}, DType::i64));
      continue;
    }
    const auto origin = symbols_.find(list[i]);
    if (origin == symbols_.end()) {
      // A size of the enclosing trace: read there, and captured as a value.
      const ModeScope scope(enclosing);
      const Operand one({list[i]}, where);
      parts.push_back(enclosing->tensor_of(enclosing->list_value(one, where, keep)));
      continue;
    }
    const ModeScope scope(this);
    parts.push_back(shape_of(Operand(tensor_of(origin->second.value), where), origin->second.axis,
                             origin->second.axis + 1));
  }
  const ModeScope scope(this);
  keep = parts.size() == 1 ? parts[0] : concat(parts, 0, where);
  const ValueRef v = value_of(keep, where);
  // The entries are known as symbols, whatever the ops in between say.
  known_[ids_[v]] = detail::from_bytes(list, DType::i64, static_cast<size_t>(n), {n});
  return v;
}

void TraceMode::note_known(const OpDef& op, const void* attributes, std::span<const Argument> arguments,
                           int32_t node) {
  const Node& n = graph.node(node);
  if (!is_pure(n) || op.has(dynamic_shape) || n.outputs.size() != 1) return;
  const Spec& out = n.outputs[0];
  if (is_floating(out.dtype) || !out.shape.is_static() || out.shape.element_count() > largest_known) return;
  const ModeScope eager(nullptr);
  if (op.has(shape_only)) {
    // Evaluated on a view that has the shape and no elements.
    const Shape& shape = arguments[0].tensor ? arguments[0].tensor->shape : Shape();
    Tensor value = detail::empty_tensor(out.dtype, out.shape);
    const kernel::View in{nullptr, arguments[0].dtype, shape, contiguous_strides(shape)};
    const kernel::View to{value.impl()->data, out.dtype, out.shape, contiguous_strides(out.shape)};
    if (!shape.is_static() && !op.has(keeps_symbols)) return;
    op.kernel({{&in, 1}, {&to, 1}}, attributes);
    known_[ids_[{node, 0}]] = value;
    return;
  }
  std::vector<Tensor> inputs;
  for (const Argument& a : arguments) {
    if (a.operand && a.operand->is_symbolic_number()) return;
    Tensor t = a.tensor ? known_value(a.tensor) : materialize(a);
    if (!t.defined() && a.present()) return;
    if (t.defined() &&
        (t.size() > largest_known || (has_symbol(t) && (op.traits & (moves_only | keeps_symbols)) == 0)))
      return;
    inputs.push_back(std::move(t));
  }
  std::vector<Operand> operands(inputs.begin(), inputs.end());
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  try {
    evaluate(op, attributes, list, n.where, outputs);
  } catch (const Error&) {
    return;  // it fails when it runs, not while tracing
  }
  known_[ids_[{node, 0}]] = outputs[0].contiguous();
}

void TraceMode::apply(const OpDef& op, const void* attributes, Operands operands, Location where,
                      Tensors& outputs) {
  try {
    SmallVector<Argument, 8> arguments;
    resolve(op, operands, arguments);
    SmallVector<ValueRef, 4> inputs;
    SmallVector<Tensor, 4> kept;
    for (Argument& a : arguments) {
      if (!a.present()) {
        inputs.push_back({});
        continue;
      }
      Tensor keep;
      if (a.tensor)
        inputs.push_back(value_of(Tensor::share(a.tensor), where));
      else if (a.operand->kind() == Operand::Kind::list)
        inputs.push_back(list_value(*a.operand, where, keep));
      else if (keep = materialize(a); keep.is_symbolic())
        inputs.push_back(value_of(keep, where));
      else
        inputs.push_back(constant(keep, where));
      kept.push_back(keep);
    }
    InferContext context(op, arguments, this);
    infer(context, attributes);
    const int32_t node = graph.add(
        op, AttributeBox(*op.attributes, attributes), inputs, context.outputs(), where,
        detail::NameLevel::any() ? detail::NameLevel::full_name(op.display_name(), detail::Named::operations)
                                 : std::string());
    for (int i = 0; i < graph.node(node).outputs.size(); ++i) {
      note_symbols({node, i});
      outputs.push_back(new_tensor({node, i}));
    }
    note_known(op, attributes, arguments, node);
  } catch (Error& e) {
    e.set_origin(op.display_name(), where);
    throw;
  }
}

std::shared_ptr<detail::VariableImpl> TraceMode::create_variable(
    const Tensor& initial, Location where,
    const std::function<std::shared_ptr<detail::VariableImpl>()>& make) {
  auto complain = [&](std::string message) {
    Error e(ErrorCode::invalid_argument, std::move(message));
    e.set_origin("variable", where);
    throw e;
  };
  if (!body_of.empty()) complain(fmt::format("a variable is made inside {}; make it outside, once", body_of));
  if (!may_create_variables)
    complain(
        "a variable is made again when the function is traced again; make it once, outside the function or "
        "only when "
        "it does not exist yet");
  if (initial.defined() && initial.is_symbolic())
    complain(
        fmt::format("the initial value {} is symbolic; pass a callable that computes it, as in "
                    "td::Variable([] {{ return td::zeros({{3}}); }})",
                    to_string(initial)));
  ++created_variables;
  auto impl = make();
  if (initial.defined()) impl->store(initial.contiguous());
  return impl;
}

int64_t TraceMode::pin(int64_t symbol, Location where) {
  for (int i = 0; i < pinnable_inputs; ++i) {
    const Shape& shape = graph.node(graph.inputs[static_cast<size_t>(i)]).outputs[0].shape;
    for (int axis = 0; axis < shape.rank(); ++axis)
      if (shape[axis] == symbol) throw PinRequest{i, axis, where};
  }
  if (enclosing) return enclosing->pin(symbol, where);
  Error e(
      ErrorCode::symbolic_value,
      "a size that is unknown while tracing was asked for as a number; pass the Dim itself to the operation");
  e.set_origin("dim", where);
  throw e;
}

}  // namespace tandem
