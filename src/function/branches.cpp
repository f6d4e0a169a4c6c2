// cond while tracing: the op If, whose branches are graphs of their own.

#include <algorithm>
#include <map>

#include "function/differentiate.h"
#include "function/trace_mode.h"
#include "function/traced_body.h"
#include "ops/dispatch.h"
#include "ops/variable_impl.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem {

using detail::TensorList;

namespace {

std::vector<bool> floating(const std::vector<Spec>& specs) {
  std::vector<bool> flags;
  for (const Spec& s : specs) flags.push_back(is_floating(s.dtype));
  return flags;
}

class StructuredIf final : public RunnableBody {
 public:
  StructuredIf(TracedBody then_body, TracedBody else_body, std::vector<Spec> results)
      : bodies_{std::move(then_body), std::move(else_body)}, results_(std::move(results)) {
    variables_ = variables_read(bodies_[0].graph);
    for (const auto& v : variables_read(bodies_[1].graph))
      if (std::find(variables_.begin(), variables_.end(), v) == variables_.end()) variables_.push_back(v);
  }

  std::vector<std::shared_ptr<detail::VariableImpl>> variables() const override { return variables_; }
  bool has_effects() const override {
    return runs_effects(bodies_[0].graph) || runs_effects(bodies_[1].graph);
  }

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    const TracedBody& body = bodies_[*inputs[0].data<bool>() ? 0 : 1];
    const ModeScope eager(nullptr);
    body.compiled->run(inputs.subspan(1), outputs);
  }

  View view() const override { return {Kind::branches, {&bodies_[0].graph, &bodies_[1].graph}}; }
  std::shared_ptr<Structured> with_branches(std::vector<Graph> graphs) const override {
    return std::make_shared<StructuredIf>(compiled_body(std::move(graphs[0])),
                                          compiled_body(std::move(graphs[1])), results_);
  }

  std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs, const std::vector<bool>& needed,
                                            Location where, Tensors& outputs) override;

 private:
  TracedBody bodies_[2];
  std::vector<Spec> results_;
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
};

class BranchArrival final : public Arrival {
 public:
  explicit BranchArrival(Tensor holds) : holds_(std::move(holds)) {}

  std::vector<Tensor> choose(const std::function<TensorList()>& then,
                             const std::function<TensorList()>& otherwise, Location where) const override {
    return detail::traced_cond(holds_, then, otherwise, where);
  }
  std::shared_ptr<const Arrival> either(const Arrival& other) const override {
    return std::make_shared<BranchArrival>(
        logical_or(holds_, static_cast<const BranchArrival&>(other).holds_));
  }

 private:
  Tensor holds_;
};

class IfBackward final : public Backward {
 public:
  using Residuals = std::map<ValueRef, Tensor>;

  IfBackward(const Graph& then_graph, const Graph& else_graph,
             std::vector<std::shared_ptr<detail::VariableImpl>> variables, std::vector<bool> needed,
             Tensor predicate, Residuals then_residuals, Residuals else_residuals, Location where,
             TensorList like)
      : graphs_{then_graph, else_graph},
        variables_(std::move(variables)),
        needed_(std::move(needed)),
        predicate_(std::move(predicate)),
        residuals_{std::move(then_residuals), std::move(else_residuals)},
        where_(where),
        like_(std::move(like)) {}

  void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) override {
    std::vector<bool> arriving, summed;
    for (const Tensor& t : output_gradients) arriving.push_back(t.defined());
    // `sums` begins with the predicate, which has none.
    for (size_t i = 1; i < sums.size(); ++i) summed.push_back(sums[i].defined());
    const SplitBody parts[2] = {split(graphs_[0], variables_, needed_, arriving, summed),
                                split(graphs_[1], variables_, needed_, arriving, summed)};
    find_arrivals(parts, summed);
    auto branch = [&](int which) -> TensorList {
      const SplitBody& s = parts[which];
      TensorList inputs;
      for (size_t k = 0; k < s.residuals.size(); ++k) {
        const SplitBody::Residual& r = s.residuals[k];
        inputs.push_back(r.argument >= 0 ? like_[static_cast<size_t>(r.argument)]
                                         : residuals_[which].at(r.value));
      }
      for (const Tensor& t : output_gradients)
        if (t.defined()) inputs.push_back(t);
      for (size_t i = 0; i < needed_.size(); ++i)
        if (needed_[i] && summed[i]) inputs.push_back(sums[i + 1]);
      const TensorList all = replay_outputs(s.backward, inputs);
      TensorList found;
      for (size_t i = 0, next = 0; i < needed_.size(); ++i) {
        if (!needed_[i]) continue;
        const Tensor& sum = all[next++];
        if (!reached_[i]) continue;
        found.push_back(sum.defined() ? sum : empty_sum(like_[i]));
      }
      return found;
    };
    const TensorList found = detail::traced_cond(
        predicate_, [&] { return branch(0); }, [&] { return branch(1); }, where_);
    size_t next = 0;
    for (size_t i = 0; i < needed_.size(); ++i)
      if (reached_[i]) sums[i + 1] = found[next++];
  }

  std::shared_ptr<const Arrival> arrival(size_t i) const override {
    return i == 0 ? nullptr : arrivals_[i - 1];
  }

 private:
  /// Whether each sum gets something from a branch, and when.
  void find_arrivals(const SplitBody (&parts)[2], const std::vector<bool>& summed) {
    reached_.assign(needed_.size(), false);
    arrivals_.assign(needed_.size(), nullptr);
    std::shared_ptr<const Arrival> when[2];
    for (size_t i = 0, next = 0; i < needed_.size(); ++i) {
      if (!needed_[i]) continue;
      bool adds[2];
      for (int b = 0; b < 2; ++b) {
        const Graph& g = parts[b].backward;
        const ValueRef v = g.outputs[next];
        // A sum that comes out as it came in got nothing.
        adds[b] = v.present() && !(summed[i] && g.node(v.node).op->has(is_input));
      }
      ++next;
      reached_[i] = adds[0] || adds[1];
      if (adds[0] == adds[1] || !predicate_.is_symbolic()) continue;
      const int b = adds[0] ? 0 : 1;
      if (!when[b]) when[b] = std::make_shared<BranchArrival>(b == 0 ? predicate_ : logical_not(predicate_));
      arrivals_[i] = when[b];
    }
  }

  Graph graphs_[2];
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
  std::vector<bool> needed_;
  Tensor predicate_;
  Residuals residuals_[2];
  Location where_;
  TensorList like_;  // captures, then values of the variables' shapes
  std::vector<bool> reached_;
  std::vector<std::shared_ptr<const Arrival>> arrivals_;
};

std::unique_ptr<Backward> StructuredIf::apply_recording(std::span<const Tensor> inputs,
                                                        const std::vector<bool>& all_needed, Location where,
                                                        Tensors& outputs) {
  const std::vector<bool> needed(all_needed.begin() + 1, all_needed.end());
  const TensorList captures(inputs.begin() + 1, inputs.end());
  const std::vector<bool> arriving = floating(results_), summed(needed.size(), false);
  SplitBody parts[2];
  for (int b = 0; b < 2; ++b) parts[b] = split(bodies_[b].graph, variables_, needed, arriving, summed, true);
  // Each branch hands over its own residuals and zeros for the other's.
  auto branch = [&](int which) {
    TensorList results = replay_outputs(parts[which].forward, captures);
    const TensorList own(results.begin() + static_cast<ptrdiff_t>(results_.size()), results.end());
    results.resize(results_.size());
    for (int b = 0; b < 2; ++b)
      for (size_t i = 0; i < parts[b].residuals.size(); ++i) {
        if (!parts[b].handed_over(i, 0)) continue;
        const Spec& s = parts[b].residuals[i].spec;
        results.push_back(
            b == which ? own[i]
                       : zeros(s.shape.is_static() ? s.shape : Dims::filled(s.shape.rank(), 0), s.dtype));
      }
    return results;
  };
  TensorList all = detail::traced_cond(
      inputs[0], [&] { return branch(0); }, [&] { return branch(1); }, where);
  outputs.clear();
  size_t at = 0;
  for (; at < results_.size(); ++at) outputs.push_back(all[at]);
  IfBackward::Residuals residuals[2];
  for (int b = 0; b < 2; ++b)
    for (size_t i = 0; i < parts[b].residuals.size(); ++i)
      if (parts[b].handed_over(i, 0)) residuals[b][parts[b].residuals[i].value] = all[at++];
  TensorList like = captures;
  for (const auto& v : variables_) like.push_back(zeros(v->spec.shape, v->spec.dtype));
  return std::make_unique<IfBackward>(bodies_[0].graph, bodies_[1].graph, variables_, needed, inputs[0],
                                      std::move(residuals[0]), std::move(residuals[1]), where,
                                      std::move(like));
}

}  // namespace

namespace detail {

TensorList traced_cond(const Tensor& predicate, const std::function<TensorList()>& then_branch,
                       const std::function<TensorList()>& else_branch, Location where) {
  return named("cond", where, [&] {
    TD_CHECK(predicate.dtype() == DType::boolean && predicate.shape().codes().element_count() == 1,
             "the predicate is {}{}; a scalar bool is needed", predicate.dtype(), predicate.shape());
    // A predicate known now leaves one branch.
    if (!predicate.is_symbolic()) return *predicate.contiguous().data<bool>() ? then_branch() : else_branch();
    const int64_t first_inside = first_symbol_inside(tandem::current_mode()->innermost_trace()->graph);
    TracedBody bodies[2] = {
        trace_body(
            "a branch of cond", {}, [&](const TensorList&) { return then_branch(); }, where),
        trace_body(
            "a branch of cond", {}, [&](const TensorList&) { return else_branch(); }, where)};
    const size_t count = bodies[0].graph.outputs.size();
    TD_CHECK(count == bodies[1].graph.outputs.size(), "the branches return {} and {} tensors", count,
             bodies[1].graph.outputs.size());
    std::vector<Spec> results;
    for (size_t i = 0; i < count; ++i) {
      Spec a = bodies[0].graph.spec(bodies[0].graph.outputs[i]);
      const Spec b = bodies[1].graph.spec(bodies[1].graph.outputs[i]);
      TD_CHECK(a.dtype == b.dtype && a.shape.rank() == b.shape.rank(),
               "result {} is {}{} in one branch ({}:{}) and {}{} in the other ({}:{})", i, a.dtype, a.shape,
               bodies[0].where[i].file_name(), bodies[0].where[i].line, b.dtype, b.shape,
               bodies[1].where[i].file_name(), bodies[1].where[i].line);
      for (int d = 0; d < a.shape.rank(); ++d)
        if (a.shape[d] != b.shape[d] || is_symbol_inside(a.shape[d], first_inside))
          a.shape[d] = tandem::current_mode()->known_values()->fresh_symbol();
      results.push_back(a);
    }
    const TensorList captures = union_of(bodies[0].captures, bodies[1].captures);
    for (TracedBody& b : bodies) widen_captures(b, 0, captures);
    TensorList inputs{predicate};
    inputs.insert(inputs.end(), captures.begin(), captures.end());
    auto structured = std::make_shared<StructuredIf>(std::move(bodies[0]), std::move(bodies[1]), results);
    return apply_if(std::move(structured), std::move(results), inputs, where);
  });
}

}  // namespace detail

}  // namespace tandem
