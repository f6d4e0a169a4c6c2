// map_fn, scan and fold: one loop over the first dimension.

#include "tandem/iteration.h"

#include <algorithm>

#include "function/control_flow.h"
#include "function/trace_mode.h"
#include "ops/dispatch.h"
#include "runtime/run_control.h"
#include "tandem/ops.h"

namespace tandem::detail {

namespace {

void check_elements(const TensorList& elements) {
  TD_CHECK(!elements.empty(), "there are no tensors among the elements");
  for (size_t i = 0; i < elements.size(); ++i) {
    TD_CHECK(elements[i].defined(), "element {} is an empty tensor handle", i);
    TD_CHECK(elements[i].rank() > 0, "element {} is a scalar; a first dimension is needed to go along", i);
    const int64_t size = elements[i].shape().codes()[0], first = elements[0].shape().codes()[0];
    TD_CHECK(size == first || size < 0 || first < 0, "the first sizes of the elements differ: {} and {}",
             first, size);
  }
}

void check_accumulators(const TensorList& before, const TensorList& after) {
  TD_CHECK(before.size() == after.size(), "the function returns {} tensors for {} accumulators", after.size(),
           before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    bool fits = before[i].dtype() == after[i].dtype() && before[i].rank() == after[i].rank();
    for (int d = 0; fits && d < before[i].rank(); ++d) {
      const int64_t was = before[i].shape().codes()[d], is = after[i].shape().codes()[d];
      fits = was == is || was < 0 || is < 0;
    }
    TD_CHECK(fits, "accumulator {} is {}{} before the function and {}{} after it", i, before[i].dtype(),
             before[i].shape(), after[i].dtype(), after[i].shape());
  }
}

/// What `body` gives, found without running it.
std::vector<Spec> specs_of_steps(const TensorList& elements, const TensorList& initial,
                                 const IterationBody& body) {
  TraceMode trace;
  const ModeScope scope(&trace);
  TensorList element, accumulators;
  for (const Tensor& t : elements) {
    Spec s = detail::coded_spec(t);
    s.shape = Dims(std::vector<int64_t>(s.shape.begin() + 1, s.shape.end()));
    element.push_back(trace.add_input("element", s));
  }
  for (const Tensor& t : initial)
    accumulators.push_back(trace.add_input("accumulator", detail::coded_spec(t)));
  std::vector<Spec> specs;
  for (const Tensor& t : body(accumulators, element).kept) specs.push_back(detail::coded_spec(t));
  return specs;
}

TensorList first_rows(const TensorList& tensors, const Tensor& index) {
  TensorList rows;
  for (const Tensor& t : tensors) rows.push_back(gather(t, index, 0));
  return rows;
}

/// The loop as plain C++.
TensorList iterate_eagerly(const Iteration& iteration, const TensorList& elements, TensorList accumulators,
                           const IterationBody& body, int64_t first, Location where) {
  const int64_t count = elements[0].shape().codes()[0];
  std::vector<TensorList> kept;
  accumulators = loop_entries(accumulators);
  for (int64_t step = first; step < count; ++step) {
    if (current_run_control) current_run_control->check();
    const Tensor index(iteration.reverse ? count - 1 - step : step, DType::i64);
    IterationStep next = body(accumulators, first_rows(elements, index));
    check_accumulators(accumulators, next.accumulators);
    accumulators = std::move(next.accumulators);
    kept.resize(next.kept.size());
    for (size_t k = 0; k < kept.size(); ++k) kept[k].push_back(next.kept[k]);
  }
  if (!iteration.keep) return accumulators;
  TensorList results;
  for (const TensorList& values : kept) results.push_back(stack(values, 0, where));
  if (first == count)
    for (const Spec& s : specs_of_steps(elements, accumulators, body)) {
      Shape shape = s.shape;
      shape.insert(0, 0);
      for (int64_t& d : shape) d = std::max<int64_t>(d, 0);
      results.push_back(zeros(shape, s.dtype));
    }
  return results;
}

/// The loop as one operation of the graph.
TensorList iterate_traced(const Iteration& iteration, const TensorList& elements, TensorList accumulators,
                          const IterationBody& body, int64_t first, Location where) {
  const Tensor count = reshape(shape_of(elements[0], 0, 1), Dims());
  const size_t carried = accumulators.size() + 1;
  accumulators.insert(accumulators.begin(), Tensor(first, DType::i64));
  const auto more = [&](const TensorList& v) { return less(v[0], count); };
  const auto step = [&](const TensorList& v) {
    const TensorList now(v.begin() + 1, v.end());
    IterationStep next = body(now, first_rows(elements, iteration.reverse ? count - 1 - v[0] : v[0]));
    check_accumulators(now, next.accumulators);
    TensorList results{v[0] + 1};
    results.insert(results.end(), next.accumulators.begin(), next.accumulators.end());
    results.insert(results.end(), next.kept.begin(), next.kept.end());
    return results;
  };
  const TensorList all = traced_loop_with_scans(more, step, accumulators, where);
  const auto split = all.begin() + static_cast<ptrdiff_t>(carried);
  return iteration.keep ? TensorList(split, all.end()) : TensorList(all.begin() + 1, split);
}

TensorList iterate_checked(const Iteration& iteration, const TensorList& elements, TensorList initial,
                           const IterationBody& body, Location where) {
  check_elements(elements);
  const CallSite site(where);
  const bool starts = iteration.first_element_starts;
  if (starts) {
    TD_CHECK(elements[0].shape().codes()[0] != 0, "there is no element to start from; give an initializer");
    initial = first_rows(elements, Tensor(iteration.reverse ? -1 : 0, DType::i64));
  }
  TensorList results = (tracing_now() ? iterate_traced : iterate_eagerly)(iteration, elements, initial, body,
                                                                          starts ? 1 : 0, where);
  if (!iteration.keep) return results;
  for (size_t k = 0; k < results.size(); ++k) {
    Tensor& all = results[k];
    if (starts) all = concat({unsqueeze(initial[k], {0}), all}, 0, where);
    if (iteration.reverse) all = flip(all, {0});
  }
  return results;
}

}  // namespace

TensorList iterate(const Iteration& iteration, const TensorList& elements, TensorList initial,
                   const IterationBody& body, Location where) {
  try {
    return iterate_checked(iteration, elements, std::move(initial), body, where);
  } catch (Error& e) {
    e.set_origin(iteration.op, where);
    throw;
  }
}

}  // namespace tandem::detail
