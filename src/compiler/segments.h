#pragma once
// A graph some of whose shapes depend on data, cut where they do.

#include <atomic>
#include <memory>
#include <mutex>

#include "compiler/plan_cache.h"

namespace tandem {

/// Nodes whose results' shapes are only known when they have run are called directly; the nodes between, as
/// many together as the order of effects allows, are segments: graphs of their own, planned for the shapes
/// that come. The cut is found in the first run, as far as that goes, and stays.
class SegmentedGraph {
 public:
  /// `graph` outlives this.
  explicit SegmentedGraph(const Graph& graph);

  void run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs);

  /// As far as runs have come.
  int segment_count() const;
  int direct_count() const;
  int plan_count() const;
  double plan_us() const;

 private:
  /// An input of a step: a slot of the run, a constant, or neither: absent.
  struct Source {
    int slot = -1;
    Tensor constant;
  };
  struct Step {
    std::unique_ptr<PlanCache> segment;  // null: a node called directly
    const Node* node = nullptr;
    std::vector<Source> inputs;
    std::vector<int> outputs;           // slots; -1: nothing reads it
    std::vector<int> dying;             // slots that no later step reads
    int slot_count = 0;                 // slots that there are up to here
    std::atomic<bool> plannable{true};  // false: its shapes turned out to depend on data in other runs
  };
  class Scheduler;

  /// Makes sure that there is step `at`, given what the steps before it left; false when they were all.
  bool has_step(int at, std::span<const Tensor> slots);
  static void run_step(Step& step, std::vector<Tensor>& slots);
  Source source(ValueRef v);
  int slot_of(ValueRef v);

  const Graph& graph_;
  std::vector<std::shared_ptr<detail::VariableImpl>> assigned_;

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Step>> steps_;  // never moves: room for all is made first
  std::atomic<int> step_count_{0};
  std::atomic<bool> complete_{false};
  std::vector<Source> results_;    // of a run, once complete
  std::vector<bool> scheduled_;    // by node
  std::map<ValueRef, int> slots_;  // of values that pass from step to step
  std::vector<bool> known_;        // by slot: small integers that follow from sizes
  std::vector<bool> dead_;         // by slot
};

}  // namespace tandem
