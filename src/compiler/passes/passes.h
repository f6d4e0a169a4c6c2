#pragma once
// Every pass; pipeline.cpp says in which order they run.

#include "graph/graph.h"

namespace tandem::passes {

/// Drops nodes that nothing needs. Effects stay.
bool prune(Graph& graph);
/// Uses what ops that change nothing were given: identity, stop_gradient (gradients are built by now).
bool bypass(Graph& graph);
/// Evaluates what depends on constants and known sizes only.
bool fold_constants(Graph& graph);
/// Branches and loops of which one way is left: a constant predicate, a loop that cannot begin, what nothing
/// uses.
bool dead_branches(Graph& graph);
/// Moves work that only one branch needs into it.
bool sink(Graph& graph);
/// Computes once what is computed twice, reads of unchanged variables included.
bool merge_common(Graph& graph);
/// Learns sizes that became known since the graph was traced.
bool refine_sizes(Graph& graph);
/// Movers and casts that cancel, combine or do nothing.
bool simplify_moves(Graph& graph);
/// The exact rewrite rows of rules.cpp, and what ops' traits promise.
bool algebra(Graph& graph);
/// The rows that may change bits.
bool fast_math(Graph& graph);
/// Lets channels stand last in memory between convolutions, where that saves moving them.
bool keep_channels_last(Graph& graph);

}  // namespace tandem::passes
