#include "inspect/sampler.h"

#include <algorithm>

#include "core/check.h"

namespace tandem {

namespace {
// Some hundred times what reading the clock costs and resolves.
constexpr double shortest_sample_ns = 20'000;
}  // namespace

void Sampler::sample(int64_t most_calls) {
  const int64_t calls = std::min(batch_, most_calls);
  TD_ASSERT(calls > 0);
  const Stopwatch watch;
  run_(calls);
  const double elapsed = watch.nanoseconds();
  samples_.push_back({elapsed / static_cast<double>(calls), calls});
  calls_ += calls;
  total_ns_ += elapsed;
  if (elapsed < shortest_sample_ns) batch_ *= 2;
}

double Sampler::quantile(double fraction) const {
  TD_ASSERT(!samples_.empty());
  std::vector<Sample> sorted = samples_;
  std::sort(sorted.begin(), sorted.end(),
            [](const Sample& a, const Sample& b) { return a.ns_per_call < b.ns_per_call; });
  const double goal = fraction * static_cast<double>(calls_);
  double below = 0;
  for (const Sample& sample : sorted) {
    below += static_cast<double>(sample.calls);
    if (below >= goal) return sample.ns_per_call;
  }
  return sorted.back().ns_per_call;
}

}  // namespace tandem
