#include <utility>

#include "core/check.h"
#include "runtime/run_control.h"

namespace tandem {

namespace detail {

constinit thread_local const RunControl* current_run_control = nullptr;

void RunControl::check() const {
  for (const RunControl* c = this; c; c = c->outer) {
    if (c->options.cancellation && c->options.cancellation->is_cancelled())
      fail(ErrorCode::cancelled, "the run was cancelled");
    if (c->options.timeout && std::chrono::steady_clock::now() > c->deadline)
      fail(ErrorCode::timed_out, "the run takes longer than its limit of {} us", c->options.timeout->count());
  }
}

void RunControl::add(const StepTime& step, std::chrono::steady_clock::time_point begin) const {
  for (const RunControl* c = this; c; c = c->outer) {
    if (!c->options.metadata) continue;
    StepTime& noted = c->options.metadata->steps.emplace_back(step);
    noted.start_us = std::chrono::duration<double, std::micro>(begin - c->start).count();
  }
}

}  // namespace detail

RunScope::RunScope(const RunOptions& options) : control_(std::make_unique<detail::RunControl>()) {
  control_->options = options;
  control_->start = std::chrono::steady_clock::now();
  if (options.timeout) control_->deadline = control_->start + *options.timeout;
  control_->outer = std::exchange(detail::current_run_control, control_.get());
}

RunScope::~RunScope() { detail::current_run_control = control_->outer; }

}  // namespace tandem
