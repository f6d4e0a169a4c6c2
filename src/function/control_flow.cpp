// cond and while_loop while tracing: the ops If and Loop, whose bodies are graphs of their own.

#include "tandem/control_flow.h"

#include <algorithm>
#include <climits>
#include <cstring>
#include <map>
#include <mutex>

#include "compiler/compiled_graph.h"
#include "function/control_flow.h"
#include "function/differentiate.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "ops/executable.h"
#include "ops/structured.h"
#include "ops/variable_impl.h"
#include "runtime/run_control.h"
#include "tandem/ops.h"

namespace tandem {

using detail::TensorList;

namespace {

constexpr int nesting_limit = 64;

/// A body: its graph, whose first arguments are the loop variables and whose others are captured.
struct Body {
  Graph graph;
  TensorList captures;  // tensors of the enclosing trace, in the order of the arguments after the first ones
  std::vector<Location> where;  // of each result, for messages
  std::shared_ptr<CompiledGraph> compiled;

  std::vector<Tensor> run(std::span<const Tensor> inputs) const {
    std::vector<Tensor> outputs(graph.outputs.size());
    const ModeScope eager(nullptr);
    compiled->run(inputs, outputs);
    return outputs;
  }
};

Body trace_body(std::string_view what, std::span<const Spec> arguments,
                const std::function<TensorList(TensorList)>& body, Location where) {
  TraceMode* enclosing = current_mode()->innermost_trace();
  int depth = 0;
  for (const TraceMode* outer = enclosing; outer; outer = outer->enclosing) ++depth;
  TD_CHECK(
      depth < nesting_limit,
      "branches and loops are nested {} deep; recursion on tensors never ends while tracing, so recurse on "
      "numbers or use td::while_loop",
      depth);
  TraceMode trace;
  trace.enclosing = enclosing;
  trace.body_of = what;
  trace.graph.next_symbol = enclosing->graph.next_symbol - 4096;  // its symbols and ours do not meet
  TensorList inputs;
  for (const Spec& s : arguments) inputs.push_back(trace.add_input("v", s));
  Body result;
  {
    const ModeScope scope(&trace);
    const CallChainScope calls(nullptr);  // the op that holds the body has them
    for (const Tensor& t : body(std::move(inputs))) {
      const ValueRef v = trace.value_of(t, where);
      trace.graph.outputs.push_back(v);
      result.where.push_back(trace.graph.node(v.node).where);
    }
  }
  result.graph = std::move(trace.graph);
  result.captures = std::move(trace.captures);
  return result;
}

/// Gives `body` one list of captures that it shares with another body.
void widen_captures(Body& body, int own_arguments, const TensorList& all) {
  std::vector<int32_t> inputs(body.graph.inputs.begin(), body.graph.inputs.begin() + own_arguments);
  for (const Tensor& t : all) {
    const auto found = std::find_if(body.captures.begin(), body.captures.end(),
                                    [&](const Tensor& c) { return c.impl() == t.impl(); });
    if (found != body.captures.end())
      inputs.push_back(
          body.graph.inputs[static_cast<size_t>(own_arguments + (found - body.captures.begin()))]);
    else
      inputs.push_back(body.graph.add_input("unused", t.spec()).node);
  }
  body.graph.inputs = std::move(inputs);
  for (size_t i = 0; i < body.graph.inputs.size(); ++i) {
    Node& n = body.graph.node(body.graph.inputs[i]);
    InputAttributes a = n.attributes.as<InputAttributes>();
    a.index = static_cast<int64_t>(i);
    n.attributes = AttributeBox(attribute_type<InputAttributes>, &a);
  }
  body.captures = all;
  body.compiled = std::make_shared<CompiledGraph>(body.graph, PipelineOptions());
}

TensorList union_of(const TensorList& a, const TensorList& b) {
  TensorList all = a;
  for (const Tensor& t : b)
    if (std::none_of(all.begin(), all.end(), [&](const Tensor& x) { return x.impl() == t.impl(); }))
      all.push_back(t);
  return all;
}

bool has_effects(const Graph& g) {
  return std::any_of(g.nodes.begin(), g.nodes.end(), [](const Node& n) { return n.op->has(effect); });
}

/// The op that records a structured body and what its results are.
struct BodyAttributes : StructuredAttributes {
  std::vector<Spec> results;
  static constexpr auto fields() { return std::tuple{}; }
};

struct If {
  static constexpr std::string_view name = "If";
  static constexpr int since = 25;
  using Attributes = BodyAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"cond", types::boolean, 1}, {"captures", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = -1;
  static constexpr uint32_t traits = has_bodies | effect;
  static void infer(InferContext& c, const Attributes& a) {
    for (const Spec& s : a.results) c.output(s.dtype, s.shape);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    static_cast<RunnableBody&>(*a.structured).run(in, out);
  }
  static Tensors gradient(const Gradient&) { return {}; }  // the tape goes through Structured
  static std::vector<Sample> samples() { return {}; }
};

struct Loop {
  static constexpr std::string_view name = "Loop";
  static constexpr int since = 25;
  using Attributes = BodyAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"values", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = -1;
  static constexpr uint32_t traits = has_bodies | effect;
  static void infer(InferContext& c, const Attributes& a) {
    for (const Spec& s : a.results) c.output(s.dtype, s.shape);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    static_cast<RunnableBody&>(*a.structured).run(in, out);
  }
  static Tensors gradient(const Gradient&) { return {}; }
  static std::vector<Sample> samples() { return {}; }
};

/// Applies If or Loop through the current mode.
TensorList apply_body(const OpDef& op, std::shared_ptr<Structured> structured, std::vector<Spec> results,
                      const TensorList& inputs, Location where) {
  BodyAttributes a;
  a.structured = std::move(structured);
  a.results = std::move(results);
  std::vector<Operand> operands;
  for (const Tensor& t : inputs) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  current_mode()->apply(op, &a, list, where, outputs);
  return TensorList(outputs.begin(), outputs.end());
}

// Adding -0 changes no bit of what it is added to: an empty sum.
Tensor empty_sum(const Tensor& like) { return full(like.shape(), -0.0, like.dtype()); }

/// A body with its forward and backward parts for one pattern of gradients.
struct SplitBody {
  /// A value of the forward part that the backward part takes.
  struct Residual {
    ValueRef value;
    Spec spec;
    int argument = -1;  // it is this argument of the body, and need not be handed over
  };
  Graph forward, backward;  // the forward part returns the residuals after its results
  std::vector<Residual> residuals;

  /// Arguments from `first_known` on are the same on the way back: only other residuals are handed over.
  bool handed_over(size_t k, int first_known) const { return residuals[k].argument < first_known; }
};

/// `for_fewer`: the residuals are enough for fewer arriving gradients too.
SplitBody split(const Graph& graph, const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                const std::vector<bool>& needed, const std::vector<bool>& arriving,
                const std::vector<bool>& summed, bool for_fewer = false) {
  const ModeScope eager(nullptr);
  const Differentiated d = differentiate(graph, variables, needed, arriving, summed);
  std::vector<ValueRef> used;
  SplitBody s;
  s.backward = backward_part(d, used);
  if (for_fewer)
    for (const std::vector<bool>& pattern : arriving_patterns(graph, arriving)) {
      std::vector<ValueRef> more;
      backward_part(differentiate(graph, variables, needed, pattern, summed), more);
      add_missing(used, more);
    }
  s.forward = forward_part(d, used);
  for (ValueRef v : used) {
    const Node& n = d.graph.node(v.node);
    const bool argument = n.op->has(is_input) && v.node < d.boundary;
    s.residuals.push_back(
        {v, d.graph.spec(v), argument ? static_cast<int>(n.attributes.as<InputAttributes>().index) : -1});
  }
  return s;
}

std::vector<bool> floating(const std::vector<Spec>& specs) {
  std::vector<bool> flags;
  for (const Spec& s : specs) flags.push_back(is_floating(s.dtype));
  return flags;
}

// ---- cond

class StructuredIf final : public RunnableBody {
 public:
  StructuredIf(Body then_body, Body else_body, std::vector<Spec> results)
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
    const Body& body = bodies_[*inputs[0].data<bool>() ? 0 : 1];
    std::vector<Tensor> results = body.run(inputs.subspan(1));
    std::move(results.begin(), results.end(), outputs.begin());
  }

  View view() const override { return {Kind::branches, {&bodies_[0].graph, &bodies_[1].graph}}; }

  std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs, const std::vector<bool>& needed,
                                            Location where, Tensors& outputs) override;

 private:
  Body bodies_[2];
  std::vector<Spec> results_;
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
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
    auto branch = [&](int which) -> TensorList {
      const SplitBody s = split(graphs_[which], variables_, needed_, arriving, summed);
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
      TensorList found = replay_outputs(s.backward, inputs);
      size_t next = 0;
      for (size_t i = 0; i < needed_.size(); ++i) {
        if (!needed_[i]) continue;
        if (!found[next].defined()) found[next] = empty_sum(like_[i]);
        ++next;
      }
      return found;
    };
    const TensorList found = detail::traced_cond(
        predicate_, [&] { return branch(0); }, [&] { return branch(1); }, where_);
    size_t next = 0;
    for (size_t i = 0; i < needed_.size(); ++i)
      if (needed_[i]) sums[i + 1] = found[next++];
  }

 private:
  Graph graphs_[2];
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
  std::vector<bool> needed_;
  Tensor predicate_;
  Residuals residuals_[2];
  Location where_;
  TensorList like_;  // captures, then values of the variables' shapes
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

// ---- while

/// Inputs: the loop variables, then the captures. Outputs: the variables, then the scans: values of each
/// iteration, stacked. From scan `first_padded` on, a value that may change its shape is filled up with zeros
/// to the largest, and the scan after it tells the shapes.
class StructuredLoop final : public RunnableBody {
 public:
  StructuredLoop(Body condition, Body body, int variable_count, int64_t maximum_iterations, int first_padded)
      : condition_(std::move(condition)),
        body_(std::move(body)),
        count_(variable_count),
        limit_(maximum_iterations),
        first_padded_(first_padded) {
    variables_ = variables_read(body_.graph);
  }

  std::vector<std::shared_ptr<detail::VariableImpl>> variables() const override { return variables_; }
  bool has_effects() const override { return runs_effects(condition_.graph) || runs_effects(body_.graph); }

  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override {
    std::vector<Tensor> state(inputs.begin(), inputs.end());
    const size_t scans = body_.graph.outputs.size() - static_cast<size_t>(count_);
    std::vector<std::vector<Tensor>> kept(scans);
    int64_t iteration = 0;
    for (; limit_ < 0 || iteration < limit_; ++iteration) {
      try {
        if (!*condition_.run(state)[0].data<bool>()) break;
        std::vector<Tensor> next = body_.run(state);
        for (int i = 0; i < count_; ++i) state[static_cast<size_t>(i)] = next[static_cast<size_t>(i)];
        for (size_t k = 0; k < scans; ++k) kept[k].push_back(next[static_cast<size_t>(count_) + k]);
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
  static Tensor stacked(const std::vector<Tensor>& parts, const Spec& spec, bool padded) {
    Shape shape = parts.empty() ? spec.shape : parts[0].shape();
    for (int64_t& d : shape) d = d < 0 ? 0 : d;
    const auto same = [&](const Tensor& t) { return t.shape() == shape; };
    if (padded && !std::all_of(parts.begin(), parts.end(), same)) {
      for (const Tensor& t : parts)
        for (int d = 0; d < shape.rank(); ++d) shape[d] = std::max(shape[d], t.shape()[d]);
      std::vector<Tensor> filled;
      for (const Tensor& t : parts) {
        Dims pads = Dims::filled(2 * shape.rank(), 0);
        for (int d = 0; d < shape.rank(); ++d) pads[shape.rank() + d] = shape[d] - t.shape()[d];
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
      copy_elements({t.impl()->data, t.dtype(), t.shape(), t.impl()->strides}, to);
      to += static_cast<size_t>(t.size()) * size_of(t.dtype());
    }
    return all;
  }

  Body condition_, body_;
  int count_;
  int64_t limit_;
  int first_padded_;
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
    Spec s = variables[i].spec();
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
  Body c = trace_body(
      "the condition of while_loop", specs, [&](TensorList v) { return TensorList{condition(std::move(v))}; },
      where);
  const Spec& decision = c.graph.spec(c.graph.outputs[0]);
  TD_CHECK(decision.dtype == DType::boolean && decision.shape.element_count() == 1,
           "the condition is {}{}; a scalar bool is needed", decision.dtype, decision.shape);
  TD_CHECK(!has_effects(c.graph), "the condition of a loop has effects; move them into the body");
  Body b = trace_body("the body of while_loop", specs, body, where);
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
  auto structured = std::make_shared<StructuredLoop>(std::move(c), std::move(b), count,
                                                     options.maximum_iterations, first_padded);
  return apply_body(op_def<Loop>, std::move(structured), std::move(results), inputs, where);
}

/// Shape invariants for loop variables of any sizes: what the body changes, found by tracing it.
std::vector<Shape> varying_sizes(const std::function<TensorList(TensorList)>& body,
                                 const TensorList& variables, Location where) {
  std::vector<Spec> specs;
  std::vector<Shape> invariants;
  for (const Tensor& v : variables) {
    specs.push_back(v.spec());
    invariants.push_back(v.shape());
  }
  // Each round finds at least one more size that varies, or is the last.
  for (bool changed = true; changed;) {
    changed = false;
    const Body b = trace_body("the body of a loop", specs, body, where);
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
    for (const Tensor& t : state) invariants.push_back(t.shape());
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
  for (size_t i = 0; i < count; ++i) invariants.push_back(invariant_of(body_.graph, i, start[i].shape()));
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

TensorList traced_cond(const Tensor& predicate, const std::function<TensorList()>& then_branch,
                       const std::function<TensorList()>& else_branch, Location where) {
  return named("cond", where, [&] {
    TD_CHECK(predicate.dtype() == DType::boolean && predicate.shape().element_count() == 1,
             "the predicate is {}{}; a scalar bool is needed", predicate.dtype(), predicate.shape());
    // A predicate known now leaves one branch.
    if (!predicate.is_symbolic()) return *predicate.contiguous().data<bool>() ? then_branch() : else_branch();
    Body bodies[2] = {trace_body(
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
        if (a.shape[d] != b.shape[d]) a.shape[d] = tandem::current_mode()->known_values()->fresh_symbol();
      results.push_back(a);
    }
    const TensorList captures = union_of(bodies[0].captures, bodies[1].captures);
    for (Body& b : bodies) widen_captures(b, 0, captures);
    TensorList inputs{predicate};
    inputs.insert(inputs.end(), captures.begin(), captures.end());
    auto structured = std::make_shared<StructuredIf>(std::move(bodies[0]), std::move(bodies[1]), results);
    return apply_body(op_def<If>, std::move(structured), std::move(results), inputs, where);
  });
}

TensorList traced_while(const std::function<Tensor(TensorList)>& condition,
                        const std::function<TensorList(TensorList)>& body, TensorList variables,
                        const WhileOptions& options, Location where) {
  return named("while_loop", where, [&] {
    TD_CHECK(options.shape_invariants.empty() || options.shape_invariants.size() == variables.size(),
             "{} shape invariants were given for {} loop variables", options.shape_invariants.size(),
             variables.size());
    TensorList last = record_loop(condition, body, variables, options, where);
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
      return record_loop(condition, body, variables, options, where);
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
