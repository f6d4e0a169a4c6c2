#pragma once
// What a run of a graph costs.

#include <cstdint>
#include <optional>

#include "graph/graph.h"

namespace tandem {

/// Arithmetic operations of one run; none where shapes or bodies are not known before a run.
std::optional<int64_t> operations_of(const Graph& graph);

}  // namespace tandem
