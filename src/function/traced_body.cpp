#include "function/traced_body.h"

#include <algorithm>

#include "function/differentiate.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "ops/structured.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem {

using detail::TensorList;

namespace {
constexpr int nesting_limit = 64;
}

TracedBody trace_body(std::string_view what, std::span<const Spec> arguments,
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
  trace.graph.next_symbol = first_symbol_inside(enclosing->graph);
  TensorList inputs;
  for (const Spec& s : arguments) inputs.push_back(trace.add_input("v", s));
  TracedBody result;
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

void widen_captures(TracedBody& body, int own_arguments, const TensorList& all) {
  std::vector<int32_t> inputs(body.graph.inputs.begin(), body.graph.inputs.begin() + own_arguments);
  for (const Tensor& t : all) {
    const auto found = std::find_if(body.captures.begin(), body.captures.end(),
                                    [&](const Tensor& c) { return c.impl() == t.impl(); });
    if (found != body.captures.end())
      inputs.push_back(
          body.graph.inputs[static_cast<size_t>(own_arguments + (found - body.captures.begin()))]);
    else
      inputs.push_back(body.graph.add_input("unused", detail::coded_spec(t)).node);
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

TracedBody compiled_body(Graph graph) {
  TracedBody body;
  body.compiled = std::make_shared<CompiledGraph>(graph, PipelineOptions());
  body.graph = std::move(graph);
  return body;
}

TensorList union_of(const TensorList& a, const TensorList& b) {
  TensorList all = a;
  for (const Tensor& t : b)
    if (std::none_of(all.begin(), all.end(), [&](const Tensor& x) { return x.impl() == t.impl(); }))
      all.push_back(t);
  return all;
}

namespace {

/// The op that records a structured body and what its results are.
struct BodyAttributes : StructuredAttributes {
  std::vector<Spec> results;
  static constexpr auto fields() { return std::tuple{}; }
};

/// What If and Loop share: how they run stands in the body.
struct BodyOp {
  using Attributes = BodyAttributes;
  static constexpr int since = 25;
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

struct If : BodyOp {
  static constexpr std::string_view name = "If";
  static constexpr std::array<InputDef, 2> inputs{
      {{"cond", types::boolean, 1}, {"captures", types::all, -1, InputDef::variadic}}};
};

struct Loop : BodyOp {
  static constexpr std::string_view name = "Loop";
  static constexpr std::array<InputDef, 1> inputs{{{"values", types::all, -1, InputDef::variadic}}};
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

}  // namespace

TensorList apply_if(std::shared_ptr<Structured> structured, std::vector<Spec> results,
                    const TensorList& inputs, Location where) {
  return apply_body(op_def<If>, std::move(structured), std::move(results), inputs, where);
}

TensorList apply_loop(std::shared_ptr<Structured> structured, std::vector<Spec> results,
                      const TensorList& inputs, Location where) {
  return apply_body(op_def<Loop>, std::move(structured), std::move(results), inputs, where);
}

Tensor empty_sum(const Tensor& like) { return full(like.shape(), -0.0, like.dtype()); }

SplitBody split(const Graph& graph, const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                const std::vector<bool>& needed, const std::vector<bool>& arriving,
                const std::vector<bool>& summed, bool for_fewer) {
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

}  // namespace tandem
