// Five floats: what an operation costs apart from its arithmetic.

#include <tandem/tandem.h>

#include <algorithm>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr const char* no_peer = "libtorch is not installed";
constexpr float five[] = {1, 2, 3, 4, 5}, other_five[] = {5, 4, 3, 2, 1};

void add_rows(Harness& harness, const Peer* torch) {
  const Tensor a = {1.f, 2.f, 3.f, 4.f, 5.f}, b = {5.f, 4.f, 3.f, 2.f, 1.f};
  if (harness.wants("eager_add_5")) {
    const auto ours = [&](int64_t times) {
      for (int64_t i = 0; i < times; ++i) keep(a + b);
    };
    if (torch != nullptr) {
      const PeerWork theirs = torch->add(five, other_five, 5);
      harness.compare("eager_add_5", ours, "libtorch",
                      [&](int64_t times) { theirs.run(theirs.state, times); });
    } else {
      harness.alone("eager_add_5", ours, no_peer);
    }
  }
  if (harness.wants("eager_add_5_tape")) {
    // One tape for every 100 additions; its own making and end are part of the figure.
    const auto ours = [&](int64_t times) {
      for (int64_t done = 0; done < times; done += 100) {
        GradientTape tape;
        tape.watch(a);
        const int64_t end = std::min<int64_t>(times, done + 100);
        for (int64_t i = done; i < end; ++i) keep(a + b);
      }
    };
    if (torch != nullptr) {
      const PeerWork theirs = torch->add_recorded(five, other_five, 5);
      harness.compare("eager_add_5_tape", ours, "libtorch",
                      [&](int64_t times) { theirs.run(theirs.state, times); });
    } else {
      harness.alone("eager_add_5_tape", ours, no_peer);
    }
  }
}

}  // namespace

void small_rows(Harness& harness, const Peer* torch) { add_rows(harness, torch); }

}  // namespace tandem::bench
