#include "compiler/compiled_graph.h"

#include <chrono>

namespace tandem {

namespace {

Graph optimized(Graph graph, PipelineOptions options, double& microseconds) {
  const auto start = std::chrono::steady_clock::now();
  options.for_plans = true;
  optimize(graph, options);
  microseconds = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  return graph;
}

}  // namespace

CompiledGraph::CompiledGraph(Graph graph, const PipelineOptions& options)
    : whole_(optimized(std::move(graph), options, optimize_us_)) {}

void CompiledGraph::run(std::span<const Tensor> inputs, std::span<Tensor> outputs) {
  SmallVector<const Tensor*, 8> list;
  for (const Tensor& t : inputs) list.push_back(&t);
  run(list, outputs);
}

void CompiledGraph::run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  SegmentedGraph* segments = dynamic_.load(std::memory_order_acquire);
  if (!segments) {
    try {
      return whole_.run(inputs, outputs);
    } catch (const DynamicShape&) {
      segments = &make_segments();
    }
  }
  segments->run(inputs, outputs);
}

SegmentedGraph& CompiledGraph::make_segments() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!segments_) segments_ = std::make_unique<SegmentedGraph>(graph());
  dynamic_.store(segments_.get(), std::memory_order_release);
  return *segments_;
}

int CompiledGraph::plan_count() const { return segments() ? segments()->plan_count() : whole_.plan_count(); }

int CompiledGraph::segment_count() const { return segments() ? segments()->segment_count() : 0; }

int CompiledGraph::direct_count() const { return segments() ? segments()->direct_count() : 0; }

double CompiledGraph::plan_us() const { return whole_.plan_us() + (segments() ? segments()->plan_us() : 0); }

}  // namespace tandem
