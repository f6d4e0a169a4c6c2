#pragma once
// Timing by samples: how long one call of something takes, however short.

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace tandem {

/// The monotonic clock, started when constructed.
class Stopwatch {
 public:
  double nanoseconds() const {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Times batches of calls. A batch grows until it takes long enough for the clock, so that each sample is the
/// mean of one batch; quantiles weigh every call alike.
class Sampler {
 public:
  /// `run(n)` makes n calls.
  explicit Sampler(std::function<void(int64_t)> run) : run_(std::move(run)) {}

  /// Takes one sample, of `most_calls` calls at most.
  void sample(int64_t most_calls);

  int64_t calls() const { return calls_; }
  double total_ns() const { return total_ns_; }
  int sample_count() const { return static_cast<int>(samples_.size()); }
  /// Nanoseconds a call that the given fraction of the calls stayed below.
  double quantile(double fraction) const;

 private:
  struct Sample {
    double ns_per_call = 0;
    int64_t calls = 0;
  };

  std::function<void(int64_t)> run_;
  std::vector<Sample> samples_;
  int64_t batch_ = 1, calls_ = 0;
  double total_ns_ = 0;
};

}  // namespace tandem
