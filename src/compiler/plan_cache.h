#pragma once
// The plans of one graph, by the shapes of what enters it.

#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "compiler/plan.h"

namespace tandem {

/// Keeps 32 plans. The first few sets of shapes are planned at once. Later ones run node by node until they
/// have come again, and more often than the plan that would go: planning costs more than many such runs, and
/// shapes that follow from data may never return.
class PlanCache {
 public:
  /// `by_value`: inputs on whose elements plans may rely, one flag an input; empty: none.
  explicit PlanCache(Graph graph, std::vector<bool> by_value = {});

  /// Runs on tensors of any shapes that fit. Throws DynamicShape, before anything has run, when a shape
  /// depends on data.
  void run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
    if (Plan* only = only_.load(std::memory_order_acquire)) return only->run(inputs.data(), outputs);
    run_any(inputs, outputs);
  }
  /// Runs without a plan.
  void run_nodes(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) const;

  const Graph& graph() const { return graph_; }
  int plan_count() const;
  /// Of the plan used last; -1 when there is none.
  int64_t peak_bytes() const;
  double plan_us() const { return plan_us_.load(); }

 private:
  struct Entry {
    std::shared_ptr<Plan> plan;
    int uses = 0;
  };
  void run_any(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);
  std::shared_ptr<Plan> plan_for(std::span<const Tensor* const> inputs);
  bool fits(const Plan& plan, std::span<const Tensor* const> inputs) const;
  /// Counts a set of shapes without a plan; true when it shall have one.
  bool worth_planning(std::span<const Tensor* const> inputs);

  Graph graph_;
  std::vector<bool> by_value_;
  bool one_shape_ = true;  // no symbolic sizes: there is one plan only
  std::atomic<Plan*> only_{nullptr};
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;        // the latest last
  std::array<uint16_t, 256> seen_{};  // sets of shapes without a plan, by their hash
  int missed_ = 0;
  std::atomic<double> plan_us_{0};
};

}  // namespace tandem
