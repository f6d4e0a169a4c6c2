#pragma once
// How runs of functions, loops and sessions are ended early, and measured.

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tandem/location.h"

namespace tandem {

namespace detail {
struct RunControl;
}

/// Ends runs from another thread. Copies are the same token.
///
///     td::CancellationToken token;
///     std::thread watcher([&] { wait_for_key(); token.cancel(); });
///     td::RunScope scope({.cancellation = token});
///     train(images, labels);   // throws an Error of code `cancelled` soon after
class CancellationToken {
 public:
  CancellationToken() : cancelled_(std::make_shared<std::atomic<bool>>(false)) {}
  /// What runs in a scope of this token ends with an Error, before its next operation. Effects so far stay.
  void cancel() const { cancelled_->store(true, std::memory_order_relaxed); }
  bool is_cancelled() const { return cancelled_->load(std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<bool>> cancelled_;
};

/// One operation of a run, and the time it took. Operations that a plan fused are one.
struct StepTime {
  std::string name;  ///< the node's, as in the graph's text
  std::string op;
  Location where;
  double start_us = 0, duration_us = 0;
};

/// What a run says of itself when asked to.
struct RunMetadata {
  std::vector<StepTime> steps;
};

/// What limits and watches runs.
struct RunOptions {
  std::optional<CancellationToken> cancellation = {};
  /// Runs that take longer end with an Error of code `timed_out`, before their next operation.
  std::optional<std::chrono::microseconds> timeout = {};
  RunMetadata* metadata = nullptr;  ///< gets the times of all operations
};

/// While it lives, the functions, loops and sessions that this thread runs obey `options`, and those of
/// scopes around it. Errors: code `cancelled` or `timed_out`, thrown by what runs.
class RunScope {
 public:
  explicit RunScope(const RunOptions& options);
  ~RunScope();
  RunScope(const RunScope&) = delete;
  RunScope& operator=(const RunScope&) = delete;

 private:
  std::unique_ptr<detail::RunControl> control_;
};

}  // namespace tandem
