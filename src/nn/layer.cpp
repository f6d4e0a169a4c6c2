#include "tandem/nn/layer.h"

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "function/function_core.h"
#include "function/trace_mode.h"
#include "nn/autocast.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "nn/probe.h"
#include "nn/value.h"
#include "tandem/name_scope.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

// Of the trace context, so that a function called in training has traces of its own.
constexpr uint32_t training_bit = 1, training_is_said = 2;

// The MaskScope that is open on this thread, and how many calls of layers are going on.
thread_local MaskScope* current_masks = nullptr;
thread_local int call_depth = 0;

constexpr std::string_view context_begin = "in layer ";

// Says which layer of which model failed, unless a layer inside has.
void name_layer(Error& error, const detail::ModuleState& state, Location where) {
  error.set_origin(detail::snake_case(state.class_name()), detail::call_line(where));
  for (const std::string& line : error.context())
    if (line.starts_with(context_begin)) return;
  if (const std::string path = state.path(); path != error.op())
    error.add_context(std::string(context_begin) + path);
}

bool is_same(Location a, Location b) { return a.line == b.line && std::string_view(a.file) == b.file; }

// The call of a model by the user, not by its own training.
void name_outermost_call(Error& error, const detail::ModuleState& state, Location where) {
  if (call_depth == 1 && !is_same(where, state.where))
    detail::add_user_call(error, state.display_name(), where);
}

struct CallDepth {
  explicit CallDepth(const detail::ModuleState& state) {
    if (call_depth == 0 && !detail::current_probe) detail::forget_losses(state);
    ++call_depth;
  }
  ~CallDepth() { --call_depth; }
  CallDepth(const CallDepth&) = delete;
  CallDepth& operator=(const CallDepth&) = delete;
};

// A mask that one call is given for its input; others that use the tensor see what they saw.
class GivenMask {
 public:
  GivenMask(const Tensor& x, const Tensor& mask) {
    if (!mask.defined()) return;
    x_ = x;
    before_ = mask_of(x);
    set_mask(x, mask);
  }
  ~GivenMask() {
    if (x_.defined()) set_mask(x_, before_);
  }
  GivenMask(const GivenMask&) = delete;
  GivenMask& operator=(const GivenMask&) = delete;

 private:
  Tensor x_, before_;
};

// The dtype of floating inputs and parameters that a policy asks for.
std::optional<DType> cast_dtype(const detail::LayerBody& body, const detail::ModuleState& state) {
  const uint16_t code = state.policy.load(std::memory_order_relaxed);
  if (code == 0 || !body.autocasts()) return {};
  return DTypePolicy::from_code(code)->compute_dtype();
}

// The input as the layer computes; its mask goes with it.
Tensor converted(const detail::LayerBody& body, const detail::ModuleState& state, const Tensor& x) {
  const std::optional<DType> dtype = cast_dtype(body, state);
  if (!dtype || !x.defined() || !is_floating(x.dtype()) || x.dtype() == *dtype) return x;
  Tensor y = cast(x, *dtype);
  if (const Tensor mask = mask_of(x); mask.defined()) set_mask(y, mask);
  return y;
}

// Calls the body as `f` says, with what surrounds each call of a layer.
template <class F>
auto call_layer(const Layer& layer, const Tensor* first, const CallOptions& options, Location where,
                const F& f) {
  detail::ModuleState& state = *layer.state();
  detail::LayerBody& body = *layer.body();
  const CallDepth depth(state);
  const MaskScope masks;
  std::optional<bool> training = options.training;
  if (!training && (tandem::detail::trace_context & training_is_said) == 0 && body.trains_by_default())
    training = true;
  const TrainingScope scope(training);
  std::optional<CallSite> site;
  if (!body.is_composite()) site.emplace(where);
  std::optional<detail::AutocastScope> autocast;
  if (const std::optional<DType> dtype = cast_dtype(body, state); dtype || detail::AutocastScope::any())
    autocast.emplace(dtype);
  // In graphs, operations are named after their layers.
  std::string scope_name;
  std::optional<tandem::detail::NameLevel> level;
  if (const tandem::Mode* mode = current_mode(); mode && mode->is_tracing())
    level.emplace(scope_name = state.display_name(), tandem::detail::Named::operations);
  try {
    const GivenMask given(first ? *first : Tensor(), first ? options.mask : Tensor());
    return f(body, state);
  } catch (Error& e) {
    name_layer(e, state, where);
    name_outermost_call(e, state, where);
    throw;
  }
}

// What follows the call of a body, for each result.
void finish(const detail::LayerBody& body, detail::ModuleState& state, const Tensor* first, Tensor& y) {
  if (!y.defined()) return;
  if (detail::current_probe) detail::current_probe->see(state, body, y);
  if (state.activity_regularizer) {
    const Tensor penalty = state.activity_regularizer(y);
    const Tensor batch = y.rank() == 0 ? Tensor(1) : reshape(shape_of(y, 0, 1), Dims{});
    detail::record_loss(state, penalty / cast(maximum(batch, 1), penalty.dtype()), false, state.where);
  }
  if (!first) return;
  const Tensor mask = mask_of(*first);
  if (!mask.defined()) return;
  if (body.passes_mask()) {
    if (!mask_of(y).defined()) set_mask(y, mask);
  } else if (y.impl() == first->impl() && !body.is_composite()) {
    y = identity(y);  // the input itself, but without its mask
  }
}

Tensor call_one(const Layer& layer, const Tensor& x, const CallOptions& options, Location where) {
  return call_layer(layer, &x, options, where, [&](detail::LayerBody& body, detail::ModuleState& state) {
    TD_CHECK(x.defined(), "the input is an empty tensor handle");
    const Tensor input = converted(body, state, x);
    Tensor y = body.call(state, input);
    finish(body, state, &input, y);
    if (y.defined() && !state.has_output_shape.load(std::memory_order_acquire))
      state.note_call(tandem::detail::coded_spec(x), false, y.shape().codes());
    return y;
  });
}

std::vector<Tensor> call_many(const Layer& layer, const std::vector<Tensor>& inputs,
                              const CallOptions& options, Location where) {
  const Tensor* first = inputs.empty() ? nullptr : inputs.data();
  return call_layer(layer, first, options, where, [&](detail::LayerBody& body, detail::ModuleState& state) {
    for (size_t i = 0; i < inputs.size(); ++i)
      TD_CHECK(inputs[i].defined(), "input {} is an empty tensor handle", i);
    std::vector<Tensor> outputs;
    if (cast_dtype(body, state)) {
      std::vector<Tensor> list;
      for (const Tensor& x : inputs) list.push_back(converted(body, state, x));
      outputs = body.call_many(state, list);
    } else {
      outputs = body.call_many(state, inputs);
    }
    for (Tensor& y : outputs) finish(body, state, first, y);
    if (!outputs.empty() && outputs[0].defined() && !state.has_output_shape.load(std::memory_order_acquire))
      state.note_call(Nest(inputs).map([](const Tensor& t) { return tandem::detail::coded_spec(t); }), true,
                      outputs[0].shape().codes());
    return outputs;
  });
}

void note_nest(detail::ModuleState& state, const Nest& inputs, const Nest& outputs) {
  const std::vector<Tensor> given = inputs.flatten(), made = outputs.flatten();
  const auto defined = [](const Tensor& t) { return t.defined(); };
  if (made.empty() || !made[0].defined() || !std::all_of(given.begin(), given.end(), defined)) return;
  state.note_call(inputs.map([](const Tensor& t) { return tandem::detail::coded_spec(t); }), false,
                  made[0].shape().codes());
}

Nest call_nest(const Layer& layer, const Nest& inputs, const CallOptions& options, Location where) {
  const std::vector<Tensor> leaves = inputs.flatten();
  const Tensor* first = leaves.empty() ? nullptr : leaves.data();
  return call_layer(layer, first, options, where, [&](detail::LayerBody& body, detail::ModuleState& state) {
    const auto cast_leaf = [&](const Tensor& x) { return converted(body, state, x); };
    Nest outputs = body.call_nest(state, cast_dtype(body, state) ? inputs.map(cast_leaf) : inputs);
    outputs = outputs.map([&](Tensor y) {
      finish(body, state, first, y);
      return y;
    });
    if (!state.has_output_shape.load(std::memory_order_acquire)) note_nest(state, inputs, outputs);
    return outputs;
  });
}

// Describes a call: traces it to learn the outputs' specs (and to make the parameters), and forgets the
// trace. `form` gets that of the results.
Values describe_call(const Layer& layer, const Values& inputs, detail::CallForm form,
                     const CallOptions& options, Location where) {
  auto node = std::make_shared<detail::ValueNode>();
  node->layer = layer;
  node->form = form;
  node->arguments = inputs;
  node->options = options;
  node->where = where;
  TraceMode trace;
  trace.may_create_variables = true;
  // Unknown sizes that appear in one call must not look like those of another.
  static std::atomic<int64_t> next_symbols{4 * (symbol_base / 3)};
  trace.graph.next_symbol = next_symbols -= 4096;
  Nest tensors;
  try {
    tensors = inputs.map([&](const Value& v) { return trace.add_input(v.name(), detail::spec_of(v)); });
  } catch (Error& e) {
    name_layer(e, *layer.state(), where);
    throw;
  }
  trace.pinnable_inputs = static_cast<int>(trace.graph.inputs.size());
  const ModeScope scope(&trace);
  try {
    Nest outputs;
    if (form == detail::CallForm::one)
      outputs = call_one(layer, tensors.leaf(), options, where);
    else if (form == detail::CallForm::list)
      outputs = call_many(layer, tensors.flatten(), options, where);
    else
      outputs = call_nest(layer, tensors, options, where);
    for (const Tensor& t : outputs.flatten()) node->outputs.push_back(tandem::detail::coded_spec(t));
    int next = 0;
    node->results = outputs.map([&](const Tensor&) { return next++; });
    layer.state()->note_description(node);
    return node->results.map([&](int i) { return Value(node, i); });
  } catch (const PinRequest& pin) {
    Error e(ErrorCode::symbolic_value,
            fmt::format(
                "the size of dimension {} of input {} is needed as a number (at {}:{}) and is unknown here; "
                "give nn::Input that size, or pass the Dim itself to the operation",
                pin.axis, pin.argument, pin.where.file_name(), pin.where.line));
    name_layer(e, *layer.state(), where);
    throw e;
  }
}

template <class T>
T only(std::vector<T> results, const Layer& layer, Location where) {
  if (results.size() != 1) {
    Error e(ErrorCode::invalid_argument,
            fmt::format("the layer has {} results; give it a std::vector or a Nest to get them all",
                        results.size()));
    name_layer(e, *layer.state(), where);
    throw e;
  }
  return std::move(results[0]);
}

}  // namespace

bool detail::is_in_layer_call() { return call_depth > 0; }

void detail::add_user_call(Error& error, std::string_view name, Location where) {
  where = call_line(where);
  if (!is_same(error.location(), where)) add_call(error, name, where);
}

bool is_training() { return (tandem::detail::trace_context & training_bit) != 0; }

TrainingScope::TrainingScope(std::optional<bool> training) : saved_(tandem::detail::trace_context) {
  if (training)
    tandem::detail::trace_context =
        (saved_ & ~training_bit) | training_is_said | (*training ? training_bit : 0);
}
TrainingScope::~TrainingScope() { tandem::detail::trace_context = saved_; }

MaskScope::MaskScope() : opened_(current_masks == nullptr) {
  if (opened_) current_masks = this;
}
MaskScope::~MaskScope() {
  if (opened_) current_masks = nullptr;
}

Tensor mask_of(const Tensor& x) {
  if (!current_masks) return {};
  const auto& masks = current_masks->masks_;
  for (size_t i = masks.size(); i-- > 0;)
    if (masks[i].first.impl() == x.impl()) return masks[i].second;
  return {};
}

void set_mask(const Tensor& x, const Tensor& mask) {
  if (!current_masks || !x.defined()) return;
  auto& masks = current_masks->masks_;
  const auto at = std::find_if(masks.begin(), masks.end(),
                               [&](const auto& entry) { return entry.first.impl() == x.impl(); });
  if (mask.defined() && mask.dtype() != DType::boolean)
    fail("a mask has dtype {}; masks are booleans", mask.dtype());
  if (at != masks.end())
    at->second = mask;
  else if (mask.defined())
    masks.emplace_back(x, mask);
}

Layer::Layer(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body)
    : Module(std::move(name)), body_(std::move(body)) {
  state()->kind = kind;
  state()->where = where;
  attach(body_);
}

void Layer::attach(const std::shared_ptr<detail::LayerBody>& body) const { state()->body = body; }

Tensor Layer::operator()(const Tensor& x, CallOptions options, Location where) const {
  return call_one(*this, x, options, where);
}

Tensor Layer::call_from_own_line(const Tensor& x) const { return call_one(*this, x, {}, state()->where); }

std::vector<Tensor> Layer::operator()(const std::vector<Tensor>& inputs, CallOptions options,
                                      Location where) const {
  return call_many(*this, inputs, options, where);
}

Nest Layer::operator()(const Nest& inputs, CallOptions options, Location where) const {
  return call_nest(*this, inputs, options, where);
}

Tensor Layer::one_of_many(const std::vector<Tensor>& inputs, const CallOptions& options,
                          Location where) const {
  return only(call_many(*this, inputs, options, where), *this, where);
}

Value Layer::operator()(const Value& x, CallOptions options, Location where) const {
  return describe_call(*this, x, detail::CallForm::one, options, where).leaf();
}

std::vector<Value> Layer::operator()(const std::vector<Value>& inputs, CallOptions options,
                                     Location where) const {
  return describe_call(*this, inputs, detail::CallForm::list, options, where).flatten();
}

Value Layer::one_of_many(const std::vector<Value>& inputs, const CallOptions& options, Location where) const {
  return only((*this)(inputs, options, where), *this, where);
}

Values Layer::operator()(const Values& inputs, CallOptions options, Location where) const {
  return describe_call(*this, inputs, detail::CallForm::nest, options, where);
}

void Module::add_loss(const Tensor& loss, Location where) const {
  if (!loss.defined()) {
    Error e(ErrorCode::invalid_argument, "the loss is an empty tensor handle");
    e.set_origin("add_loss", where);
    throw e;
  }
  detail::record_loss(*state(), loss, call_depth == 0, where);
}

namespace {

// Of a layer, the call on Values that is meant.
std::shared_ptr<const detail::ValueNode> call_of(const Layer& layer, std::optional<int> call) {
  std::vector<std::shared_ptr<const detail::ValueNode>> calls;
  {
    const std::lock_guard<std::mutex> lock(layer.state()->mutex);
    for (const auto& known : layer.state()->calls)
      if (auto node = known.lock()) calls.push_back(std::move(node));
  }
  const std::string path = layer.path();
  TD_CHECK(!calls.empty(), "layer {} was not called on Values, as nn::Input gives them", path);
  if (!call) {
    TD_CHECK(calls.size() == 1, "layer {} was called on Values {} times; say which call, 0 to {}", path,
             calls.size(), calls.size() - 1);
    return calls[0];
  }
  TD_CHECK(*call >= 0 && static_cast<size_t>(*call) < calls.size(),
           "call {} of layer {} was asked for; it was called on Values {} time{}", *call, path, calls.size(),
           calls.size() == 1 ? "" : "s");
  return calls[static_cast<size_t>(*call)];
}

Value only_value(const Values& values, const Layer& layer, const char* what) {
  TD_CHECK(values.is_leaf(), "layer {} has {} of the form {}; {}s() gives them all", layer.path(), what,
           values.form(), what);
  return values.leaf();
}

}  // namespace

Values Layer::inputs(std::optional<int> call, Location where) const {
  return detail::in_call("inputs", where, [&] {
    if (!call)
      if (std::optional<Values> own = body_->declared_inputs()) return *own;
    return call_of(*this, call)->arguments;
  });
}

Values Layer::outputs(std::optional<int> call, Location where) const {
  return detail::in_call("outputs", where, [&] {
    if (!call)
      if (std::optional<Values> own = body_->declared_outputs()) return *own;
    const std::shared_ptr<const detail::ValueNode> node = call_of(*this, call);
    return node->results.map([&](int i) { return Value(node, i); });
  });
}

Value Layer::input(std::optional<int> call, Location where) const {
  return detail::in_call("input", where, [&] { return only_value(inputs(call, where), *this, "input"); });
}

Value Layer::output(std::optional<int> call, Location where) const {
  return detail::in_call("output", where, [&] { return only_value(outputs(call, where), *this, "output"); });
}

void Layer::build(const Shape& input_shape, DType dtype, Location where) const {
  detail::at_line("build", where, [&] {
    TD_CHECK(input_shape.rank() > 0, "the shape is that of a scalar; its first dimension is the batch");
    Shape example = input_shape;
    example.erase(0);
    (*this)(Input(example, {.dtype = dtype}, where), {}, where);
  });
}

namespace detail {

std::optional<Values> LayerBody::declared_inputs() const { return {}; }
std::optional<Values> LayerBody::declared_outputs() const { return {}; }

std::vector<Tensor> LayerBody::call_many(ModuleState& state, const std::vector<Tensor>& inputs) {
  TD_CHECK(inputs.size() == 1, "the layer takes one input and got {}", inputs.size());
  return {call(state, inputs[0])};
}

Nest LayerBody::call_nest(ModuleState& state, const Nest& inputs) {
  if (inputs.is_leaf()) {
    TD_CHECK(inputs.leaf().defined(), "the input is an empty tensor handle");
    return call(state, inputs.leaf());
  }
  const std::vector<Tensor> leaves = inputs.flatten();
  for (size_t i = 0; i < leaves.size(); ++i)
    TD_CHECK(leaves[i].defined(), "input {} is an empty tensor handle", i);
  std::vector<Tensor> results = call_many(state, leaves);
  if (results.size() == 1) return results[0];
  return results;
}

void refuse_structure(const std::string& form) {
  fail("the module's call operator does not take inputs of the form {}", form);
}

}  // namespace detail

}  // namespace tandem::nn
