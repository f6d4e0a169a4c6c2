#pragma once
// Control flow that depends on tensor values, and effects. Eagerly these are plain C++; while tracing they
// become operations of the graph.

#include <functional>
#include <iosfwd>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/operand.h"
#include "tandem/structure.h"

namespace tandem {

/// How a while_loop runs.
struct WhileOptions {
  int64_t maximum_iterations = -1;  ///< stops there; -1: no limit
  /// Shapes that the loop variables keep, one each; -1 for sizes that change. Empty: shapes stay.
  std::vector<Shape> shape_invariants = {};
};

namespace detail {

using TensorList = std::vector<Tensor>;

/// True while the enclosing code is being traced.
bool tracing_now();
/// The value of a scalar bool. Throws for another dtype or rank.
bool read_predicate(const Tensor& predicate, const char* op, Location where);
TensorList traced_cond(const Tensor& predicate, const std::function<TensorList()>& then_branch,
                       const std::function<TensorList()>& else_branch, Location where);
TensorList traced_while(const std::function<Tensor(TensorList)>& condition,
                        const std::function<TensorList(TensorList)>& body, TensorList variables,
                        const WhileOptions& options, Location where);
/// The loop variables under identities of their own, so that a tape sums what reaches them inside the loop
/// apart from what reaches them elsewhere, as a traced loop does.
TensorList loop_entries(const TensorList& variables);
/// Throws when an eager iteration changed a loop variable's dtype or shape.
void check_loop_variables(const TensorList& before, const TensorList& after, const WhileOptions& options,
                          Location where);

template <class T>
TensorList leaves_of(const T& value) {
  TensorList list;
  StructureWriter writer{&list, nullptr};
  Structure<T>::write(value, writer);
  return list;
}
template <class T>
T with_leaves(T value, const TensorList& leaves) {
  size_t next = 0;
  Structure<T>::visit(value, [&](Tensor& t) { t = leaves[next++]; });
  return value;
}
template <class F, class T>
decltype(auto) call_with(F& f, const T& value) {
  if constexpr (requires { std::tuple_size<T>::value; })
    return std::apply(f, value);
  else
    return f(value);
}

}  // namespace detail

/// Runs one of two functions of no arguments, by a scalar bool tensor: exactly one branch runs, effects
/// included. Both return the same structure of tensors (or nothing). While tracing both are traced once.
///
///     td::Tensor y = td::cond(x > 0, [&] { return x; }, [&] { return -x; });
///
/// Errors: a predicate that is no scalar bool; branches whose results differ in count, dtype or rank.
template <class Then, class Else>
auto cond(const Tensor& predicate, Then then_branch, Else else_branch, Location where = here()) {
  using R = std::invoke_result_t<Then&>;
  static_assert(std::is_same_v<R, std::invoke_result_t<Else&>>,
                "both branches of cond must return the same type");
  if (!predicate.is_symbolic() && !detail::tracing_now())
    return detail::read_predicate(predicate, "cond", where) ? then_branch() : else_branch();
  if constexpr (std::is_void_v<R>) {
    detail::traced_cond(
        predicate, [&] { return then_branch(), detail::TensorList(); },
        [&] { return else_branch(), detail::TensorList(); }, where);
  } else {
    std::optional<R> skeleton;
    auto leaves = [&](auto& branch) {
      R result = branch();
      detail::TensorList list = detail::leaves_of(result);
      if (!skeleton) skeleton = std::move(result);
      return list;
    };
    const detail::TensorList list = detail::traced_cond(
        predicate, [&] { return leaves(then_branch); }, [&] { return leaves(else_branch); }, where);
    return detail::with_leaves(std::move(*skeleton), list);
  }
}

/// Repeats `body` while `condition` holds. Both take the loop variables (a Tensor, or a tuple spread over the
/// parameters); the body returns their next values. Returns the last ones. While tracing both are traced
/// once.
///
///     td::Tensor x = td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; },
///     x0);
///
/// Errors: a loop variable that changes its dtype or count; one whose shape changes without a shape
/// invariant.
template <class Condition, class Body, class Variables>
Variables while_loop(Condition condition, Body body, Variables variables, WhileOptions options = {},
                     Location where = here()) {
  detail::TensorList first = detail::leaves_of(variables);
  if (!detail::tracing_now()) {
    variables = detail::with_leaves(std::move(variables), detail::loop_entries(first));
    for (int64_t i = 0; options.maximum_iterations < 0 || i < options.maximum_iterations; ++i) {
      if (!detail::read_predicate(detail::call_with(condition, variables), "while_loop", where)) break;
      Variables next = detail::call_with(body, variables);
      detail::check_loop_variables(first, detail::leaves_of(next), options, where);
      variables = std::move(next);
    }
    return variables;
  }
  const detail::TensorList last = detail::traced_while(
      [&](const detail::TensorList& v) {
        return Tensor(detail::call_with(condition, detail::with_leaves(variables, v)));
      },
      [&](const detail::TensorList& v) {
        return detail::leaves_of(Variables(detail::call_with(body, detail::with_leaves(variables, v))));
      },
      std::move(first), options, where);
  return detail::with_leaves(std::move(variables), last);
}

/// Runs branches[index]; an index out of range, negative ones too, runs the last.
Tensor switch_case(const Tensor& index, const std::vector<std::function<Tensor()>>& branches,
                   Location where = here());

/// How case_ chooses.
struct CaseOptions {
  bool exclusive = false;  ///< more than one predicate that holds is an error, when it runs
};
/// Runs the branch of the first predicate that holds, else `otherwise`. Predicates are scalar bools; all
/// branches return tensors of one dtype and rank.
///
///     td::Tensor y = td::case_({{x < 0, [&] { return -x; }}, {x < 1, [&] { return x * x; }}}, [&] { return
///     x; });
///
/// Errors: no predicate holds and there is no default branch.
Tensor case_(const std::vector<std::pair<Tensor, std::function<Tensor()>>>& cases,
             const std::function<Tensor()>& otherwise = {}, CaseOptions options = {},
             Location where = here());

/// Prints a line each time it runs (std::cout prints while tracing only): the text, then the tensors.
/// `td::print("loss", {loss})`
void print(const std::string& text, const std::vector<Tensor>& tensors = {}, Location where = here());
/// Where td::print writes; null: standard output.
void set_print_stream(std::ostream* stream);

/// Stops with `message` and the tensors' values unless the scalar bool holds, each time it runs.
void check(const Tensor& condition, const std::string& message, const std::vector<Tensor>& tensors = {},
           Location where = here());

}  // namespace tandem
