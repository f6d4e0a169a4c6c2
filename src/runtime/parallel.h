#pragma once
// The only file that makes threads: a small pool that spins for some 50 microseconds, then parks.

#include <cstdint>
#include <memory>
#include <type_traits>

namespace tandem::runtime {

/// Threads that parallel_for may use, the caller included. Default: the machine's cores.
int thread_count();
/// Changes it for the whole process (1 to 256). Waits for a parallel_for in progress.
void set_thread_count(int count);
/// True while the calling thread runs a range of a parallel_for that was cut: nested ones then run
/// on the calling thread.
bool in_parallel_region();

/// A non-owning reference to a callable.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>) FunctionRef(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(static_cast<Args&&>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, static_cast<Args&&>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

/// Runs body(begin, end) over disjoint ranges that cover [0, count), each at least `grain` long where
/// possible; on the calling thread when one range is enough. Returns when all have run; the first
/// exception is carried over, and ranges not yet begun are then skipped. Any number of threads may
/// call it at once: one of them gets the pool, the others run their ranges themselves.
void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> body);

}  // namespace tandem::runtime
