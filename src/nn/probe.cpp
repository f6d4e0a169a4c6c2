#include "nn/probe.h"

#include <cmath>
#include <utility>

#include "compiler/pass.h"
#include "compiler/plan.h"
#include "core/check.h"
#include "function/graph_cost.h"
#include "function/trace_mode.h"
#include "tandem/ops.h"

namespace tandem::nn::detail {

thread_local Probe* current_probe = nullptr;

Probe::Probe() : outer_(std::exchange(current_probe, this)) {}
Probe::~Probe() { current_probe = outer_; }

CallCost cost_of(const ModuleState& state, bool with_memory) {
  const std::shared_ptr<LayerBody> body = state.body.lock();
  if (!body || !state.has_output_shape.load(std::memory_order_acquire)) return {};
  for (const Spec& spec : state.input_specs.flatten())
    for (int i = 1; i < spec.shape.rank(); ++i)
      if (spec.shape[i] < 0) return {};
  const Layer layer(std::const_pointer_cast<ModuleState>(state.shared_from_this()), body);
  const Probe quiet;
  TraceMode trace;
  try {
    std::vector<Spec> specs;
    const Nest inputs = state.input_specs.map([&](Spec spec) {
      if (spec.shape.rank() > 0) spec.shape[0] = 1;
      specs.push_back(spec);
      return trace.add_input("x", spec);
    });
    {
      const ModeScope scope(&trace);
      const TrainingScope inference(false);
      const Nest outputs = state.called_on_list ? Nest(layer(inputs.flatten()))
                           : inputs.is_leaf()   ? Nest(layer(inputs.leaf()))
                                                : layer(inputs);
      for (const Tensor& t : outputs.flatten())
        trace.graph.outputs.push_back(t.defined() ? trace.value_of(t, {}) : ValueRef{});
    }
    CallCost cost;
    optimize(trace.graph, PipelineOptions());
    cost.flops = operations_of(trace.graph).value_or(-1);
    if (with_memory) {
      const Plan plan(trace.graph, specs);
      cost.peak_bytes = plan.arena_bytes() + plan.tensor_bytes();
    }
    return cost;
  } catch (const Error&) {
    return {};  // sizes that a batch of one does not have
  } catch (const DynamicShape&) {
    return {};  // its shapes depend on values
  } catch (const PinRequest&) {
    return {};
  }
}

namespace {

struct Count {
  int64_t nan = 0, infinite = 0, all = 0;
  bool is_finite() const { return nan + infinite == 0; }
  std::string text(const std::string& of) const {
    std::string what;
    if (nan > 0) what = fmt::format("{} NaN", nan);
    if (infinite > 0) what += fmt::format("{}{} infinite", what.empty() ? "" : " and ", infinite);
    return fmt::format("{} of {} {}", what, all, of);
  }
};

Count count_of(const Tensor& x) {
  Count count;
  if (!x.defined() || !is_floating(x.dtype())) return count;
  count.all = x.size();
  const Tensor values = x.to(DType::f64).contiguous();
  for (double v : values.span<double>()) {
    count.nan += std::isnan(v) ? 1 : 0;
    count.infinite += std::isinf(v) ? 1 : 0;
  }
  return count;
}

class FirstBad final : public Probe {
 public:
  void see(const ModuleState& state, const LayerBody&, const Tensor& y) override {
    if (!found.empty()) return;
    if (const Count count = count_of(y); !count.is_finite())
      found = fmt::format("layer {} ({}) gave {}", state.path(), state.class_name(), count.text("values"));
  }
  std::string found;
};

}  // namespace

std::string first_bad_layer(const Layer& layer, const Nest& inputs, bool training) {
  const std::vector<Tensor> given = inputs.flatten();
  for (size_t i = 0; i < given.size(); ++i)
    if (const Count count = count_of(given[i]); !count.is_finite())
      return fmt::format("{} {} {}", given.size() == 1 ? "the input" : fmt::format("input {}", i),
                         given.size() == 1 ? "has" : "has", count.text("values"));
  const auto parameters = layer.named_parameters();
  std::vector<Tensor> before;
  for (const auto& [name, variable] : parameters) {
    before.push_back(variable.value());
    if (const Count count = count_of(before.back()); !count.is_finite())
      return fmt::format("parameter {} has {}", variable.name(), count.text("values"));
  }
  FirstBad probe;
  try {
    layer(inputs, {.training = training});
  } catch (const Error&) {
    // What a layer refuses after a bad result is not what is looked for.
  }
  for (size_t i = 0; i < before.size(); ++i)
    if (parameters[i].second.value().impl() != before[i].impl()) parameters[i].second.assign(before[i]);
  return probe.found;
}

}  // namespace tandem::nn::detail
