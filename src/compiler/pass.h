#pragma once
// Passes: graph to graph, same meaning, bit for bit.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace tandem {

/// One transformation. `run` says whether it changed anything; run twice, the second says no.
struct Pass {
  std::string_view name;
  bool (*run)(Graph&);
};

/// How a pipeline runs.
struct PipelineOptions {
  std::vector<std::string> disabled;  ///< names of passes to leave out
  bool fast_math = false;             ///< also rules that may change bits
  /// Called after each pass that changed the graph.
  std::function<void(std::string_view pass, const Graph&)> dump;
};

struct PassTiming {
  std::string name;
  double microseconds = 0;
  bool changed = false;
};

/// Runs the default pipeline. The verifier runs before and after every pass in builds with assertions.
std::vector<PassTiming> optimize(Graph& graph, const PipelineOptions& options = {});
/// All passes, in order.
std::span<const Pass> default_pipeline();

}  // namespace tandem
