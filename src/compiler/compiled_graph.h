#pragma once
// A graph that has been optimized, with its plans.

#include <atomic>
#include <memory>
#include <mutex>

#include "compiler/pass.h"
#include "compiler/plan.h"

namespace tandem {

/// Runs a graph on tensors of any shapes that fit it: a plan for each set of shapes, the latest 32 kept.
/// Graphs whose shapes depend on data run node by node.
class CompiledGraph {
 public:
  CompiledGraph(Graph graph, const PipelineOptions& options);
  ~CompiledGraph();

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  void run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);
  const Graph& graph() const { return graph_; }
  int output_count() const { return static_cast<int>(graph_.outputs.size()); }
  int plan_count() const;
  /// Of the plan used last; -1 when there is none.
  int64_t peak_bytes() const;
  double optimize_us() const { return optimize_us_; }
  double plan_us() const { return plan_us_.load(); }

 private:
  std::shared_ptr<Plan> plan_for(std::span<const Tensor* const> inputs);

  Graph graph_;
  std::atomic<bool> dynamic_{false};
  bool one_shape_ = false;  // no symbolic sizes: there is one plan only
  std::atomic<Plan*> only_{nullptr};
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Plan>> plans_;  // the latest last
  double optimize_us_ = 0;
  std::atomic<double> plan_us_{0};
};

}  // namespace tandem
