#include "function/structured_call.h"

#include <algorithm>

#include "autodiff/tape_mode.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "ops/variable_impl.h"

namespace tandem {

namespace {

struct CallAttributes : StructuredAttributes {
  static constexpr auto fields() { return std::tuple{}; }
};

struct Call {
  static constexpr std::string_view name = "Call", domain = "ai.tandem";
  using Attributes = CallAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"arguments", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = -1;
  static constexpr uint32_t traits = has_bodies | dynamic_shape | effect;
  static void infer(InferContext&, const Attributes&) {}
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    static_cast<StructuredCall&>(*a.structured).run(in, out);
  }
  // The tape goes through StructuredCall::apply_recording.
  static Tensors gradient(const Gradient&) { return {}; }
  static std::vector<Sample> samples() { return {}; }
};

}  // namespace

std::vector<Tensors> replay(const Graph& graph, std::span<const Tensor> inputs) {
  std::vector<Tensors> values(graph.nodes.size());
  for (size_t i = 0; i < graph.inputs.size(); ++i) values[static_cast<size_t>(graph.inputs[i])] = {inputs[i]};
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    if (n.op->has(is_input)) continue;
    if (n.op->has(is_constant)) {
      values[i] = {n.attributes.as<ConstantAttributes>().value};
      continue;
    }
    std::vector<Operand> operands;
    std::vector<const Operand*> list;
    for (ValueRef v : n.inputs)
      operands.emplace_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor(), n.where);
    for (const Operand& o : operands) list.push_back(&o);
    const CallSiteOverride site(n.where);
    apply(*n.op, n.attributes.get(), list, values[i]);
  }
  return values;
}

StructuredCall::StructuredCall(Graph recorded, PipelineOptions options, CompiledGraph* compiled)
    : recorded_(std::move(recorded)), options_(std::move(options)), compiled_(compiled) {
  for (const Node& n : recorded_.nodes)
    if (n.op->has(reads_variable)) {
      const auto& v = n.attributes.as<VariableAttributes>().variable;
      if (is_floating(v->spec.dtype) &&
          std::find(variables_.begin(), variables_.end(), v) == variables_.end())
        variables_.push_back(v);
    }
}

void StructuredCall::run(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  CompiledGraph* compiled = compiled_;
  if (!compiled) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!own_compiled_) own_compiled_ = std::make_unique<CompiledGraph>(recorded_, options_);
    compiled = own_compiled_.get();
  }
  compiled->run(inputs, outputs);
}

void apply_call(const std::shared_ptr<StructuredCall>& call, std::span<const Tensor> inputs, Location where,
                Tensors& outputs) {
  CallAttributes a;
  a.structured = call;
  std::vector<Operand> operands;
  for (const Tensor& t : inputs) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  outputs.resize(call->output_count());
  if (Mode* mode = current_mode())
    mode->apply(op_def<Call>, &a, list, where, outputs);
  else
    call->run(inputs, outputs);
}

namespace {

/// A forward graph replayed under a tape, with its gradient behind it.
struct Differentiated {
  Graph graph;
  int32_t boundary = 0;                   // nodes before it are the forward part
  std::vector<ValueRef> outputs;          // the forward part's results
  std::vector<ValueRef> gradient_inputs;  // Input nodes of arriving gradients, then of sums
  std::vector<ValueRef> sums;             // the backward part's results; absent where none
};

Differentiated differentiate(const Graph& recorded,
                             const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                             const std::vector<bool>& needed, const std::vector<bool>& arriving,
                             const std::vector<bool>& summed) {
  TraceMode trace;
  const ModeScope scope(&trace);
  Differentiated d;
  std::vector<Tensor> inputs;
  for (int32_t id : recorded.inputs)
    inputs.push_back(trace.add_input(recorded.node(id).name, recorded.node(id).outputs[0]));
  trace.graph.next_symbol = std::min(trace.graph.next_symbol, recorded.next_symbol);
  GradientTape tape({.persistent = false, .watch_accessed_variables = false});
  std::vector<GradientSource> sources;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    if (i < inputs.size())
      sources.emplace_back(inputs[i]);
    else
      sources.emplace_back(Variable::from_impl(variables[i - inputs.size()]));
    tape.watch(sources.back());
  }
  const std::vector<Tensors> values = replay(recorded, inputs);
  std::vector<Tensor> outputs;
  for (ValueRef v : recorded.outputs) {
    outputs.push_back(v.present() ? values[static_cast<size_t>(v.node)][v.output] : Tensor());
    d.outputs.push_back(outputs.back().defined() ? trace.value_of(outputs.back(), {}) : ValueRef{});
  }
  tape.stop();
  d.boundary = static_cast<int32_t>(trace.graph.nodes.size());
  std::vector<Tensor> targets, weights, sums;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!arriving[i]) continue;
    targets.push_back(outputs[i]);
    weights.push_back(trace.add_input("gradient", outputs[i].spec()));
    d.gradient_inputs.push_back(trace.value_of(weights.back(), {}));
  }
  size_t next = 0;
  for (size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    const GradientSource& s = sources[next++];
    if (!summed[i]) {
      sums.emplace_back();
      continue;
    }
    sums.push_back(trace.add_input(
        "sum", s.is_variable() ? Spec{s.variable().dtype(), s.variable().shape(), {}} : s.tensor().spec()));
    d.gradient_inputs.push_back(trace.value_of(sums.back(), {}));
  }
  const std::vector<Tensor> found = tape.gradients_onto(targets, weights, sources, sums);
  for (const Tensor& t : found) d.sums.push_back(t.defined() ? trace.value_of(t, {}) : ValueRef{});
  d.graph = std::move(trace.graph);
  return d;
}

/// The nodes before `boundary`, with further results.
Graph forward_part(const Differentiated& d, std::span<const ValueRef> residuals) {
  Graph g = d.graph;
  g.outputs.clear();
  for (ValueRef v : d.outputs) g.outputs.push_back(v);
  for (ValueRef v : residuals) g.outputs.push_back(v);
  std::vector<bool> keep(g.nodes.size());
  for (size_t i = 0; i < keep.size(); ++i) keep[i] = i < static_cast<size_t>(d.boundary);
  std::erase_if(g.inputs, [&](int32_t id) { return id >= d.boundary; });
  g.compact(keep);
  return g;
}

/// The nodes from `boundary` on; values from before it come in as arguments, in the order in which
/// `residuals` gets them, then the gradients and sums.
Graph backward_part(const Differentiated& d, std::vector<ValueRef>& residuals) {
  Graph g;
  g.next_symbol = d.graph.next_symbol;
  std::map<ValueRef, ValueRef> here;
  auto from_forward = [&](ValueRef v) {
    const Tensor constant = d.graph.constant(v);
    if (constant.defined()) {
      here[v] = g.add_constant(constant, d.graph.node(v.node).where);
    } else if (!here.contains(v)) {
      residuals.push_back(v);
      here[v] = g.add_input("kept", d.graph.spec(v));
    }
  };
  for (auto id = static_cast<size_t>(d.boundary); id < d.graph.nodes.size(); ++id)
    for (ValueRef v : d.graph.nodes[id].inputs)
      if (v.present() && v.node < d.boundary && !here.contains(v)) from_forward(v);
  for (ValueRef v : d.sums)
    if (v.present() && v.node < d.boundary && !here.contains(v)) from_forward(v);
  for (ValueRef v : d.gradient_inputs) here[v] = g.add_input(d.graph.node(v.node).name, d.graph.spec(v));
  for (auto id = static_cast<size_t>(d.boundary); id < d.graph.nodes.size(); ++id) {
    const Node& n = d.graph.nodes[id];
    if (n.op->has(is_input)) continue;
    std::vector<ValueRef> inputs;
    for (ValueRef v : n.inputs) inputs.push_back(v.present() ? here.at(v) : ValueRef{});
    const int32_t copy = g.add(*n.op, n.attributes, inputs, n.outputs, n.where, n.name);
    for (int k = 0; k < n.outputs.size(); ++k) here[{static_cast<int32_t>(id), k}] = {copy, k};
  }
  for (ValueRef v : d.sums) g.outputs.push_back(v.present() ? here.at(v) : ValueRef{});
  return g;
}

}  // namespace

/// Goes back through one call.
class CallBackward final : public Backward {
 public:
  CallBackward(std::shared_ptr<StructuredCall> call, std::vector<bool> needed, std::vector<Tensor> residuals,
               Location where)
      : call_(std::move(call)), needed_(std::move(needed)), residuals_(std::move(residuals)), where_(where) {}

  void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) override {
    std::vector<bool> arriving, summed;
    for (const Tensor& t : output_gradients) arriving.push_back(t.defined());
    for (const Tensor& t : sums) summed.push_back(t.defined());
    const StructuredCall::BackwardGraph& graph = call_->backward_for(needed_, arriving, summed, nullptr);
    std::vector<Tensor> inputs;
    for (int r : graph.residuals) inputs.push_back(residuals_[static_cast<size_t>(r)]);
    for (size_t i = 0; i < arriving.size(); ++i)
      if (arriving[i]) inputs.push_back(output_gradients[i]);
    for (size_t i = 0; i < needed_.size(); ++i)
      if (needed_[i] && summed[i]) inputs.push_back(sums[i]);
    Tensors results;
    apply_call(graph.call, inputs, where_, results);
    int next = 0;
    for (size_t i = 0; i < needed_.size(); ++i)
      if (needed_[i]) sums[i] = results[next++];
  }

 private:
  std::shared_ptr<StructuredCall> call_;
  std::vector<bool> needed_;
  std::vector<Tensor> residuals_;
  Location where_;
};

const StructuredCall::BackwardGraph& StructuredCall::backward_for(const std::vector<bool>& needed,
                                                                  const std::vector<bool>& arriving,
                                                                  const std::vector<bool>& summed,
                                                                  std::vector<ValueRef>* new_residuals) {
  std::string key;
  for (bool b : arriving) key += b ? '1' : '0';
  key += '/';
  for (bool b : summed) key += b ? '1' : '0';
  const std::lock_guard<std::mutex> lock(mutex_);
  ForwardGraph& forward = forwards_[needed];
  if (const auto found = forward.backward.find(key); found != forward.backward.end()) return found->second;
  const ModeScope eager(nullptr);
  const Differentiated d = differentiate(recorded_, variables_, needed, arriving, summed);
  std::vector<ValueRef> used;
  Graph graph = backward_part(d, used);
  BackwardGraph b;
  if (new_residuals) {
    *new_residuals = used;
    forward.residuals = used;
    forward.call = std::make_shared<StructuredCall>(forward_part(d, used), options_);
  }
  for (ValueRef v : used) {
    const auto at = std::find(forward.residuals.begin(), forward.residuals.end(), v);
    TD_ASSERT(at != forward.residuals.end());
    b.residuals.push_back(static_cast<int>(at - forward.residuals.begin()));
  }
  b.call = std::make_shared<StructuredCall>(std::move(graph), options_);
  return forward.backward.emplace(key, std::move(b)).first->second;
}

StructuredCall::ForwardGraph& StructuredCall::forward_for(const std::vector<bool>& needed) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (forwards_[needed].call) return forwards_[needed];
  }
  // What the backward of all floating outputs needs is kept; fewer gradients need no more.
  std::vector<bool> arriving, summed(needed.size(), false);
  for (ValueRef v : recorded_.outputs)
    arriving.push_back(v.present() && is_floating(recorded_.spec(v).dtype));
  std::vector<ValueRef> residuals;
  backward_for(needed, arriving, summed, &residuals);
  const std::lock_guard<std::mutex> lock(mutex_);
  return forwards_[needed];
}

std::unique_ptr<Backward> StructuredCall::apply_recording(std::span<const Tensor> inputs,
                                                          const std::vector<bool>& needed, Location where,
                                                          Tensors& outputs) {
  const ForwardGraph& forward = forward_for(needed);
  Tensors all;
  apply_call(forward.call, inputs, where, all);
  outputs.clear();
  std::vector<Tensor> residuals;
  for (int i = 0; i < all.size(); ++i)
    if (i < output_count())
      outputs.push_back(all[i]);
    else
      residuals.push_back(all[i]);
  return std::make_unique<CallBackward>(shared_from_this(), needed, std::move(residuals), where);
}

}  // namespace tandem
