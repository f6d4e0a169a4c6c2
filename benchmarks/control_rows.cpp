// Loops on tensors: what an iteration costs in both modes.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr int64_t iterations = 1000;

/// Three small operations an iteration, and a counter that ends it.
Tensor small_loop(const Tensor& x, const Tensor& a, const Tensor& b) {
  const auto last = while_loop([](Tensor i, Tensor) { return i < iterations; },
                               [&](Tensor i, Tensor v) { return std::tuple(i + 1, tanh(v * a + b)); },
                               std::tuple(Tensor(0, DType::i64), x));
  return std::get<1>(last);
}

}  // namespace

void control_rows(Harness& harness) {
  if (!harness.wants("while_loop_1000")) return;
  const Tensor x = {1.f, 2.f, 3.f, 4.f, 5.f}, a = full({5}, 0.5f), b = full({5}, 0.25f);
  const auto graph = function([](Tensor x, Tensor a, Tensor b) { return small_loop(x, a, b); });
  const Row& row = harness.compare(
      "while_loop_1000",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(graph(x, a, b));
      },
      "eager",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(small_loop(x, a, b));
      });
  harness.note(fmt::format("{:.0f} ns an iteration; {:.0f} eagerly", row.ours_ns / iterations,
                           row.peer_ns / iterations));
}

}  // namespace tandem::bench
