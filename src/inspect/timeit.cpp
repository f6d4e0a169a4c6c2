#include "tandem/timeit.h"

#include <limits>
#include <ostream>

#include "core/check.h"
#include "core/text_table.h"
#include "inspect/sampler.h"

namespace tandem {

namespace {
constexpr double chosen_total_ns = 2e8;
}  // namespace

std::string to_string(const Timing& timing) {
  return fmt::format("{} a call (median of {}; {} to {}), first call {}", format_time(timing.median_ns),
                     format_count(timing.number), format_time(timing.low_ns), format_time(timing.high_ns),
                     format_time(timing.first_ns));
}

std::ostream& operator<<(std::ostream& out, const Timing& timing) { return out << to_string(timing); }

namespace detail {

Timing timeit(void (*run)(void*, int64_t), void* f, TimeitOptions options) {
  TD_CHECK(options.number >= 0,
           "timeit: a number of {} calls is negative; expected 1 or more, or 0 to let it choose",
           options.number);
  Timing timing;
  const Stopwatch watch;
  run(f, 1);
  timing.first_ns = watch.nanoseconds();
  Sampler sampler([&](int64_t calls) { run(f, calls); });
  if (options.number > 0)
    while (sampler.calls() < options.number) sampler.sample(options.number - sampler.calls());
  else
    while (sampler.total_ns() < chosen_total_ns) sampler.sample(std::numeric_limits<int64_t>::max());
  timing.number = sampler.calls();
  timing.median_ns = sampler.quantile(0.5);
  timing.low_ns = sampler.quantile(0.1);
  timing.high_ns = sampler.quantile(0.9);
  timing.total_ns = sampler.total_ns();
  return timing;
}

}  // namespace detail
}  // namespace tandem
