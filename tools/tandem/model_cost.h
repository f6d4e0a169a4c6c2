#pragma once
// What a run of a model costs, from its graph.

#include <cstdint>
#include <optional>

#include "tandem/load.h"

namespace tandem::cli {

struct Cost {
  int nodes = 0;                 ///< of the optimized graph
  std::optional<int64_t> flops;  ///< none where shapes or bodies are not known before a run
  int64_t peak_bytes = -1;       ///< -1: unknown
};

/// After a call with these inputs.
Cost cost_of(const LoadedModel& model, const std::vector<Tensor>& inputs);

}  // namespace tandem::cli
