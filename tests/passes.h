#pragma once
// Running one pass of the compiler, with all that every pass owes.

#include <string>

#include "compiler/pass.h"
#include "graph/verify.h"
#include "tests/graph_expressions.h"

namespace tandem::testing {

using PassFunction = bool (*)(Graph&);

/// Runs a pass; checks that its result is well formed, that a second run changes nothing, and that it says
/// the truth.
inline bool run_pass(PassFunction pass, Graph& graph) {
  const TextOptions all{.complete_constants = true};
  const Interface before(graph);
  const std::string text = to_text(graph, all);
  const bool changed = pass(graph);
  const std::string once = to_text(graph, all);
  EXPECT_EQ(changed, once != text) << text << once;
  verify(graph, "the pass", true);
  before.check(graph, "the pass");
  EXPECT_FALSE(pass(graph)) << once << to_text(graph, all);
  EXPECT_EQ(to_text(graph, all), once);
  return changed;
}

}  // namespace tandem::testing
