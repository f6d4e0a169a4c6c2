#include "runtime/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "core/check.h"
#include "runtime/background.h"

namespace tandem::runtime {

namespace {

constexpr int max_threads = 256;
// Ranges per thread: enough to even out a core that someone else is using.
constexpr int64_t ranges_per_thread = 4;

thread_local bool inside = false;

struct InsideRegion {
  bool before = inside;
  InsideRegion() { inside = true; }
  ~InsideRegion() { inside = before; }
};

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Spins until ready() or some 50 microseconds have passed; says which.
template <class Ready>
bool spin_until(Ready ready) {
  using Clock = std::chrono::steady_clock;
  if (ready()) return true;
  const auto end = Clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (Clock::now() < end);
  return false;
}

/// One job at a time. `state_` is the whole protocol:
///   bits 0-9    workers that have joined the job and not left it yet
///   bit 10      open: workers may still join
///   bit 11      the caller is parked and waits for the last worker to leave
///   bits 12-31  number of the job, so that a worker joins each job once
/// A caller never waits for a worker that has not joined: one that sleeps, or has lost its core,
/// delays nobody. The job's other fields are written only while it is closed and empty.
class Pool {
 public:
  void run(int64_t count, int64_t chunk, FunctionRef<void(int64_t, int64_t)> body) {
    const int64_t ranges = (count + chunk - 1) / chunk;
    body_ = &body;
    count_ = count;
    chunk_ = chunk;
    next_.store(0, std::memory_order_relaxed);
    failed_.store(false, std::memory_order_relaxed);
    start_workers();
    const uint32_t job = (state_.load(std::memory_order_relaxed) & number_mask) + one_job;
    // An exchange, because notify must not look for waiters before the new state is seen by all.
    state_.exchange(job | open_bit, std::memory_order_seq_cst);
    wake(std::min<int64_t>(ranges - 1, static_cast<int64_t>(workers_.size())));
    {
      InsideRegion region;
      run_ranges();
    }
    close();
    if (failed_.load(std::memory_order_relaxed)) {
      std::exception_ptr error = std::move(error_);
      error_ = nullptr;
      std::rethrow_exception(std::move(error));
    }
  }

  /// The right to use the pool; the holder alone calls run, resize and stop.
  bool try_acquire() {
    return !busy_.load(std::memory_order_relaxed) && !busy_.exchange(true, std::memory_order_acquire);
  }
  void release() { busy_.store(false, std::memory_order_release); }

  void stop_workers() {
    if (workers_.empty()) return;
    stopping_.store(true, std::memory_order_relaxed);
    state_.fetch_add(one_job, std::memory_order_seq_cst);
    state_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_.store(false, std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t joined_mask = (1u << 10) - 1, open_bit = 1u << 10, parked_bit = 1u << 11,
                            one_job = 1u << 12, number_mask = ~(one_job - 1);

  void start_workers() {
    const size_t wanted = static_cast<size_t>(thread_count() - 1);
    if (workers_.size() == wanted) return;
    stop_workers();  // the count has changed
    workers_.reserve(wanted);
    const uint32_t seen = state_.load(std::memory_order_relaxed) & number_mask;
    try {
      while (workers_.size() < wanted) workers_.emplace_back([this, seen] { work(seen); });
    } catch (const std::system_error&) {
      // No more threads to be had: those that exist, and the caller, do the work.
    }
  }

  void wake(int64_t workers) {
    if (workers >= static_cast<int64_t>(workers_.size()))
      state_.notify_all();
    else
      for (int64_t i = 0; i < workers; ++i) state_.notify_one();
  }

  void work(uint32_t seen) {
    inside = true;
    for (;;) {
      uint32_t state = 0;
      const auto new_job = [&] {
        state = state_.load(std::memory_order_acquire);
        return (state & number_mask) != seen || stopping_.load(std::memory_order_relaxed);
      };
      if (!spin_until(new_job))
        while (!new_job()) state_.wait(state, std::memory_order_acquire);
      seen = state & number_mask;
      if (stopping_.load(std::memory_order_relaxed)) return;
      while ((state & (number_mask | open_bit)) == (seen | open_bit)) {
        if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) continue;
        run_ranges();
        const uint32_t left = state_.fetch_sub(1, std::memory_order_acq_rel);
        if ((left & parked_bit) != 0 && (left & joined_mask) == 1) state_.notify_all();
        break;
      }
    }
  }

  void run_ranges() {
    for (;;) {
      const int64_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
      if (begin >= count_) return;
      try {
        (*body_)(begin, std::min(count_, begin + chunk_));
      } catch (...) {
        if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
        next_.store(count_, std::memory_order_relaxed);
      }
    }
  }

  /// No more workers may join; waits for those that have.
  void close() {
    state_.fetch_and(~open_bit, std::memory_order_relaxed);
    const auto empty = [&] { return (state_.load(std::memory_order_acquire) & joined_mask) == 0; };
    if (spin_until(empty)) return;
    uint32_t state = state_.fetch_or(parked_bit, std::memory_order_acq_rel) | parked_bit;
    while ((state & joined_mask) != 0) {
      state_.wait(state, std::memory_order_acquire);
      state = state_.load(std::memory_order_acquire);
    }
    state_.fetch_and(~parked_bit, std::memory_order_relaxed);
  }

  alignas(64) std::atomic<uint32_t> state_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<bool> busy_{false};
  std::atomic<bool> stopping_{false}, failed_{false};
  int64_t count_ = 0, chunk_ = 1;
  FunctionRef<void(int64_t, int64_t)>* body_ = nullptr;
  std::exception_ptr error_;
  std::vector<std::thread> workers_;
};

/// The pool is never destroyed: other static destructors may still call parallel_for. At exit its
/// workers are joined, and after that every range runs on its caller.
struct PoolHolder {
  alignas(Pool) unsigned char storage[sizeof(Pool)];
  std::atomic<int> threads{std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, max_threads)};

  PoolHolder() {
    new (storage) Pool;
    // A child has none of the workers: it begins with a new pool and forgets the old one.
    pthread_atfork(nullptr, nullptr, [] { new (PoolHolder::instance().storage) Pool; });
  }
  ~PoolHolder() {
    threads.store(1, std::memory_order_relaxed);
    if (pool().try_acquire()) pool().stop_workers();
  }
  Pool& pool() { return *std::launder(reinterpret_cast<Pool*>(storage)); }
  static PoolHolder& instance() {
    static PoolHolder holder;
    return holder;
  }
};

}  // namespace

int thread_count() { return PoolHolder::instance().threads.load(std::memory_order_relaxed); }

void set_thread_count(int count) {
  TD_CHECK(count >= 1 && count <= max_threads, "thread count {} is out of range; expected 1 to {}", count,
           max_threads);
  TD_CHECK(!inside, "the thread count cannot be changed inside a parallel region");
  PoolHolder& holder = PoolHolder::instance();
  while (!holder.pool().try_acquire()) std::this_thread::yield();
  holder.threads.store(count, std::memory_order_relaxed);
  if (count == 1) holder.pool().stop_workers();
  holder.pool().release();
}

bool in_parallel_region() { return inside; }

void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> body) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (count < 2 * grain || inside) return body(0, count);
  PoolHolder& holder = PoolHolder::instance();
  const int64_t threads = holder.threads.load(std::memory_order_relaxed);
  if (threads == 1 || !holder.pool().try_acquire()) return body(0, count);

  const int64_t ranges = std::min(count / grain, threads * ranges_per_thread);
  int64_t chunk = (count + ranges - 1) / ranges;
  if (chunk >= 1024) chunk = (chunk + 63) & ~int64_t{63};  // whole cache lines and vectors
  struct Release {
    Pool& pool;
    ~Release() { pool.release(); }
  } release{holder.pool()};
  holder.pool().run(count, chunk, body);
}

struct BackgroundTask::Thread {
  std::thread thread;
};

BackgroundTask::BackgroundTask(std::function<void()> body) : thread_(std::make_unique<Thread>()) {
  try {
    thread_->thread = std::thread([body = std::move(body)] {
      inside = true;
      body();
    });
  } catch (const std::system_error& e) {
    fail(ErrorCode::out_of_memory, "no thread can be had: {}", e.what());
  }
}

BackgroundTask::~BackgroundTask() {
  if (thread_) thread_->thread.join();
}

BackgroundTask::BackgroundTask(BackgroundTask&&) noexcept = default;

}  // namespace tandem::runtime
