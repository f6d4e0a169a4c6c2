#include "function/structured_call.h"

#include <algorithm>
#include <optional>

#include "function/differentiate.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "ops/graph_ops.h"
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
  static constexpr uint32_t traits = has_bodies | effect;
  static void infer(InferContext& c, const Attributes& a) {
    for (const Spec& s : static_cast<StructuredCall&>(*a.structured).output_specs())
      c.output(s.dtype, s.shape);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    static_cast<StructuredCall&>(*a.structured).run(in, out);
  }
  // The tape goes through StructuredCall::apply_recording.
  static Tensors gradient(const Gradient&) { return {}; }
  static std::vector<Sample> samples() { return {}; }
};

}  // namespace

StructuredCall::StructuredCall(Graph recorded, PipelineOptions options, CompiledGraph* compiled)
    : recorded_(std::move(recorded)), options_(std::move(options)), compiled_(compiled) {
  variables_ = variables_read(recorded_);
}

bool StructuredCall::has_effects() const { return runs_effects(recorded_); }

void StructuredCall::run(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  CompiledGraph* compiled = compiled_;
  if (!compiled) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!own_compiled_) own_compiled_ = std::make_unique<CompiledGraph>(recorded_, options_);
    compiled = own_compiled_.get();
  }
  compiled->run(inputs, outputs);
}

std::vector<Spec> StructuredCall::output_specs() const {
  std::vector<Spec> specs;
  for (ValueRef v : recorded_.outputs) specs.push_back(v.present() ? recorded_.spec(v) : Spec{});
  return specs;
}

void apply_call(const std::shared_ptr<StructuredCall>& call, std::span<const Tensor> inputs, Location where,
                Tensors& outputs) {
  CallAttributes a;
  a.structured = call;
  std::vector<Operand> operands;
  for (const Tensor& t : inputs) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  if (Mode* mode = current_mode()) return mode->apply(op_def<Call>, &a, list, where, outputs);
  outputs.resize(call->output_count());
  call->run(inputs, outputs);
}

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
    const StructuredCall::BackwardGraph& graph = call_->backward_for(needed_, arriving, summed);
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
                                                                  const std::vector<bool>& summed) {
  std::string key;
  for (bool b : arriving) key += b ? '1' : '0';
  key += '/';
  for (bool b : summed) key += b ? '1' : '0';
  const std::lock_guard<std::mutex> lock(mutex_);
  ForwardGraph& forward = forwards_.at(needed);
  if (const auto found = forward.backward.find(key); found != forward.backward.end()) return found->second;
  const ModeScope eager(nullptr);
  const Differentiated d = differentiate(recorded_, variables_, needed, arriving, summed);
  std::vector<ValueRef> used;
  Graph graph = backward_part(d, used);
  BackwardGraph b;
  for (ValueRef v : used) {
    const auto at = std::find(forward.residuals.begin(), forward.residuals.end(), v);
    TD_ASSERT(at != forward.residuals.end());
    b.residuals.push_back(static_cast<int>(at - forward.residuals.begin()));
  }
  b.call = std::make_shared<StructuredCall>(std::move(graph), options_);
  return forward.backward.emplace(key, std::move(b)).first->second;
}

StructuredCall::ForwardGraph& StructuredCall::forward_for(const std::vector<bool>& needed) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ForwardGraph& forward = forwards_[needed];
  if (forward.call) return forward;
  const ModeScope eager(nullptr);
  std::vector<bool> arriving;
  for (ValueRef v : recorded_.outputs)
    arriving.push_back(v.present() && is_floating(recorded_.spec(v).dtype));
  std::optional<Differentiated> d;
  // A sum that exists already asks for other values too: those of its shape.
  for (const bool sums_exist : {true, false})
    for (const std::vector<bool>& pattern : arriving_patterns(recorded_, arriving)) {
      d = differentiate(recorded_, variables_, needed, pattern, std::vector<bool>(needed.size(), sums_exist));
      std::vector<ValueRef> used;
      backward_part(*d, used);
      add_missing(forward.residuals, used);
    }
  forward.call = std::make_shared<StructuredCall>(forward_part(*d, forward.residuals), options_);
  return forward;
}

/// Goes back through a call some of whose inputs were one tensor, whose sum stands at its first place.
class MergedBackward final : public Backward {
 public:
  /// `places`: for each input and variable that the merged call has, where it stands in the whole.
  MergedBackward(std::unique_ptr<Backward> merged, std::vector<size_t> places)
      : merged_(std::move(merged)), places_(std::move(places)) {}

  void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) override {
    std::vector<Tensor> own;
    for (size_t p : places_) own.push_back(sums[p]);
    merged_->run(output_gradients, own);
    for (size_t i = 0; i < places_.size(); ++i) sums[places_[i]] = own[i];
  }

 private:
  std::unique_ptr<Backward> merged_;
  std::vector<size_t> places_;
};

std::shared_ptr<StructuredCall> StructuredCall::merged_for(const std::vector<int>& first) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<StructuredCall>& merged = merged_[first];
  if (merged) return merged;
  // Recorded again with one argument for each tensor: sizes that were apart may be one now.
  TraceMode trace;
  const ModeScope scope(&trace);
  trace.graph.next_symbol = recorded_.next_symbol;
  std::vector<Tensor> inputs(first.size());
  for (size_t i = 0; i < first.size(); ++i) {
    if (first[i] != static_cast<int>(i)) {
      inputs[i] = inputs[static_cast<size_t>(first[i])];
      continue;
    }
    const Node& n = recorded_.node(recorded_.inputs[i]);
    Spec spec = n.outputs[0];
    for (size_t k = i + 1; k < first.size(); ++k) {
      if (first[k] != static_cast<int>(i)) continue;
      const Shape& other = recorded_.spec({recorded_.inputs[k], 0}).shape;
      for (int d = 0; d < spec.shape.rank(); ++d) spec.shape[d] = std::max(spec.shape[d], other[d]);
    }
    inputs[i] = trace.add_input(n.name, spec);
  }
  for (const Tensor& t : replay_outputs(recorded_, inputs))
    trace.graph.outputs.push_back(t.defined() ? trace.value_of(t, {}) : ValueRef{});
  Graph graph = std::move(trace.graph);
  return merged = std::make_shared<StructuredCall>(std::move(graph), options_);
}

std::unique_ptr<Backward> StructuredCall::apply_recording(std::span<const Tensor> inputs,
                                                          const std::vector<bool>& needed, Location where,
                                                          Tensors& outputs) {
  // One tensor given at several places has one sum, to which eager code adds in the order of the uses: the
  // graph must know that it is one.
  std::vector<int> first;
  std::vector<size_t> places;
  for (size_t i = 0; i < inputs.size(); ++i) {
    size_t same = i;
    for (size_t k = 0; k < i && same == i; ++k)
      if (needed[i] && inputs[k].impl() == inputs[i].impl()) same = k;
    first.push_back(static_cast<int>(same));
    if (same == i) places.push_back(i);
  }
  if (places.size() < inputs.size()) {
    std::vector<Tensor> own;
    for (size_t p : places) own.push_back(inputs[p]);
    for (size_t i = inputs.size(); i < needed.size(); ++i) places.push_back(i);
    std::vector<bool> own_needed;
    for (size_t p : places) own_needed.push_back(needed[p]);
    return std::make_unique<MergedBackward>(
        merged_for(first)->apply_recording(own, own_needed, where, outputs), std::move(places));
  }
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
