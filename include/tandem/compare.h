#pragma once
// Eager or graph? Measured, for one function and its inputs.

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tandem/function.h"

namespace tandem {

/// What compare_modes measured. Times are in nanoseconds; steady ones are medians over samples of the two
/// modes in turn.
struct Comparison {
  std::string name;    ///< the Function's, or "function"
  std::string inputs;  ///< "(100, 28, 28) float32"

  double warm_up_ns = 0;      ///< a call in each mode before all others: what the process pays once
  double eager_first_ns = 0;  ///< of several first calls, the median
  double graph_first_ns = 0;  ///< the first call of a Function without traces; its parts follow
  double trace_ns = 0, optimize_ns = 0, plan_ns = 0, first_run_ns = 0;

  double eager_ns = 0, graph_ns = 0;           ///< a steady call, median
  double eager_low_ns = 0, eager_high_ns = 0;  ///< its 10th and 90th percentile
  double graph_low_ns = 0, graph_high_ns = 0;
  int64_t eager_calls = 0, graph_calls = 0;  ///< how many were timed

  /// Calls after which the graph, its first one included, has taken less time; empty when it never does.
  std::optional<int64_t> break_even_calls;
  /// The largest distance between the results, and between the variables' values after a call, in units in
  /// the last place: 0 when every bit is equal.
  int64_t max_ulp = 0;
  int64_t eager_peak_bytes = 0, graph_peak_bytes = 0;  ///< memory of tensors and plans at one time in a call
  int64_t eager_allocations = 0, graph_allocations = 0;  ///< blocks that a steady call takes from the heap

  /// "The graph is 1.31 times as fast; the graph has paid for itself after 12 calls. The results are equal
  /// ..."
  std::string conclusion() const;
  /// Both modes side by side as a table, with the conclusion.
  std::string to_string() const;
  void print(std::ostream& out = std::cout) const;
};

namespace detail {

/// A Function that has not been traced, with its arguments.
struct ComparedGraph {
  std::function<void()> prepare;                // traces without running
  std::function<void(int64_t)> run;             // calls it so often
  std::function<std::vector<Tensor>()> result;  // of the last call
  std::function<TraceInfo()> trace;
};

/// What compare_modes hands to its untyped half.
struct ComparedModes {
  std::string name;
  std::vector<Tensor> inputs;
  std::function<void(int64_t)> run_eager;
  std::function<std::vector<Tensor>()> eager_result;
  std::function<ComparedGraph()> make_graph;
};

Comparison compare(const ComparedModes& modes);
/// A program that counts its own heap allocations says how; they then count beside the blocks that tensors
/// take.
void set_allocation_counter(int64_t (*counter)());

/// One callable with its arguments, and its last result.
template <class Call, class R, class... Args>
class ComparedCall {
 public:
  ComparedCall(Call call, std::shared_ptr<const std::tuple<Args...>> arguments)
      : call_(std::move(call)), arguments_(std::move(arguments)) {}

  void run(int64_t calls) {
    for (int64_t i = 0; i < calls; ++i) {
      if constexpr (std::is_void_v<R>)
        std::apply(call_, *arguments_);
      else
        result_ = std::apply(call_, *arguments_);
    }
  }
  std::vector<Tensor> result() const {
    std::vector<Tensor> tensors;
    if constexpr (!std::is_void_v<R>) {
      StructureWriter writer{&tensors, nullptr};
      Structure<R>::write(*result_, writer);
    }
    return tensors;
  }

 private:
  struct Nothing {};
  Call call_;
  std::shared_ptr<const std::tuple<Args...>> arguments_;
  std::conditional_t<std::is_void_v<R>, Nothing, std::optional<R>> result_;
};

template <class R, class... Args, class... Inputs>
Comparison compare_function(const Function<R(Args...)>& function, const Inputs&... inputs) {
  const auto arguments = std::make_shared<const std::tuple<Args...>>(inputs...);
  const FunctionOptions options = options_of(function.core());
  const auto body = function.body();

  ComparedModes modes;
  modes.name = options.name.empty() ? "function" : options.name;
  StructureWriter writer{&modes.inputs, nullptr};
  Structure<std::tuple<Args...>>::write(*arguments, writer);
  const auto eager = std::make_shared<ComparedCall<std::function<R(Args...)>, R, Args...>>(body, arguments);
  modes.run_eager = [eager](int64_t calls) { eager->run(calls); };
  modes.eager_result = [eager] { return eager->result(); };
  modes.make_graph = [body, options, arguments] {
    const Function<R(Args...)> fresh(body, options);
    const auto call = [fresh](const Args&... a) { return fresh(a...); };
    const auto graph = std::make_shared<ComparedCall<decltype(call), R, Args...>>(call, arguments);
    return ComparedGraph{
        .prepare = [fresh,
                    arguments] { std::apply([&](const Args&... a) { fresh.prepare(a...); }, *arguments); },
        .run = [graph](int64_t calls) { graph->run(calls); },
        .result = [graph] { return graph->result(); },
        .trace = [fresh] { return fresh.trace(0); }};
  };
  return compare(modes);
}

template <class F>
struct IsFunction : std::false_type {};
template <class Signature>
struct IsFunction<Function<Signature>> : std::true_type {};

}  // namespace detail

/// Measures `f` on these inputs eagerly and as a graph: the first call in each mode, steady calls, the number
/// of calls after which the graph has paid for itself, memory, and whether the results are equal to the last
/// bit. `f` is a function, a lambda, a model, or a td::Function, whose own traces stay as they are. Variables
/// that it assigns have their values back afterwards. Nothing else should run meanwhile.
///
///     td::compare_modes(square, x).print();
template <class F, class... Inputs>
Comparison compare_modes(const F& f, const Inputs&... inputs) {
  if constexpr (detail::IsFunction<F>::value)
    return detail::compare_function(f, inputs...);
  else if constexpr (detail::DeducibleCallable<F>)
    return detail::compare_function(function(f), inputs...);
  else
    return detail::compare_function(Function<std::invoke_result_t<const F&, const Inputs&...>(Inputs...)>(
                                        [&f](const Inputs&... arguments) { return f(arguments...); }),
                                    inputs...);
}

}  // namespace tandem
