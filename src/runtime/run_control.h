#pragma once
// The limits that a RunScope sets, as what runs sees them.

#include "tandem/run_scope.h"

namespace tandem::detail {

struct RunControl {
  RunOptions options;
  std::chrono::steady_clock::time_point start, deadline;
  const RunControl* outer = nullptr;

  /// Throws when a token was cancelled or the time is over, here or in a scope around.
  void check() const;
  /// Notes an operation, here and in scopes around.
  void add(const StepTime& step, std::chrono::steady_clock::time_point begin) const;
};

/// Null on most threads at most times.
extern constinit thread_local const RunControl* current_run_control [[gnu::tls_model("initial-exec")]];

/// Runs one operation under a control: `describe(step)` names it.
template <class F, class Describe>
void run_controlled(const RunControl& control, F&& f, Describe&& describe) {
  control.check();
  const auto begin = std::chrono::steady_clock::now();
  f();
  StepTime step;
  step.duration_us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  describe(step);
  control.add(step, begin);
}

}  // namespace tandem::detail
