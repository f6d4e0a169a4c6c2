#include "compiler/plan_cache.h"

#include <algorithm>
#include <chrono>

#include "core/same_bits.h"

namespace tandem {

namespace {

constexpr size_t plan_limit = 32, planned_at_once = 4;
// Counts are halved now and then, so that what was common long ago goes.
constexpr int misses_between_halvings = 1024, most_uses = 64;

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

uint64_t mixed(uint64_t hash, int64_t value) {
  return (hash ^ static_cast<uint64_t>(value)) * 0x9e3779b97f4a7c15 + (hash >> 29);
}

}  // namespace

PlanCache::PlanCache(Graph graph, std::vector<bool> by_value)
    : graph_(std::move(graph)), by_value_(std::move(by_value)) {
  by_value_.resize(graph_.inputs.size());
  for (size_t i = 0; i < graph_.inputs.size(); ++i)
    one_shape_ = one_shape_ && !by_value_[i] && graph_.node(graph_.inputs[i]).outputs[0].shape.is_static();
}

bool PlanCache::fits(const Plan& plan, std::span<const Tensor* const> inputs) const {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!(plan.inputs()[i].shape == inputs[i]->shape())) return false;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (by_value_[i] && !detail::same_bits(plan.known_inputs()[i], *inputs[i])) return false;
  return true;
}

bool PlanCache::worth_planning(std::span<const Tensor* const> inputs) {
  if (entries_.size() < planned_at_once) return true;
  if (++missed_ == misses_between_halvings) {
    missed_ = 0;
    for (uint16_t& count : seen_) count /= 2;
    for (Entry& e : entries_) e.uses /= 2;
  }
  uint64_t hash = 0;
  for (const Tensor* t : inputs)
    for (int64_t d : t->shape().codes()) hash = mixed(hash, d);
  uint16_t& count = seen_[hash >> 56];
  ++count;
  if (count < 2) return false;
  if (entries_.size() < plan_limit) return true;
  return count > entries_.front().uses;
}

std::shared_ptr<Plan> PlanCache::plan_for(std::span<const Tensor* const> inputs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = entries_.size(); i-- > 0;) {
    if (!fits(*entries_[i].plan, inputs)) continue;
    const auto found = entries_.begin() + static_cast<ptrdiff_t>(i);
    std::rotate(found, found + 1, entries_.end());
    Entry& e = entries_.back();
    e.uses = std::min(e.uses + 1, most_uses);
    return e.plan;
  }
  if (!worth_planning(inputs)) return nullptr;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Spec> specs;
  std::vector<Tensor> known(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    specs.push_back(detail::coded_spec(*inputs[i]));
    if (by_value_[i]) known[i] = inputs[i]->contiguous();
  }
  auto plan = std::make_shared<Plan>(graph_, specs, std::move(known));
  plan_us_ = plan_us_ + microseconds_since(start);
  if (entries_.size() == plan_limit) entries_.erase(entries_.begin());
  entries_.push_back({plan, 1});
  if (one_shape_) only_.store(plan.get(), std::memory_order_release);
  return plan;
}

void PlanCache::run_any(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  // Held for the run: the cache may drop it meanwhile.
  if (const std::shared_ptr<Plan> plan = plan_for(inputs)) return plan->run(inputs.data(), outputs);
  run_nodes(inputs, outputs);
}

void PlanCache::run_nodes(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) const {
  const AssignmentLocks locks(assigned_variables(graph_));
  std::vector<Tensor> arguments;
  for (const Tensor* t : inputs) arguments.push_back(*t);
  std::vector<Tensor> results = interpret(graph_, arguments);
  std::move(results.begin(), results.end(), outputs.begin());
}

int PlanCache::plan_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(entries_.size());
}

int64_t PlanCache::peak_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entries_.empty()) return -1;
  const Plan& plan = *entries_.back().plan;
  return plan.arena_bytes() + plan.tensor_bytes();
}

}  // namespace tandem
