#pragma once
// How long a call takes.

#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <type_traits>

namespace tandem {

/// What timeit may be told.
struct TimeitOptions {
  int64_t number = 0;  ///< calls to time, the first one aside; 0: as many as fit into a fifth of a second
};

/// What timeit measured. Times are in nanoseconds a call.
struct Timing {
  int64_t number = 0;   ///< calls timed, the first one aside
  double first_ns = 0;  ///< the first call, which may trace, allocate and fill caches
  double median_ns = 0;
  double low_ns = 0;    ///< a tenth of the samples were quicker
  double high_ns = 0;   ///< a tenth of the samples were slower
  double total_ns = 0;  ///< all timed calls together
};
/// "47.2 ns a call (median of 1,000; 45 ns to 61.5 ns), first call 52.0 µs".
std::string to_string(const Timing& timing);
/// Prints what to_string says.
std::ostream& operator<<(std::ostream& out, const Timing& timing);

namespace detail {
/// `run(f, n)` calls f n times.
Timing timeit(void (*run)(void* f, int64_t n), void* f, TimeitOptions options);
}  // namespace detail

/// Times `f()` by a monotonic clock: the first call apart, then medians over samples. Calls that take less
/// than the clock can tell are timed many at once.
///
///     std::cout << td::timeit([&] { return square(x); }, {.number = 1000}) << '\n';
template <class F>
requires std::is_invocable_v<F&> Timing timeit(F&& f, TimeitOptions options = {}) {
  using Callable = std::remove_reference_t<F>;
  const auto run = [](void* callable, int64_t n) {
    for (int64_t i = 0; i < n; ++i) static_cast<void>((*static_cast<Callable*>(callable))());
  };
  return detail::timeit(run, const_cast<void*>(static_cast<const void*>(std::addressof(f))), options);
}

}  // namespace tandem
