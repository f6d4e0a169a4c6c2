// What branches and loops of plain C++ share.

#include "function/control_flow.h"
#include "ops/dispatch.h"
#include "runtime/run_control.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem::detail {

bool tracing_now() {
  Mode* mode = tandem::current_mode();
  return mode && mode->is_tracing();
}

bool read_predicate(const Tensor& predicate, const char* op, Location where) {
  return named(op, where, [&] {
    if (current_run_control) current_run_control->check();  // an eager loop asks before each iteration
    TD_CHECK(predicate.dtype() == DType::boolean && predicate.size() == 1,
             "the predicate is {}{}; a scalar bool is needed", predicate.dtype(), predicate.shape());
    return *predicate.contiguous().data<bool>();
  });
}

TensorList loop_entries(const TensorList& variables) {
  if (!tandem::current_mode()) return variables;
  TensorList entries;
  for (const Tensor& v : variables) entries.push_back(identity(v));
  return entries;
}

void check_loop_variables(const TensorList& before, const TensorList& after, const WhileOptions& options,
                          Location where) {
  named("while_loop", where, [&] {
    TD_CHECK(before.size() == after.size(), "the body returns {} values for {} loop variables", after.size(),
             before.size());
    for (size_t i = 0; i < before.size(); ++i) {
      TD_CHECK(before[i].dtype() == after[i].dtype(),
               "loop variable {} is {} before the body and {} after it", i, before[i].dtype(),
               after[i].dtype());
      bool fits = before[i].rank() == after[i].rank();
      for (int d = 0; fits && d < before[i].rank(); ++d)
        fits = before[i].shape().codes()[d] == after[i].shape().codes()[d] ||
               (!options.shape_invariants.empty() && options.shape_invariants[i][d] < 0);
      TD_CHECK(fits,
               "loop variable {} has shape {} before the body and {} after it; give a shape invariant with "
               "-1 for sizes "
               "that change",
               i, before[i].shape(), after[i].shape());
    }
  });
}

}  // namespace tandem::detail
