#pragma once
// A mutex that its owner may lock again.

#include <atomic>
#include <thread>

namespace tandem::detail {

/// As std::recursive_mutex. A run of a training step holds one for every variable that it assigns, hundreds
/// at once, and of standard mutexes ThreadSanitizer follows 64.
class RecursiveLock {
 public:
  void lock() {
    const std::thread::id me = std::this_thread::get_id();
    if (owner_.load(std::memory_order_relaxed) == me) {
      ++more_;
      return;
    }
    for (;;) {
      std::thread::id owner;  // nobody
      if (owner_.compare_exchange_strong(owner, me, std::memory_order_acquire, std::memory_order_relaxed))
        return;
      owner_.wait(owner, std::memory_order_relaxed);
    }
  }
  void unlock() {
    if (more_ > 0) {
      --more_;
      return;
    }
    owner_.store({}, std::memory_order_release);
    owner_.notify_one();
  }

 private:
  std::atomic<std::thread::id> owner_{};
  int more_ = 0;  // how many times the owner has locked it again
};

}  // namespace tandem::detail
