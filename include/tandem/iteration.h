#pragma once
// Functions over the first dimension: map, scan and fold. Eagerly plain loops, in graphs one operation each.

#include <optional>

#include "tandem/control_flow.h"

namespace tandem {

/// How scan runs.
struct ScanOptions {
  bool reverse = false;  ///< from the last element to the first
};

namespace detail {

/// One step: the next accumulators, and what is kept of this step.
struct IterationStep {
  TensorList accumulators, kept;
};
using IterationBody = std::function<IterationStep(TensorList accumulators, TensorList element)>;
/// What `op` does over the first dimension.
struct Iteration {
  const char* op;
  bool reverse = false;
  bool first_element_starts = false;  ///< the first element is the initial accumulator
  bool keep = true;                   ///< returns what is kept, stacked; otherwise the accumulators
};
/// Runs `body` for each element; returns the last accumulators or the stacked results of all steps.
TensorList iterate(const Iteration& iteration, const TensorList& elements, TensorList initial,
                   const IterationBody& body, Location where);

/// Numbers stand for tensors.
template <class T>
using Accumulator = std::conditional_t<std::is_arithmetic_v<T>, Tensor, T>;

template <class A, class F, class E>
A accumulate(const Iteration& iteration, F& f, const E& elements, const A* initializer, Location where) {
  A skeleton = [&] {
    if constexpr (std::is_same_v<A, E>)
      return initializer ? *initializer : elements;
    else
      return *initializer;
  }();
  const TensorList found = iterate(
      iteration, leaves_of(elements), initializer ? leaves_of(*initializer) : TensorList(),
      [&](const TensorList& accumulators, const TensorList& element) {
        const A next = f(with_leaves(skeleton, accumulators), with_leaves(elements, element));
        TensorList leaves = leaves_of(next);
        return IterationStep{leaves, iteration.keep ? leaves : TensorList()};
      },
      where);
  return with_leaves(std::move(skeleton), found);
}

}  // namespace detail

/// Applies `f` to each element: the slices of `elements` along the first dimension. Stacks the results.
/// Elements and results may be structures; all tensors of `elements` have the same first size.
///
///     td::Tensor norms = td::map_fn([](td::Tensor row) { return td::sum(row * row); }, matrix);
///
/// Errors: a scalar among the elements; first sizes that differ.
template <class F, class E>
auto map_fn(F f, const E& elements, Location where = here()) {
  using R = std::invoke_result_t<F&, const E&>;
  std::optional<R> skeleton;
  const detail::TensorList found = detail::iterate(
      {"map_fn"}, detail::leaves_of(elements), {},
      [&](const detail::TensorList&, const detail::TensorList& element) {
        R result = f(detail::with_leaves(elements, element));
        detail::TensorList leaves = detail::leaves_of(result);
        if (!skeleton) skeleton = std::move(result);
        return detail::IterationStep{{}, std::move(leaves)};
      },
      where);
  return detail::with_leaves(std::move(*skeleton), found);
}

/// Accumulators of every step: `f(accumulator, element)` from `initializer` on, stacked in the elements'
/// order.
///
///     td::Tensor sums = td::scan([](td::Tensor sum, td::Tensor x) { return sum + x; }, xs, td::Tensor(0.f));
///
/// Errors: as map_fn; an accumulator that changes its dtype or shape.
template <class F, class E, class A>
detail::Accumulator<A> scan(F f, const E& elements, const A& initializer, ScanOptions options = {},
                            Location where = here()) {
  const detail::Accumulator<A> first(initializer);
  return detail::accumulate(detail::Iteration{"scan", options.reverse}, f, elements, &first, where);
}
/// The same with the first element as the initial accumulator, which is the first result too. Errors: no
/// element.
template <class F, class E>
E scan(F f, const E& elements, ScanOptions options = {}, Location where = here()) {
  return detail::accumulate<E>(detail::Iteration{"scan", options.reverse, true}, f, elements, nullptr, where);
}

/// The last accumulator of a scan: `f(f(initializer, x[0]), x[1])` and so on. Without elements the
/// initializer.
template <class F, class E, class A>
detail::Accumulator<A> foldl(F f, const E& elements, const A& initializer, Location where = here()) {
  const detail::Accumulator<A> first(initializer);
  return detail::accumulate(detail::Iteration{"foldl", false, false, false}, f, elements, &first, where);
}
/// The same from the first element on. Errors: no element.
template <class F, class E>
E foldl(F f, const E& elements) {
  return detail::accumulate<E>(detail::Iteration{"foldl", false, true, false}, f, elements, nullptr, here());
}
/// foldl from the last element to the first.
template <class F, class E, class A>
detail::Accumulator<A> foldr(F f, const E& elements, const A& initializer, Location where = here()) {
  const detail::Accumulator<A> first(initializer);
  return detail::accumulate(detail::Iteration{"foldr", true, false, false}, f, elements, &first, where);
}
/// The same from the last element on. Errors: no element.
template <class F, class E>
E foldr(F f, const E& elements) {
  return detail::accumulate<E>(detail::Iteration{"foldr", true, true, false}, f, elements, nullptr, here());
}

}  // namespace tandem
