#pragma once
// A graph that has been optimized, with its plans.

#include <atomic>
#include <memory>
#include <mutex>

#include "compiler/pass.h"
#include "compiler/plan_cache.h"
#include "compiler/segments.h"

namespace tandem {

/// Runs a graph on tensors of any shapes that fit it: a plan for each set of shapes. Where shapes depend on
/// data, the graph runs in segments.
class CompiledGraph {
 public:
  CompiledGraph(Graph graph, const PipelineOptions& options);

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs);
  void run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);
  const Graph& graph() const { return whole_.graph(); }
  int output_count() const { return static_cast<int>(graph().outputs.size()); }
  /// Of all segments, where there are any.
  int plan_count() const;
  /// Where shapes depend on data: parts that are planned, and nodes between them, as far as runs have come.
  /// Else 0.
  int segment_count() const;
  int direct_count() const;
  /// Of the plan used last; -1 when there is none, or segments.
  int64_t peak_bytes() const { return whole_.peak_bytes(); }
  double optimize_us() const { return optimize_us_; }
  double plan_us() const;

 private:
  const SegmentedGraph* segments() const { return dynamic_.load(std::memory_order_acquire); }
  SegmentedGraph& make_segments();

  double optimize_us_ = 0;
  PlanCache whole_;
  std::atomic<SegmentedGraph*> dynamic_{nullptr};
  std::mutex mutex_;
  std::unique_ptr<SegmentedGraph> segments_;
};

}  // namespace tandem
