#pragma once
// Bodies of branches and loops while tracing: graphs of their own, and their parts for the way back.

#include <functional>
#include <memory>
#include <vector>

#include "compiler/compiled_graph.h"
#include "function/control_flow.h"

namespace tandem {

/// A body: its graph, whose first arguments are the loop variables and whose others are captured.
struct TracedBody {
  Graph graph;
  std::vector<Tensor> captures;  ///< of the enclosing trace, in the order of the arguments after the first
  std::vector<Location> where;   ///< of each result, for messages
  std::shared_ptr<CompiledGraph> compiled;
};

/// Traces `body` inside the current trace. `what` names it in messages: "a branch of cond".
TracedBody trace_body(std::string_view what, std::span<const Spec> arguments,
                      const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body, Location where);
/// Gives `body` one list of captures that it shares with another body, and compiles it.
void widen_captures(TracedBody& body, int own_arguments, const std::vector<Tensor>& all);
/// A body for running only: what it captures is known to the op that holds it.
TracedBody compiled_body(Graph graph);
std::vector<Tensor> union_of(const std::vector<Tensor>& a, const std::vector<Tensor>& b);

/// A body's own symbols and those of the trace around it do not meet.
inline int64_t first_symbol_inside(const Graph& enclosing) { return enclosing.next_symbol - 4096; }
/// Whether a size is a body's own: two bodies may call two sizes by the same symbol.
inline bool is_symbol_inside(int64_t size, int64_t first) { return is_symbol(size) && size <= first; }

/// Applies If through the current mode: the predicate, then what the branches capture.
std::vector<Tensor> apply_if(std::shared_ptr<Structured> structured, std::vector<Spec> results,
                             const std::vector<Tensor>& inputs, Location where);
/// Applies Loop: the variables, then what the condition and the body capture.
std::vector<Tensor> apply_loop(std::shared_ptr<Structured> structured, std::vector<Spec> results,
                               const std::vector<Tensor>& inputs, Location where);

/// Adding -0 changes no bit of what it is added to: an empty sum.
Tensor empty_sum(const Tensor& like);

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

/// Splits a body that reads `variables`. One flag of `needed` and `summed` an argument, then one a variable:
/// its gradient is asked for; there is a sum of it already. `for_fewer`: the residuals are enough for fewer
/// arriving gradients too.
SplitBody split(const Graph& graph, const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                const std::vector<bool>& needed, const std::vector<bool>& arriving,
                const std::vector<bool>& summed, bool for_fewer = false);

}  // namespace tandem
