#include "compiler/compiled_graph.h"

#include <algorithm>
#include <chrono>

namespace tandem {

namespace {

constexpr size_t plan_limit = 32;

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

bool fits(const Plan& plan, std::span<const Tensor* const> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!(plan.inputs()[i].shape == inputs[i]->shape())) return false;
  return true;
}

}  // namespace

CompiledGraph::CompiledGraph(Graph graph, const PipelineOptions& options) : graph_(std::move(graph)) {
  const auto start = std::chrono::steady_clock::now();
  PipelineOptions here = options;
  here.for_plans = true;
  optimize(graph_, here);
  optimize_us_ = microseconds_since(start);
  one_shape_ = true;
  for (int32_t id : graph_.inputs) one_shape_ = one_shape_ && graph_.node(id).outputs[0].shape.is_static();
}

CompiledGraph::~CompiledGraph() = default;

std::shared_ptr<Plan> CompiledGraph::plan_for(std::span<const Tensor* const> inputs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = plans_.size(); i-- > 0;)
    if (fits(*plans_[i], inputs)) {
      std::rotate(plans_.begin() + static_cast<ptrdiff_t>(i), plans_.begin() + static_cast<ptrdiff_t>(i) + 1,
                  plans_.end());
      return plans_.back();
    }
  const auto start = std::chrono::steady_clock::now();
  std::vector<Spec> specs;
  for (const Tensor* t : inputs) specs.push_back(t->spec());
  auto plan = std::make_shared<Plan>(graph_, specs);
  plan_us_ = plan_us_ + microseconds_since(start);
  if (plans_.size() == plan_limit) plans_.erase(plans_.begin());
  plans_.push_back(plan);
  if (one_shape_) only_.store(plan.get(), std::memory_order_release);
  return plan;
}

void CompiledGraph::run(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  SmallVector<const Tensor*, 8> list;
  for (const Tensor& t : inputs) list.push_back(&t);
  run(list, outputs);
}

void CompiledGraph::run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  if (Plan* only = only_.load(std::memory_order_acquire)) return only->run(inputs.data(), outputs);
  if (!dynamic_.load(std::memory_order_acquire)) {
    std::shared_ptr<Plan> plan;  // held for the run: the cache may drop it meanwhile
    try {
      plan = plan_for(inputs);
    } catch (const DynamicShape&) {
      dynamic_.store(true, std::memory_order_release);
    }
    if (plan) return plan->run(inputs.data(), outputs);
  }
  std::vector<Tensor> arguments;
  for (const Tensor* t : inputs) arguments.push_back(*t);
  std::vector<Tensor> results = interpret(graph_, arguments);
  std::move(results.begin(), results.end(), outputs.begin());
}

int CompiledGraph::plan_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(plans_.size());
}

int64_t CompiledGraph::peak_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return plans_.empty() ? -1 : plans_.back()->arena_bytes() + plans_.back()->tensor_bytes();
}

}  // namespace tandem
