#pragma once
// A recorded graph's way back, as graphs: what calls, branches and loops are differentiated with.

#include <vector>

#include "graph/graph.h"

namespace tandem {

namespace detail {
struct VariableImpl;
}

/// A forward graph replayed under a tape, with its gradient behind it.
struct Differentiated {
  Graph graph;
  int32_t boundary = 0;                   // nodes before it are the forward part
  std::vector<ValueRef> outputs;          // the forward part's results
  std::vector<ValueRef> gradient_inputs;  // Input nodes of arriving gradients, then of sums
  std::vector<ValueRef> sums;             // the backward part's results; absent where none
};

/// `needed`: one flag an argument of `recorded`, then one a variable; `arriving`: outputs that a gradient
/// reaches; `summed`: needed sources with a running sum already.
Differentiated differentiate(const Graph& recorded,
                             const std::vector<std::shared_ptr<detail::VariableImpl>>& variables,
                             const std::vector<bool>& needed, const std::vector<bool>& arriving,
                             const std::vector<bool>& summed);

/// Patterns of arriving gradients whose ways back take, together, all that any pattern within `all` takes:
/// what one of several outputs lacks is filled with zeros of its shape, which only then is needed.
std::vector<std::vector<bool>> arriving_patterns(const Graph& recorded, const std::vector<bool>& all);
/// Appends those of `more` that are not there yet.
void add_missing(std::vector<ValueRef>& values, std::span<const ValueRef> more);

/// The nodes before `boundary`, with further results.
Graph forward_part(const Differentiated& d, std::span<const ValueRef> residuals);

/// The nodes from `boundary` on. Values from before it come in as arguments, in the order in which
/// `residuals` gets them; then come the gradients and the sums.
Graph backward_part(const Differentiated& d, std::vector<ValueRef>& residuals);

/// Trainable or not: floating variables that the graph reads, in order of first read.
std::vector<std::shared_ptr<detail::VariableImpl>> variables_read(const Graph& graph);

/// Whether running it again would do more than compute, in its bodies too.
bool runs_effects(const Graph& graph);

/// Records every node of `graph` again through the current mode. `inputs` stand for its arguments.
std::vector<Tensors> replay(const Graph& graph, std::span<const Tensor> inputs);
/// The same, for its outputs alone.
std::vector<Tensor> replay_outputs(const Graph& graph, std::span<const Tensor> inputs);

}  // namespace tandem
