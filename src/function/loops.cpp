// while_loop while tracing: the op Loop, whose condition and body are graphs of their own.

#include <algorithm>
#include <climits>

#include "function/differentiate.h"
#include "function/trace_mode.h"
#include "function/traced_body.h"
#include "ops/dispatch.h"
#include "ops/executable.h"
#include "ops/variable_impl.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem {

using detail::TensorList;

namespace {

bool has_effects(const Graph& g) {
  return std::any_of(g.nodes.begin(), g.nodes.end(), [](const Node& n) { return n.op->has(effect); });
}

/// Inputs: the loop variables, then the captures. Outputs: the variables, then the scans: values of each
/// iteration, stacked. From scan `first_padded` on, a value that may change its shape is filled up with zeros
/// to the largest, and the scan after it tells the shapes.
class StructuredLoop final : public RunnableBody {
 public:
  /// `invariants`: the shapes that the loop variables keep, -1 for sizes that may change; empty: all stay.
  StructuredLoop(TracedBody condition, TracedBody body, int variable_count, int64_t maximum_iterations,
                 int first_padded, const std::vector<Shape>& invariants)
      : condition_(std::move(condition)),
        body_(std::move(body)),
        count_(variable_count),
        limit_(maximum_iterations),
        first_padded_(first_padded) {
    variables_ = variables_read(body_.graph);
    for (int i = 0; i < count_; ++i) {
      const auto at = static_cast<size_t>(i);
      const Shape &before = body_.graph.spec({body_.graph.inputs[at], 0}).shape,
                  &after = body_.graph.spec(body_.graph.outputs[at]).shape;
      for (int d = 0; d < before.rank(); ++d)
        if (before[d] != after[d] && (invariants.empty() || invariants[at][d] >= 0))
          unproven_.push_back({i, d});
    }
  }

  std::vector<std::shared_ptr<detail::VariableImpl>> variables() const override { return variables_; }
  bool has_effects() const override { return runs_effects(condition_.graph) || runs_effects(body_.graph); }

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    const ModeScope eager(nullptr);
    std::vector<Tensor> state(inputs.begin(), inputs.end());
    std::vector<const Tensor*> arguments;
    for (const Tensor& t : state) arguments.push_back(&t);
    const size_t scans = body_.graph.outputs.size() - static_cast<size_t>(count_);
    std::vector<std::vector<Tensor>> kept(scans);
    std::vector<Tensor> next(body_.graph.outputs.size());
    Tensor more;
    int64_t iteration = 0;
    for (; limit_ < 0 || iteration < limit_; ++iteration) {
      try {
        condition_.compiled->run(arguments, {&more, 1});
        if (!*more.data<bool>()) break;
        body_.compiled->run(arguments, next);
        for (const auto& [i, d] : unproven_) check_kept_size(inputs, next, i, d);
        for (size_t i = 0; i < static_cast<size_t>(count_); ++i) state[i] = std::move(next[i]);
        for (size_t k = 0; k < scans; ++k)
          kept[k].push_back(std::move(next[static_cast<size_t>(count_) + k]));
      } catch (Error& e) {
        e.add_context(fmt::format("in iteration {} of while_loop", iteration));
        throw;
      }
    }
    for (int i = 0; i < count_; ++i) outputs[static_cast<size_t>(i)] = state[static_cast<size_t>(i)];
    for (size_t k = 0; k < scans; ++k)
      outputs[static_cast<size_t>(count_) + k] =
          stacked(kept[k], body_.graph.spec(body_.graph.outputs[static_cast<size_t>(count_) + k]),
                  static_cast<int>(k) >= first_padded_);
  }

  View view() const override { return {Kind::loop, {&condition_.graph, &body_.graph}, count_, limit_}; }

  std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs, const std::vector<bool>& needed,
                                            Location where, Tensors& outputs) override;

 private:
  static void check_kept_size(std::span<const Tensor> first, std::span<const Tensor> next, int variable,
                              int dimension) {
    const auto i = static_cast<size_t>(variable);
    if (next[i].shape().codes()[dimension] == first[i].shape().codes()[dimension]) return;
    detail::named("while_loop", {}, [&] {
      TD_CHECK(
          false,
          "loop variable {} has shape {} before the body and {} after it; give a shape invariant with -1 "
          "for sizes "
          "that change",
          variable, first[i].shape(), next[i].shape());
    });
  }
  static Tensor stacked(const std::vector<Tensor>& parts, const Spec& spec, bool padded) {
    Shape shape = parts.empty() ? spec.shape : parts[0].shape().codes();
    for (int64_t& d : shape) d = d < 0 ? 0 : d;
    const auto same = [&](const Tensor& t) { return t.shape() == shape; };
    if (padded && !std::all_of(parts.begin(), parts.end(), same)) {
      for (const Tensor& t : parts)
        for (int d = 0; d < shape.rank(); ++d) shape[d] = std::max(shape[d], t.shape().codes()[d]);
      std::vector<Tensor> filled;
      for (const Tensor& t : parts) {
        Dims pads = Dims::filled(2 * shape.rank(), 0);
        for (int d = 0; d < shape.rank(); ++d) pads[shape.rank() + d] = shape[d] - t.shape().codes()[d];
        filled.push_back(pad(t, pads));
      }
      return stacked(filled, spec, false);
    }
    shape.insert(0, static_cast<int64_t>(parts.size()));
    Tensor all = detail::empty_tensor(spec.dtype, shape);
    auto* to = static_cast<std::byte*>(all.impl()->data);
    for (const Tensor& t : parts) {
      TD_CHECK(t.shape() == parts[0].shape(),
               "a value that the loop keeps of each iteration changes its shape from {} to {}",
               parts[0].shape(), t.shape());
      copy_elements({t.impl()->data, t.dtype(), t.shape().codes(), t.impl()->strides}, to);
      to += static_cast<size_t>(t.size()) * size_of(t.dtype());
    }
    return all;
  }

  TracedBody condition_, body_;
  int count_;
  int64_t limit_;
  int first_padded_;
  std::vector<std::pair<int, int>> unproven_;  // sizes of variables that must stay, which tracing cannot tell
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
};

/// `shape`, with -1 where loop variable i leaves the body with another size than it entered with.
Shape invariant_of(const Graph& body, size_t i, Shape shape) {
  const Shape &before = body.spec({body.inputs[i], 0}).shape, &after = body.spec(body.outputs[i]).shape;
  for (int d = 0; d < shape.rank(); ++d)
    if (before[d] != after[d]) shape[d] = -1;
  return shape;
}

/// Whether a value of the body may have another shape in each iteration.
bool may_vary(const Spec& s) { return !s.shape.is_static(); }

/// What a scan says of one iteration. `shapes`: the scan of its shapes, where it was filled up.
Tensor scan_at(const Tensor& scan, const Tensor& shapes, const Tensor& iteration) {
  const Tensor row = gather(scan, iteration, 0);
  return shapes.defined() ? slice(row, Dims::filled(row.rank(), 0), gather(shapes, iteration, 0)) : row;
}

/// Records Loop with `scans` further results of the body.
TensorList record_loop(const std::function<Tensor(TensorList)>& condition,
                       const std::function<TensorList(TensorList)>& body, const TensorList& variables,
                       const WhileOptions& options, Location where, int first_padded = INT_MAX) {
  std::vector<Spec> specs;
  for (size_t i = 0; i < variables.size(); ++i) {
    Spec s = detail::coded_spec(variables[i]);
    if (!options.shape_invariants.empty()) {
      const Shape& invariant = options.shape_invariants[i];
      bool fits = invariant.rank() == s.shape.rank();
      for (int d = 0; fits && d < s.shape.rank(); ++d) fits = invariant[d] < 0 || invariant[d] == s.shape[d];
      TD_CHECK(fits, "loop variable {} has shape {}, which its shape invariant {} does not allow", i, s.shape,
               invariant);
      for (int d = 0; d < s.shape.rank(); ++d)
        if (invariant[d] < 0 && invariant[d] != s.shape[d])
          s.shape[d] = current_mode()->known_values()->fresh_symbol();
    }
    specs.push_back(s);
  }
  TracedBody c = trace_body(
      "the condition of while_loop", specs, [&](TensorList v) { return TensorList{condition(std::move(v))}; },
      where);
  const Spec& decision = c.graph.spec(c.graph.outputs[0]);
  TD_CHECK(decision.dtype == DType::boolean && decision.shape.element_count() == 1,
           "the condition is {}{}; a scalar bool is needed", decision.dtype, decision.shape);
  TD_CHECK(!has_effects(c.graph), "the condition of a loop has effects; move them into the body");
  TracedBody b = trace_body("the body of while_loop", specs, body, where);
  TD_CHECK(b.graph.outputs.size() >= variables.size(), "the body returns {} values for {} loop variables",
           b.graph.outputs.size(), variables.size());
  for (size_t i = 0; i < variables.size(); ++i) {
    const Spec& next = b.graph.spec(b.graph.outputs[i]);
    TD_CHECK(next.dtype == specs[i].dtype, "loop variable {} is {} before the body and {} after it", i,
             specs[i].dtype, next.dtype);
    bool fits = next.shape.rank() == specs[i].shape.rank();
    for (int d = 0; fits && d < next.shape.rank(); ++d)
      fits = specs[i].shape[d] < 0 || next.shape[d] == specs[i].shape[d] || next.shape[d] < 0;
    TD_CHECK(fits,
             "loop variable {} has shape {} before the body and {} after it; give a shape invariant with -1 "
             "for sizes "
             "that change",
             i, specs[i].shape, next.shape);
  }
  const int count = static_cast<int>(variables.size());
  const TensorList captures = union_of(c.captures, b.captures);
  widen_captures(c, count, captures);
  widen_captures(b, count, captures);
  std::vector<Spec> results = specs;
  for (size_t i = variables.size(); i < b.graph.outputs.size(); ++i) {
    Spec s = b.graph.spec(b.graph.outputs[i]);
    for (int64_t& d : s.shape) d = d < 0 ? current_mode()->known_values()->fresh_symbol() : d;
    s.shape.insert(0, current_mode()->known_values()->fresh_symbol());
    results.push_back(s);
  }
  TensorList inputs = variables;
  inputs.insert(inputs.end(), captures.begin(), captures.end());
  auto structured = std::make_shared<StructuredLoop>(
      std::move(c), std::move(b), count, options.maximum_iterations, first_padded, options.shape_invariants);
  return apply_loop(std::move(structured), std::move(results), inputs, where);
}

/// Shape invariants for loop variables of any sizes: what the body changes, found by tracing it.
std::vector<Shape> varying_sizes(const std::function<TensorList(TensorList)>& body,
                                 const TensorList& variables, Location where) {
  std::vector<Spec> specs;
  std::vector<Shape> invariants;
  for (const Tensor& v : variables) {
    specs.push_back(detail::coded_spec(v));
    invariants.push_back(v.shape().codes());
  }
  // Each round finds at least one more size that varies, or is the last.
  for (bool changed = true; changed;) {
    changed = false;
    const TracedBody b = trace_body("the body of a loop", specs, body, where);
    for (size_t i = 0; i < specs.size() && i < b.graph.outputs.size(); ++i) {
      const Shape& next = b.graph.spec(b.graph.outputs[i]).shape;
      Shape& shape = specs[i].shape;
      TD_CHECK(next.rank() == shape.rank(), "loop variable {} has shape {} before the body and {} after it",
               i, shape, next);
      for (int d = 0; d < next.rank(); ++d) {
        if (shape[d] == next[d] || invariants[i][d] == -1) continue;
        shape[d] = current_mode()->known_values()->fresh_symbol();
        invariants[i][d] = -1;
        changed = true;
      }
    }
  }
  return invariants;
}

class LoopBackward final : public Backward {
 public:
  /// `scans`: what the loop returned of each iteration; those from `first_padded` on may be filled up.
  /// `stacks`: what it kept for the way back, each that may vary followed by its shapes.
  LoopBackward(Graph body, std::vector<std::shared_ptr<detail::VariableImpl>> variables,
               std::vector<bool> needed, int variable_count, TensorList scans, TensorList stacks,
               TensorList like, int first_padded, Location where)
      : body_(std::move(body)),
        variables_(std::move(variables)),
        needed_(std::move(needed)),
        count_(variable_count),
        first_padded_(first_padded),
        scans_(std::move(scans)),
        stacks_(std::move(stacks)),
        like_(std::move(like)),
        where_(where) {}

  void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) override {
    // Loop variables of floating dtype always carry a gradient; captures and variables a sum, where needed.
    const auto count = static_cast<size_t>(count_);
    std::vector<bool> body_needed = needed_, arriving, summed(needed_.size(), false);
    for (size_t i = 0; i < count; ++i) {
      arriving.push_back(is_floating(like_[i].dtype()));
      body_needed[i] = arriving[i];
    }
    for (size_t i = count; i < needed_.size(); ++i) summed[i] = needed_[i];
    std::vector<std::pair<Tensor, Tensor>> scanned;  // gradients of each iteration's values, and their shapes
    for (size_t k = 0; k < scans_.size(); ++k) {
      arriving.push_back(is_floating(scans_[k].dtype()));
      const Tensor& d = output_gradients[count + k];
      if (!arriving.back()) continue;
      const bool padded = static_cast<int>(k) >= first_padded_ &&
                          may_vary(body_.spec(body_.outputs[count + k])) && k + 1 < scans_.size();
      scanned.emplace_back(d.defined() ? d : empty_sum(scans_[k]), padded ? scans_[k + 1] : Tensor());
    }
    const auto carried = static_cast<size_t>(std::count(arriving.begin(), arriving.begin() + count_, true));
    const SplitBody s = split(body_, variables_, body_needed, arriving, summed);
    TensorList state;
    state.push_back(reshape(shape_of(stacks_[0], 0, 1), Dims()) - 1);
    for (size_t i = 0; i < count; ++i)
      if (arriving[i])
        state.push_back(output_gradients[i].defined() ? output_gradients[i] : empty_sum(like_[i]));
    for (size_t i = count; i < needed_.size(); ++i)
      if (needed_[i]) state.push_back(sums[i].defined() ? sums[i] : empty_sum(like_[i]));
    auto more = [](const TensorList& v) { return greater_or_equal(v[0], 0); };
    auto back = [&](const TensorList& v) -> TensorList {
      TensorList inputs;
      size_t stack = 0;
      for (size_t k = 0; k < s.residuals.size(); ++k) {
        if (!s.handed_over(k, count_)) {
          inputs.push_back(like_[static_cast<size_t>(s.residuals[k].argument)]);
          continue;
        }
        const Tensor& values = stacks_[stack++];
        inputs.push_back(scan_at(values, may_vary(s.residuals[k].spec) ? stacks_[stack++] : Tensor(), v[0]));
      }
      const auto sums_from = v.begin() + 1 + static_cast<ptrdiff_t>(carried);
      inputs.insert(inputs.end(), v.begin() + 1, sums_from);
      for (const auto& [d, shapes] : scanned) inputs.push_back(scan_at(d, shapes, v[0]));
      inputs.insert(inputs.end(), sums_from, v.end());
      TensorList found = replay_outputs(s.backward, inputs);
      TensorList next{v[0] - 1};
      for (size_t k = 0; k < found.size(); ++k)
        next.push_back(found[k].defined() ? found[k] : empty_sum(v[k + 1]));
      return next;
    };
    std::vector<Shape> invariants;
    for (const Tensor& t : state) invariants.push_back(t.shape().codes());
    for (size_t i = 0, at = 1; i < count; ++i)
      if (arriving[i]) {
        invariants[at] = invariant_of(body_, i, invariants[at]);
        ++at;
      }
    const TensorList last =
        record_loop(more, back, state, {.maximum_iterations = -1, .shape_invariants = invariants}, where_);
    size_t next = 1;
    for (size_t i = 0; i < count; ++i) {
      if (!arriving[i]) continue;
      // The initial value's own gradient; it adds to what else reaches that tensor.
      const Tensor& d = last[next++];
      if (needed_[i]) sums[i] = sums[i].defined() ? sums[i] + d : d;
    }
    for (size_t i = count; i < needed_.size(); ++i)
      if (needed_[i]) sums[i] = last[next++];
  }

 private:
  Graph body_;
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
  std::vector<bool> needed_;
  int count_, first_padded_;
  TensorList scans_, stacks_, like_;
  Location where_;
};

std::unique_ptr<Backward> StructuredLoop::apply_recording(std::span<const Tensor> inputs,
                                                          const std::vector<bool>& needed, Location where,
                                                          Tensors& outputs) {
  const auto count = static_cast<size_t>(count_);
  const TensorList start(inputs.begin(), inputs.begin() + count_),
      captures(inputs.begin() + count_, inputs.end());
  std::vector<bool> body_needed = needed, arriving, summed(needed.size(), false);
  for (size_t i = 0; i < count; ++i) {
    arriving.push_back(is_floating(start[i].dtype()));
    body_needed[i] = arriving[i];
  }
  for (size_t i = count; i < needed.size(); ++i) summed[i] = needed[i];
  const size_t returned = body_.graph.outputs.size();  // the variables, then values of each iteration
  for (size_t i = count; i < returned; ++i)
    arriving.push_back(is_floating(body_.graph.spec(body_.graph.outputs[i]).dtype));
  const SplitBody s = split(body_.graph, variables_, body_needed, arriving, summed);
  auto with_captures = [&](TensorList v) {
    v.insert(v.end(), captures.begin(), captures.end());
    return v;
  };
  std::vector<Shape> invariants;
  for (size_t i = 0; i < count; ++i)
    invariants.push_back(invariant_of(body_.graph, i, start[i].shape().codes()));
  const TensorList all = record_loop(
      [&](TensorList v) { return replay_outputs(condition_.graph, with_captures(std::move(v)))[0]; },
      [&](TensorList v) {
        const TensorList all_results = replay_outputs(s.forward, with_captures(std::move(v)));
        TensorList results(all_results.begin(), all_results.begin() + static_cast<ptrdiff_t>(returned));
        for (size_t k = 0; k < s.residuals.size(); ++k)
          if (s.handed_over(k, count_)) {
            results.push_back(all_results[returned + k]);
            if (may_vary(s.residuals[k].spec)) results.push_back(shape_of(all_results[returned + k]));
          }
        // The way back counts iterations by what is kept.
        if (results.size() == returned) results.push_back(zeros(Dims()));
        return results;
      },
      start, {.maximum_iterations = limit_, .shape_invariants = invariants}, where,
      std::min(first_padded_, static_cast<int>(returned - count)));
  outputs.clear();
  for (size_t i = 0; i < returned; ++i) outputs.push_back(all[i]);
  const auto kept = all.begin() + static_cast<ptrdiff_t>(returned);
  const TensorList scans(all.begin() + count_, kept);
  TensorList stacks(kept, all.end()), like = start;
  like.insert(like.end(), captures.begin(), captures.end());
  for (const auto& v : variables_) like.push_back(zeros(v->spec.shape, v->spec.dtype));
  return std::make_unique<LoopBackward>(body_.graph, variables_, needed, count_, scans, std::move(stacks),
                                        std::move(like), first_padded_, where);
}

}  // namespace

namespace detail {

TensorList traced_while(const std::function<Tensor(TensorList)>& condition,
                        const std::function<TensorList(TensorList)>& body, TensorList variables,
                        const WhileOptions& options, Location where) {
  return named("while_loop", where, [&] {
    TD_CHECK(options.shape_invariants.empty() || options.shape_invariants.size() == variables.size(),
             "{} shape invariants were given for {} loop variables", options.shape_invariants.size(),
             variables.size());
    TensorList last = record_loop(condition, body, loop_entries(variables), options, where);
    last.resize(variables.size());
    return last;
  });
}

TensorList traced_loop_with_scans(const std::function<Tensor(TensorList)>& condition,
                                  const std::function<TensorList(TensorList)>& body,
                                  const TensorList& variables, Location where) {
  return record_loop(condition, body, variables, {}, where);
}

TensorList loop_with_scans(const std::function<Tensor(TensorList)>& condition,
                           const std::function<TensorList(TensorList)>& body, TensorList variables,
                           std::span<const Spec> scans, Location where) {
  const size_t count = variables.size();
  if (tracing_now())
    return named("loop", where, [&] {
      const WhileOptions options{.maximum_iterations = -1,
                                 .shape_invariants = varying_sizes(body, variables, where)};
      return record_loop(condition, body, loop_entries(variables), options, where);
    });
  variables = loop_entries(variables);
  std::vector<TensorList> kept(scans.size());
  while (read_predicate(condition(variables), "loop", where)) {
    TensorList next = body(variables);
    named("loop", where, [&] {
      TD_CHECK(next.size() == count + scans.size(), "the body returns {} values; {} are needed", next.size(),
               count + scans.size());
      for (size_t i = 0; i < count; ++i)
        TD_CHECK(next[i].dtype() == variables[i].dtype(),
                 "loop variable {} is {} before the body and {} after it", i, variables[i].dtype(),
                 next[i].dtype());
    });
    for (size_t k = 0; k < scans.size(); ++k) kept[k].push_back(next[count + k]);
    next.resize(count);
    variables = std::move(next);
  }
  for (size_t k = 0; k < scans.size(); ++k) {
    Shape none{0};
    for (int64_t d : scans[k].shape) none.push_back(std::max<int64_t>(d, 0));
    variables.push_back(kept[k].empty() ? zeros(none, scans[k].dtype) : stack(kept[k], 0, where));
  }
  return variables;
}

}  // namespace detail

}  // namespace tandem
