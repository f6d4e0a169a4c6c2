// Five floats: what an operation costs apart from its arithmetic.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include <algorithm>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr float five[] = {1, 2, 3, 4, 5}, other_five[] = {5, 4, 3, 2, 1};

/// A row against one of libtorch's pieces of work, where there is libtorch.
template <class MakePeer>
void against(const Peer* torch, Harness& harness, const char* name, Work ours, MakePeer make) {
  if (!harness.wants(name)) return;
  if (torch == nullptr) {
    harness.alone(name, ours, "libtorch is not installed");
    return;
  }
  const PeerWork theirs = make();
  harness.compare(name, ours, "libtorch", [&](int64_t times) { theirs.run(theirs.state, times); });
}

void add_rows(Harness& harness, const Peer* torch) {
  const Tensor a = from_span<float>(five, {5}), b = from_span<float>(other_five, {5});
  against(
      torch, harness, "eager_add_5",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(a + b);
      },
      [&] { return torch->add(five, other_five, 5); });
  // One tape for every 100 additions; its own making and end are part of the figure.
  against(
      torch, harness, "eager_add_5_tape",
      [&](int64_t times) {
        for (int64_t done = 0; done < times; done += 100) {
          GradientTape tape;
          tape.watch(a);
          const int64_t end = std::min<int64_t>(times, done + 100);
          for (int64_t i = done; i < end; ++i) keep(a + b);
        }
      },
      [&] { return torch->add_recorded(five, other_five, 5); });
}

/// 100 operations on one float.
Tensor chain(Tensor x, const Tensor& a, const Tensor& b) {
  for (int step = 0; step < 50; ++step) x = x * a + b;
  return x;
}

void chain_rows(Harness& harness, const Peer* torch) {
  const float start = 1;
  const Tensor x = {1.f}, a = {0.5f}, b = {1.25f};
  const auto eager = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i) keep(chain(x, a, b));
  };
  against(torch, harness, "chain_100_1_eager", eager, [&] { return torch->chain(&start, 0.5f, 1.25f, 1); });
  if (!harness.wants("chain_100_1")) return;
  const auto graph = function([](Tensor x, Tensor a, Tensor b) { return chain(x, a, b); });
  harness.compare(
      "chain_100_1",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(graph(x, a, b));
      },
      "eager", eager);
}

void function_rows(Harness& harness) {
  if (!harness.wants("function_1op_5")) return;
  const Tensor a = from_span<float>(five, {5}), b = from_span<float>(other_five, {5});
  const auto add = function([](Tensor a, Tensor b) { return a + b; });
  const Row& row = harness.compare(
      "function_1op_5",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(add(a, b));
      },
      "eager",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(a + b);
      });
  harness.note(fmt::format("{:.1f} ns more than the eager op", row.ours_ns - row.peer_ns));
}

/// Operands that broadcast and small products, against an addition of equal shapes.
void broadcast_rows(Harness& harness) {
  const Tensor five_floats = from_span<float>(five, {5}), one = 2.f;
  const Tensor rows = ones({4, 5}), square = ones({4, 4});
  const auto compare = [&](const char* name, const auto& call) {
    if (!harness.wants(name)) return;
    harness.compare(
        name,
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) keep(call());
        },
        "eager add",
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) keep(five_floats + five_floats);
        });
  };
  compare("eager_mul_scalar_tensor_5", [&] { return five_floats * one; });
  compare("eager_add_row_4x5", [&] { return rows + five_floats; });
  compare("eager_matmul_4x4", [&] { return matmul(square, square); });
}

}  // namespace

void small_rows(Harness& harness, const Peer* torch) {
  add_rows(harness, torch);
  broadcast_rows(harness);
  function_rows(harness);
  chain_rows(harness, torch);
}

}  // namespace tandem::bench
