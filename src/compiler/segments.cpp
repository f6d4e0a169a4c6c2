#include "compiler/segments.h"

#include <algorithm>

#include "graph/run_node.h"
#include "ops/dispatch.h"

namespace tandem {

namespace {

bool is_constant_node(const Node& n) { return n.op->has(is_constant); }
/// Whether the order of effects holds it in place.
bool is_ordered(const Node& n) { return (n.op->traits & (effect | reads_variable | writes_variable)) != 0; }

}  // namespace

/// Finds the next segment and the nodes after it that must be called directly.
class SegmentedGraph::Scheduler {
 public:
  Scheduler(SegmentedGraph& owner, std::span<const Tensor> slots)
      : owner_(owner), graph_(owner.graph_), inference_(graph_), chosen_(graph_.nodes.size(), false) {
    for (const auto& [v, slot] : owner.slots_) {
      const auto at = static_cast<size_t>(slot);
      if (!owner.dead_[at])
        inference_.give(v, detail::coded_spec(slots[at]), owner.known_[at] ? slots[at] : Tensor());
    }
    for (int32_t id = 0; id < count(); ++id)
      if (is_constant_node(graph_.node(id))) inference_.infer(id);
  }

  void extend() {
    choose();
    std::vector<std::unique_ptr<Step>> steps;
    if (!segment_.empty()) steps.push_back(segment_step());
    for (int32_t id : segment_) owner_.scheduled_[static_cast<size_t>(id)] = true;
    for (int32_t id : direct_) {
      owner_.scheduled_[static_cast<size_t>(id)] = true;
      steps.push_back(direct_step(id));
    }
    find_dying(steps);
    for (auto& step : steps) {
      step->slot_count = static_cast<int>(owner_.known_.size());
      owner_.steps_.push_back(std::move(step));
    }
  }

 private:
  int32_t count() const { return static_cast<int32_t>(graph_.nodes.size()); }

  // Everything whose inputs are there and whose shapes follow from theirs. Ordered nodes stay behind one
  // that is left over.
  void choose() {
    bool blocked = false;
    std::vector<bool> waits(graph_.nodes.size(), false);  // for a node that is called directly
    for (int32_t id = 0; id < count(); ++id) {
      const Node& n = graph_.node(id);
      if (owner_.scheduled_[static_cast<size_t>(id)]) continue;
      const auto missing = [&](ValueRef v) {
        return v.present() && !owner_.scheduled_[static_cast<size_t>(v.node)] &&
               !chosen_[static_cast<size_t>(v.node)];
      };
      const bool ordered = is_ordered(n);
      if (std::any_of(n.inputs.begin(), n.inputs.end(), missing) || (ordered && blocked)) {
        blocked = blocked || ordered;
        continue;
      }
      try {
        inference_.infer(id);
        chosen_[static_cast<size_t>(id)] = true;
        segment_.push_back(id);
      } catch (const DynamicShape&) {
        direct_.push_back(id);
        blocked = blocked || ordered;
      }
    }
  }

  // Values that nodes outside the segment use, or the graph returns.
  std::vector<ValueRef> results() const {
    std::vector<ValueRef> found;
    const auto add = [&](ValueRef v) {
      if (v.present() && chosen_[static_cast<size_t>(v.node)] &&
          std::find(found.begin(), found.end(), v) == found.end())
        found.push_back(v);
    };
    for (int32_t id = 0; id < count(); ++id)
      if (!owner_.scheduled_[static_cast<size_t>(id)] && !chosen_[static_cast<size_t>(id)])
        for (ValueRef v : graph_.node(id).inputs) add(v);
    for (ValueRef v : graph_.outputs) add(v);
    return found;
  }

  std::unique_ptr<Step> segment_step() {
    auto step = std::make_unique<Step>();
    Graph g = graph_.skeleton();
    std::map<ValueRef, ValueRef> own;
    std::vector<bool> by_value;
    const auto local = [&](ValueRef v) {
      if (!v.present()) return v;
      const auto found = own.find(v);
      if (found != own.end()) return found->second;
      const Node& from = graph_.node(v.node);
      if (is_constant_node(from)) return own[v] = g.add_constant(graph_.constant(v), from.where);
      const int slot = owner_.slot_of(v);
      step->inputs.push_back({slot, {}});
      by_value.push_back(owner_.known_[static_cast<size_t>(slot)]);
      return own[v] = g.add_input(from.name, graph_.spec(v));
    };
    for (int32_t id : segment_) {
      Node n = graph_.node(id);
      for (ValueRef& v : n.inputs) v = local(v);
      const auto at = static_cast<int32_t>(g.nodes.size());
      for (int k = 0; k < n.outputs.size(); ++k) own[{id, k}] = {at, k};
      g.nodes.push_back(std::move(n));
    }
    for (ValueRef v : results()) {
      g.outputs.push_back(own.at(v));
      const int slot = owner_.slot_of(v);
      owner_.known_[static_cast<size_t>(slot)] = inference_.known(v).defined();
      step->outputs.push_back(slot);
    }
    step->segment = std::make_unique<PlanCache>(std::move(g), std::move(by_value));
    return step;
  }

  std::unique_ptr<Step> direct_step(int32_t id) {
    auto step = std::make_unique<Step>();
    const Node& n = graph_.node(id);
    step->node = &n;
    for (ValueRef v : n.inputs) step->inputs.push_back(owner_.source(v));
    for (int k = 0; k < n.outputs.size(); ++k)
      step->outputs.push_back(is_used({id, k}) ? owner_.slot_of({id, k}) : -1);
    return step;
  }

  bool is_used(ValueRef value) const {
    const auto uses = [&](const Node& n) {
      return std::find(n.inputs.begin(), n.inputs.end(), value) != n.inputs.end();
    };
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), value) != graph_.outputs.end() ||
           std::any_of(graph_.nodes.begin(), graph_.nodes.end(), uses);
  }

  // A slot dies in the last of these steps that touches it, when nothing that is yet to come reads it.
  void find_dying(std::vector<std::unique_ptr<Step>>& steps) {
    std::vector<bool> alive(owner_.known_.size(), false);
    const auto keep = [&](ValueRef v) {
      if (const auto found = owner_.slots_.find(v); found != owner_.slots_.end())
        alive[static_cast<size_t>(found->second)] = true;
    };
    for (int32_t id = 0; id < count(); ++id)
      if (!owner_.scheduled_[static_cast<size_t>(id)])
        for (ValueRef v : graph_.node(id).inputs) keep(v);
    for (ValueRef v : graph_.outputs) keep(v);
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      const auto note = [&](int slot) {
        if (slot < 0 || alive[static_cast<size_t>(slot)]) return;
        alive[static_cast<size_t>(slot)] = true;
        owner_.dead_[static_cast<size_t>(slot)] = true;
        (*step)->dying.push_back(slot);
      };
      for (const Source& s : (*step)->inputs) note(s.slot);
      for (int slot : (*step)->outputs) note(slot);
    }
  }

  SegmentedGraph& owner_;
  const Graph& graph_;
  SizedInference inference_;
  std::vector<bool> chosen_;               // by node: in the segment
  std::vector<int32_t> segment_, direct_;  // in program order
};

SegmentedGraph::SegmentedGraph(const Graph& graph)
    : graph_(graph), assigned_(assigned_variables(graph)), scheduled_(graph.nodes.size(), false) {
  for (int32_t id : graph.inputs) slot_of({id, 0});
  for (size_t id = 0; id < graph.nodes.size(); ++id)
    scheduled_[id] = graph.nodes[id].op->has(is_input) || is_constant_node(graph.nodes[id]);
  steps_.reserve(graph.nodes.size());
}

int SegmentedGraph::slot_of(ValueRef v) {
  const auto [found, added] = slots_.try_emplace(v, static_cast<int>(known_.size()));
  if (added) {
    known_.push_back(false);
    dead_.push_back(false);
  }
  return found->second;
}

SegmentedGraph::Source SegmentedGraph::source(ValueRef v) {
  if (!v.present()) return {};
  if (is_constant_node(graph_.node(v.node))) return {-1, graph_.constant(v)};
  return {slot_of(v), {}};
}

bool SegmentedGraph::has_step(int at, std::span<const Tensor> slots) {
  if (at < step_count_.load(std::memory_order_acquire)) return true;
  if (complete_.load(std::memory_order_acquire)) return false;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (at < step_count_.load(std::memory_order_relaxed)) return true;
  if (complete_.load(std::memory_order_relaxed)) return false;
  if (std::find(scheduled_.begin(), scheduled_.end(), false) == scheduled_.end()) {
    for (ValueRef v : graph_.outputs) results_.push_back(source(v));
    complete_.store(true, std::memory_order_release);
    return false;
  }
  Scheduler(*this, slots).extend();
  step_count_.store(static_cast<int>(steps_.size()), std::memory_order_release);
  return true;
}

void SegmentedGraph::run_step(Step& step, std::vector<Tensor>& slots) {
  SmallVector<Tensor, 4> results;
  if (step.segment) {
    SmallVector<const Tensor*, 8> inputs;
    for (const Source& s : step.inputs) inputs.push_back(&slots[static_cast<size_t>(s.slot)]);
    results.resize(static_cast<int>(step.outputs.size()));
    if (step.plannable.load(std::memory_order_relaxed)) {
      try {
        step.segment->run(inputs, results);
      } catch (const DynamicShape&) {
        step.plannable.store(false, std::memory_order_relaxed);
      }
    }
    if (!step.plannable.load(std::memory_order_relaxed)) step.segment->run_nodes(inputs, results);
  } else {
    const Node& n = *step.node;
    SmallVector<Operand, 8> operands;
    SmallVector<const Operand*, 8> list;
    for (const Source& s : step.inputs)
      operands.push_back(Operand(s.slot >= 0 ? slots[static_cast<size_t>(s.slot)] : s.constant, n.where));
    for (const Operand& o : operands) list.push_back(&o);
    run_node(&n, [&] { evaluate(*n.op, n.attributes.get(), list, n.where, results); });
  }
  for (int k = 0; k < results.size(); ++k)
    if (const int slot = step.outputs[static_cast<size_t>(k)]; slot >= 0)
      slots[static_cast<size_t>(slot)] = std::move(results[k]);
  for (int slot : step.dying) slots[static_cast<size_t>(slot)] = Tensor();
}

void SegmentedGraph::run(std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  const AssignmentLocks locks(assigned_);
  std::vector<Tensor> slots;
  for (const Tensor* t : inputs) slots.push_back(*t);
  for (int at = 0; has_step(at, slots); ++at) {
    Step& step = *steps_[static_cast<size_t>(at)];
    if (slots.size() < static_cast<size_t>(step.slot_count))
      slots.resize(static_cast<size_t>(step.slot_count));
    run_step(step, slots);
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Source& s = results_[i];
    outputs[i] = s.slot >= 0 ? slots[static_cast<size_t>(s.slot)] : s.constant;
  }
}

int SegmentedGraph::segment_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(
      std::count_if(steps_.begin(), steps_.end(), [](const auto& s) { return s->segment != nullptr; }));
}

int SegmentedGraph::direct_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int>(
      std::count_if(steps_.begin(), steps_.end(), [](const auto& s) { return s->segment == nullptr; }));
}

int SegmentedGraph::plan_count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  int count = 0;
  for (const auto& s : steps_) count += s->segment ? s->segment->plan_count() : 0;
  return count;
}

double SegmentedGraph::plan_us() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  double sum = 0;
  for (const auto& s : steps_) sum += s->segment ? s->segment->plan_us() : 0;
  return sum;
}

}  // namespace tandem
