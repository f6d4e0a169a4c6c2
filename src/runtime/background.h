#pragma once
// Threads for work that waits: reading ahead, preparing batches.

#include <functional>
#include <memory>

namespace tandem::runtime {

/// Runs a function on a thread of its own; the destructor waits for its end, so the owner tells it to end
/// first. Loops inside run on that thread alone (as in a parallel region): it never takes the pool away from
/// those who compute. An exception that leaves the function ends the process.
class BackgroundTask {
 public:
  /// Errors (out_of_memory): no more threads can be had.
  explicit BackgroundTask(std::function<void()> body);
  ~BackgroundTask();
  BackgroundTask(BackgroundTask&&) noexcept;
  BackgroundTask& operator=(BackgroundTask&&) = delete;

 private:
  struct Thread;
  std::unique_ptr<Thread> thread_;
};

}  // namespace tandem::runtime
