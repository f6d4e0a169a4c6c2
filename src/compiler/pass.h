#pragma once
// Passes: graph to graph, same meaning, bit for bit.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace tandem {

/// One transformation. `run` says whether it changed anything; run twice, the second says no. When it throws,
/// the graph is as it was.
struct Pass {
  std::string_view name;
  bool (*run)(Graph&);
  bool fast_math = false;  ///< may change bits: runs only when asked for
  bool for_plans = false;  ///< only for what runs on this machine; runs when the others are done
};

/// How a pipeline runs.
struct PipelineOptions {
  std::vector<std::string> disabled;  ///< names of passes to leave out
  bool fast_math = false;             ///< also rules that may change bits
  bool for_plans = false;             ///< also what suits this machine: the graph is run, not saved
  /// Called after each pass that changed the graph.
  std::function<void(std::string_view pass, const Graph&)> dump;
  /// Verify the graph before and after every pass. Always so in builds with assertions.
  bool verify = verify_by_default;

  static bool verify_by_default;  ///< tests set it
};

struct PassTiming {
  std::string name;
  double microseconds = 0;  ///< over all its runs
  int runs = 0;
  bool changed = false;
};

/// Runs the default pipeline until no pass changes anything. A pass that fails is named in an internal Error
/// and the graph is as before it. Errors: `disabled` names a pass that does not exist.
std::vector<PassTiming> optimize(Graph& graph, const PipelineOptions& options = {});
/// All passes, in order.
std::span<const Pass> default_pipeline();

}  // namespace tandem
