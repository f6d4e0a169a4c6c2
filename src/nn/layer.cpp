#include "tandem/nn/layer.h"

#include <algorithm>
#include <atomic>

#include "core/check.h"
#include "function/function_core.h"
#include "function/trace_mode.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "nn/value.h"

namespace tandem::nn {

namespace {

// Of the trace context, so that a function called in training has traces of its own.
constexpr uint32_t training_bit = 1;

constexpr std::string_view context_begin = "in layer ";

// Says which layer of which model failed, unless a layer inside has.
void name_layer(Error& error, const detail::ModuleState& state, Location where) {
  error.set_origin(detail::snake_case(state.class_name()), detail::call_line(where));
  for (const std::string& line : error.context())
    if (line.starts_with(context_begin)) return;
  if (const std::string path = state.path(); path != error.op())
    error.add_context(std::string(context_begin) + path);
}

// Calls the body as `f` says, with what surrounds each call of a layer.
template <class F>
auto call_layer(const Layer& layer, const CallOptions& options, Location where, const F& f) {
  detail::ModuleState& state = *layer.state();
  const TrainingScope training(options.training);
  std::optional<CallSite> site;
  if (!layer.body()->is_composite()) site.emplace(where);
  try {
    return f(*layer.body(), state);
  } catch (Error& e) {
    name_layer(e, state, where);
    throw;
  }
}

Tensor call_one(const Layer& layer, const Tensor& x, const CallOptions& options, Location where) {
  return call_layer(layer, options, where, [&](detail::LayerBody& body, detail::ModuleState& state) {
    TD_CHECK(x.defined(), "the input is an empty tensor handle");
    Tensor y = body.call(state, x);
    if (y.defined()) state.note_output(y.shape());
    return y;
  });
}

std::vector<Tensor> call_many(const Layer& layer, const std::vector<Tensor>& inputs,
                              const CallOptions& options, Location where) {
  return call_layer(layer, options, where, [&](detail::LayerBody& body, detail::ModuleState& state) {
    for (size_t i = 0; i < inputs.size(); ++i)
      TD_CHECK(inputs[i].defined(), "input {} is an empty tensor handle", i);
    std::vector<Tensor> outputs = body.call_many(state, inputs);
    if (outputs.size() == 1 && outputs[0].defined()) state.note_output(outputs[0].shape());
    return outputs;
  });
}

// Describes a call: traces it to learn the outputs' specs (and to make the parameters), and forgets the
// trace.
std::shared_ptr<const detail::ValueNode> describe_call(const Layer& layer, const std::vector<Value>& inputs,
                                                       bool single, const CallOptions& options,
                                                       Location where) {
  auto node = std::make_shared<detail::ValueNode>();
  node->layer = layer;
  node->arguments = inputs;
  node->options = options;
  node->where = where;
  TraceMode trace;
  trace.may_create_variables = true;
  // Unknown sizes that appear in one call must not look like those of another.
  static std::atomic<int64_t> next_symbols{2 * (symbol_base / 3)};
  trace.graph.next_symbol = next_symbols -= 4096;
  std::vector<Tensor> tensors;
  try {
    for (const Value& v : inputs) tensors.push_back(trace.add_input(v.name(), detail::spec_of(v)));
  } catch (Error& e) {
    name_layer(e, *layer.state(), where);
    throw;
  }
  trace.pinnable_inputs = static_cast<int>(tensors.size());
  const ModeScope scope(&trace);
  try {
    std::vector<Tensor> outputs;
    if (single)
      outputs = {call_one(layer, tensors[0], options, where)};
    else
      outputs = call_many(layer, tensors, options, where);
    for (const Tensor& t : outputs) node->outputs.push_back(t.spec());
  } catch (const PinRequest& pin) {
    Error e(ErrorCode::symbolic_value,
            fmt::format(
                "the size of dimension {} of input {} is needed as a number (at {}:{}) and is unknown here; "
                "give nn::Input that size, or pass the Dim itself to the operation",
                pin.axis, pin.argument, pin.where.file_name(), pin.where.line));
    name_layer(e, *layer.state(), where);
    throw e;
  }
  return node;
}

}  // namespace

bool is_training() { return (tandem::detail::trace_context & training_bit) != 0; }

TrainingScope::TrainingScope(std::optional<bool> training) : saved_(is_training()) {
  set(training.value_or(saved_));
}
TrainingScope::~TrainingScope() { set(saved_); }

void TrainingScope::set(bool training) {
  uint32_t& context = tandem::detail::trace_context;
  context = training ? context | training_bit : context & ~training_bit;
}

Layer::Layer(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body)
    : Module(std::move(name)), body_(std::move(body)) {
  state()->kind = kind;
  state()->where = where;
}

Tensor Layer::operator()(const Tensor& x, CallOptions options, Location where) const {
  return call_one(*this, x, options, where);
}

Tensor Layer::call_from_own_line(const Tensor& x) const { return call_one(*this, x, {}, state()->where); }

std::vector<Tensor> Layer::operator()(const std::vector<Tensor>& inputs, CallOptions options,
                                      Location where) const {
  return call_many(*this, inputs, options, where);
}

Value Layer::operator()(const Value& x, CallOptions options, Location where) const {
  return {describe_call(*this, {x}, true, options, where), 0};
}

std::vector<Value> Layer::operator()(const std::vector<Value>& inputs, CallOptions options,
                                     Location where) const {
  const auto node = describe_call(*this, inputs, false, options, where);
  std::vector<Value> outputs;
  for (size_t i = 0; i < node->outputs.size(); ++i) outputs.emplace_back(node, static_cast<int>(i));
  return outputs;
}

std::vector<Tensor> detail::LayerBody::call_many(ModuleState& state, const std::vector<Tensor>& inputs) {
  TD_CHECK(inputs.size() == 1, "the layer takes one input and got {}", inputs.size());
  return {call(state, inputs[0])};
}

}  // namespace tandem::nn
