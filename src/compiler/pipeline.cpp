#include <algorithm>
#include <chrono>

#include "compiler/pass.h"
#include "compiler/passes/passes.h"
#include "core/check.h"
#include "graph/verify.h"

namespace tandem {

namespace {

constexpr Pass pipeline[] = {
    {"prune", passes::prune},                    // what nothing needs
    {"bypass", passes::bypass},                  // what does nothing
    {"fold_constants", passes::fold_constants},  // what is known now
    {"dead_branches", passes::dead_branches},    // branches that are never taken
    {"refine_sizes", passes::refine_sizes},      // sizes that this makes known
    {"simplify_moves", passes::simplify_moves},  // movers and casts that cancel or combine
    {"algebra", passes::algebra},                // exact rules
    {"fast_math", passes::fast_math, true},      // rules that may change bits
    {"merge_common", passes::merge_common},      // what is computed twice
    {"sink", passes::sink},                      // what only one branch needs
    {"keep_channels_last", passes::keep_channels_last, false, true},  // memory as convolutions like it
};

// Passes make work for one another; a graph that still changes after so many rounds stays as it is.
constexpr int most_rounds = 20;

bool run(const Pass& pass, Graph& graph, const PipelineOptions& options) {
  if (!options.verify) return pass.run(graph);
  const Interface before(graph);
  verify(graph, fmt::format("what came before {}", pass.name), true);
  Graph changed = graph;
  if (!pass.run(changed)) return false;
  verify(changed, pass.name, true);
  before.check(changed, pass.name);
  graph = std::move(changed);
  return true;
}

}  // namespace

#ifdef NDEBUG
bool PipelineOptions::verify_by_default = false;
#else
bool PipelineOptions::verify_by_default = true;
#endif

std::span<const Pass> default_pipeline() { return pipeline; }

std::vector<PassTiming> optimize(Graph& graph, const PipelineOptions& options) {
  for (const std::string& name : options.disabled)
    TD_CHECK(
        std::any_of(std::begin(pipeline), std::end(pipeline), [&](const Pass& p) { return p.name == name; }),
        "no pass is called \"{}\"", name);
  std::vector<PassTiming> timings;
  for (const Pass& pass : pipeline) timings.push_back({std::string(pass.name)});
  // A pass runs again once another has changed the graph since.
  int changes = 0;
  int seen[std::size(pipeline)];
  std::fill(std::begin(seen), std::end(seen), -1);
  bool settled = false;  // once nothing changes, what is for plans only takes part
  for (int round = 0; round < most_rounds; ++round) {
    const int before = changes;
    for (size_t i = 0; i < std::size(pipeline); ++i) {
      const Pass& pass = pipeline[i];
      const bool enabled =
          std::find(options.disabled.begin(), options.disabled.end(), pass.name) == options.disabled.end();
      if (!enabled || (pass.fast_math && !options.fast_math) || (pass.for_plans && !settled) ||
          seen[i] == changes)
        continue;
      const auto start = std::chrono::steady_clock::now();
      bool changed = false;
      try {
        changed = run(pass, graph, options);
      } catch (Error& e) {
        e.add_context(fmt::format("in the compiler's pass {}", pass.name));
        throw;
      }
      PassTiming& t = timings[i];
      t.microseconds +=
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
      ++t.runs;
      t.changed = t.changed || changed;
      if (changed) ++changes;
      seen[i] = changes;
      if (changed && options.dump) options.dump(pass.name, graph);
    }
    if (changes != before) continue;
    if (settled || !options.for_plans) break;
    settled = true;
  }
  return timings;
}

}  // namespace tandem
