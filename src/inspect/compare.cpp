#include "tandem/compare.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <ostream>
#include <utility>

#include "core/check.h"
#include "core/text_table.h"
#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "tandem/memory.h"

namespace tandem {

namespace {

constexpr double steady_ns_per_mode = 1e8, longest_steady_ns_per_mode = 5e9;
constexpr int fewest_samples = 21;
constexpr int counted_calls = 15, first_calls = 5;
constexpr double longest_first_calls_ns = 1e9;

int64_t (*allocation_counter)() = nullptr;

int64_t allocations() {
  return memory_statistics().heap_allocations + (allocation_counter != nullptr ? allocation_counter() : 0);
}

/// While one lives, td::functions run eagerly, or as graphs, whatever the user has set.
class FunctionMode {
 public:
  explicit FunctionMode(bool eager) : before_(functions_run_eagerly()) { run_functions_eagerly(eager); }
  ~FunctionMode() { run_functions_eagerly(before_); }
  FunctionMode(const FunctionMode&) = delete;
  FunctionMode& operator=(const FunctionMode&) = delete;

 private:
  bool before_;
};

/// The values of variables at one time.
class State {
 public:
  explicit State(const std::vector<Variable>& variables) : variables_(variables) {
    for (const Variable& variable : variables_) values_.push_back(variable.value());
  }
  void restore() const {
    for (size_t i = 0; i < variables_.size(); ++i) variables_[i].assign(values_[i]);
  }
  const std::vector<Variable>& variables() const { return variables_; }
  const std::vector<Tensor>& values() const { return values_; }

 private:
  std::vector<Variable> variables_;
  std::vector<Tensor> values_;
};

int64_t largest_distance(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  TD_CHECK(a.size() == b.size(), "compare_modes: the function returned {} tensors eagerly and {} as a graph",
           a.size(), b.size());
  int64_t largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].defined() || b[i].defined()) largest = std::max(largest, largest_ulp_distance(a[i], b[i]));
  return largest;
}

std::optional<int64_t> break_even(const Comparison& c) {
  const double saved = c.eager_ns - c.graph_ns;
  if (saved <= 0) return std::nullopt;
  // graph_first + (n - 1) * graph <= eager_first + (n - 1) * eager
  return 1 + std::max<int64_t>(0, std::llround(std::ceil((c.graph_first_ns - c.eager_first_ns) / saved)));
}

struct CallCosts {
  int64_t peak_bytes = 0;
  int64_t allocations = 0;
};

CallCosts measure_costs(const std::function<void(int64_t)>& run) {
  CallCosts costs;
  const int64_t before = memory_statistics().live_bytes;
  reset_peak_memory();
  run(1);
  costs.peak_bytes = memory_statistics().peak_bytes - before;
  // The median of several calls: now and then one makes a cache grow.
  std::array<int64_t, counted_calls> counts;
  for (int64_t& count : counts) {
    const int64_t earlier = allocations();
    run(1);
    count = allocations() - earlier;
  }
  std::sort(counts.begin(), counts.end());
  costs.allocations = counts[counted_calls / 2];
  return costs;
}

/// The first call of each mode, once.
struct FirstCalls {
  double eager_ns = 0, graph_ns = 0;
  TraceInfo trace;
};

double timed(const std::function<void(int64_t)>& run) {
  const Stopwatch watch;
  run(1);
  return watch.nanoseconds();
}

}  // namespace

namespace detail {

void set_allocation_counter(int64_t (*counter)()) { allocation_counter = counter; }

Comparison compare(const ComparedModes& modes) {
  Comparison c;
  c.name = modes.name;
  for (const Tensor& input : modes.inputs)
    c.inputs += fmt::format("{}{} {}", c.inputs.empty() ? "" : ", ", input.shape(), input.dtype());

  const auto run_eager = [&](int64_t calls) {
    const FunctionMode eager(true);
    modes.run_eager(calls);
  };
  const FunctionMode graphs(false);

  // Tracing, without running, finds the variables whose values must come back.
  const Stopwatch warm_up;
  const ComparedGraph scout = modes.make_graph();
  scout.prepare();
  const State start(scout.trace().captured_variables);
  run_eager(1);
  scout.run(1);
  c.warm_up_ns = warm_up.nanoseconds();
  start.restore();

  // A first call happens once; that another process ran meanwhile should not decide. So several Functions
  // make theirs, and the one in the middle counts.
  std::vector<FirstCalls> firsts;
  ComparedGraph graph;
  for (const Stopwatch watch; firsts.size() < first_calls && watch.nanoseconds() < longest_first_calls_ns;) {
    FirstCalls first;
    first.eager_ns = timed(run_eager);
    const std::vector<Tensor> eager_result = modes.eager_result();
    const State eager_state(start.variables());
    start.restore();

    graph = modes.make_graph();
    first.graph_ns = timed(graph.run);
    first.trace = graph.trace();
    c.max_ulp = std::max({c.max_ulp, largest_distance(eager_result, graph.result()),
                          largest_distance(eager_state.values(), State(start.variables()).values())});
    start.restore();
    firsts.push_back(std::move(first));
  }
  const auto middle = firsts.begin() + static_cast<std::ptrdiff_t>(firsts.size() / 2);
  std::nth_element(firsts.begin(), middle, firsts.end(),
                   [](const FirstCalls& a, const FirstCalls& b) { return a.eager_ns < b.eager_ns; });
  c.eager_first_ns = middle->eager_ns;
  std::nth_element(firsts.begin(), middle, firsts.end(),
                   [](const FirstCalls& a, const FirstCalls& b) { return a.graph_ns < b.graph_ns; });
  c.graph_first_ns = middle->graph_ns;
  c.trace_ns = 1e3 * middle->trace.trace_us;
  c.optimize_ns = 1e3 * middle->trace.optimize_us;
  c.plan_ns = 1e3 * middle->trace.plan_us;
  c.first_run_ns = std::max(0., 1e3 * (middle->trace.first_run_us - middle->trace.plan_us));

  const CallCosts eager_costs = measure_costs(run_eager), graph_costs = measure_costs(graph.run);
  c.eager_peak_bytes = eager_costs.peak_bytes;
  // A plan keeps its arena between calls; what a call newly takes would hide it.
  c.graph_peak_bytes = std::max(graph_costs.peak_bytes, graph.trace().peak_bytes);
  c.eager_allocations = eager_costs.allocations;
  c.graph_allocations = graph_costs.allocations;
  start.restore();

  // In turn, so that whatever else the machine does meets both alike.
  Sampler eager(run_eager), steady(graph.run);
  const auto goes_on = [](const Sampler& s) {
    return s.total_ns() < steady_ns_per_mode ||
           (s.sample_count() < fewest_samples && s.total_ns() < longest_steady_ns_per_mode);
  };
  while (goes_on(eager) || goes_on(steady)) {
    eager.sample(std::numeric_limits<int64_t>::max());
    steady.sample(std::numeric_limits<int64_t>::max());
  }
  start.restore();
  c.eager_ns = eager.quantile(0.5);
  c.eager_low_ns = eager.quantile(0.1);
  c.eager_high_ns = eager.quantile(0.9);
  c.eager_calls = eager.calls();
  c.graph_ns = steady.quantile(0.5);
  c.graph_low_ns = steady.quantile(0.1);
  c.graph_high_ns = steady.quantile(0.9);
  c.graph_calls = steady.calls();
  c.break_even_calls = break_even(c);
  return c;
}

}  // namespace detail

std::string Comparison::conclusion() const {
  const double ratio = eager_ns / graph_ns;
  std::string text = std::abs(ratio - 1) < 0.02 ? "Both modes take the same time"
                     : ratio > 1                ? fmt::format("The graph is {:.2f} times as fast", ratio)
                                                : fmt::format("Eager is {:.2f} times as fast", 1 / ratio);
  if (break_even_calls)
    text += fmt::format("; the graph has paid for itself after {} call{}. ", format_count(*break_even_calls),
                        *break_even_calls == 1 ? "" : "s");
  else
    text += "; here a graph does not pay. ";
  return text + (max_ulp == 0 ? "The results are equal to the last bit."
                              : fmt::format("THE RESULTS DIFFER, by up to {} ULP.", format_count(max_ulp)));
}

std::string Comparison::to_string() const {
  TextTable table({name, "eager", "graph"});
  const auto range = [](double low, double high) { return format_time(low) + " to " + format_time(high); };
  table.add({"first call", format_time(eager_first_ns), format_time(graph_first_ns)});
  table.add({"  tracing", "", format_time(trace_ns)});
  table.add({"  optimizing", "", format_time(optimize_ns)});
  table.add({"  planning", "", format_time(plan_ns)});
  table.add({"  running", "", format_time(first_run_ns)});
  table.add({"each call after it", format_time(eager_ns), format_time(graph_ns)});
  table.add({"  from 10% to 90%", range(eager_low_ns, eager_high_ns), range(graph_low_ns, graph_high_ns)});
  table.add({"  calls timed", format_count(eager_calls), format_count(graph_calls)});
  table.add({"peak memory", format_bytes(static_cast<uint64_t>(eager_peak_bytes)),
             format_bytes(static_cast<uint64_t>(graph_peak_bytes))});
  table.add({"allocations a call", format_count(eager_allocations), format_count(graph_allocations)});

  std::string text = table.to_string();
  return text + conclusion() + '\n';
}

void Comparison::print(std::ostream& out) const { out << to_string(); }

}  // namespace tandem
