// Timing, and how far apart two results are.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "core/sanitized.h"
#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "tandem/compare.h"
#include "tandem/error.h"
#include "tandem/ops.h"
#include "tandem/tape.h"
#include "tandem/timeit.h"

namespace td = tandem;

TEST(UlpDistance, CountsRepresentableValues) {
  const float one = 1, next = std::nextafterf(1, 2), infinity = std::numeric_limits<float>::infinity();
  const float largest = std::numeric_limits<float>::max(), nan = std::nanf("");
  const auto distance = [](float a, float b) {
    return td::largest_ulp_distance(td::Tensor(a), td::Tensor(b));
  };
  EXPECT_EQ(distance(one, one), 0);
  EXPECT_EQ(distance(one, next), 1);
  EXPECT_EQ(distance(-next, -one), 1);
  EXPECT_EQ(distance(-0.f, 0.f), 1);
  EXPECT_EQ(distance(1e-45f, -1e-45f), 3);
  EXPECT_EQ(distance(largest, infinity), 1);
  EXPECT_EQ(distance(nan, -nan), 0);
  EXPECT_EQ(distance(nan, one), INT64_MAX);
}

TEST(UlpDistance, TakesTheLargestOfAnyDtype) {
  EXPECT_EQ(td::largest_ulp_distance(td::Tensor({1, 5, 9}), td::Tensor({1, 2, 10})), 3);
  EXPECT_EQ(td::largest_ulp_distance(td::Tensor({1.0, 1.0}, td::float64),
                                     td::Tensor({1.0, 1 + 0x1p-50}, td::float64)),
            4);
  EXPECT_EQ(td::largest_ulp_distance(td::Tensor({1.f}, td::float16), td::Tensor({1 + 0x1p-9f}, td::float16)),
            2);
  EXPECT_EQ(td::largest_ulp_distance(td::Tensor({1.f}, td::bfloat16), td::Tensor({-1.f}, td::bfloat16)),
            2 * 0x3f80 + 1);
  EXPECT_EQ(td::largest_ulp_distance(td::Tensor(INT64_MIN, td::int64), td::Tensor(INT64_MAX, td::int64)),
            INT64_MAX);
}

TEST(UlpDistance, RefusesResultsOfDifferentKinds) {
  try {
    td::largest_ulp_distance(td::Tensor({1.f, 2.f}), td::Tensor(1.f));
    FAIL();
  } catch (const td::Error& e) {
    EXPECT_STREQ(e.what(),
                 "results of different kinds cannot be compared: (2,) of float32 and () of float32");
  }
}

TEST(Sampler, QuantilesWeighEveryCallAlike) {
  // Calls of 0.1 ms: no batch grows, so every sample is one call.
  td::Sampler sampler([](int64_t calls) {
    const td::Stopwatch watch;
    while (watch.nanoseconds() < 1e5 * static_cast<double>(calls)) {
    }
  });
  for (int i = 0; i < 5; ++i) sampler.sample(10);
  EXPECT_EQ(sampler.calls(), 5);
  EXPECT_GE(sampler.quantile(0.1), 1e5);
  EXPECT_GE(sampler.quantile(0.9), sampler.quantile(0.1));
  EXPECT_GE(sampler.total_ns(), 5e5);
}

TEST(Timeit, CallsAsOftenAsAsked) {
  int calls = 0;
  const td::Timing timing = td::timeit([&] { ++calls; }, {.number = 1000});
  EXPECT_EQ(calls, 1001);
  EXPECT_EQ(timing.number, 1000);
  EXPECT_LE(timing.low_ns, timing.median_ns);
  EXPECT_LE(timing.median_ns, timing.high_ns);
  EXPECT_GT(timing.total_ns, 0);
}

TEST(Timeit, SaysWhatItMeasured) {
  const td::Timing timing{.number = 1000,
                          .first_ns = 52'000,
                          .median_ns = 47.25,
                          .low_ns = 45,
                          .high_ns = 61.5,
                          .total_ns = 49'000};
  EXPECT_EQ(td::to_string(timing), "47.2 ns a call (median of 1,000; 45 ns to 61.5 ns), first call 52.0 µs");
}

TEST(Timeit, RefusesANegativeNumber) {
  try {
    td::timeit([] {}, {.number = -1});
    FAIL();
  } catch (const td::Error& e) {
    EXPECT_STREQ(e.what(),
                 "timeit: a number of -1 calls is negative; expected 1 or more, or 0 to let it choose");
  }
}

TEST(CompareModes, MeasuresALambda) {
  const td::Tensor x = {1, 2, 3, 4, 5.f};
  const td::Comparison c = td::compare_modes([](td::Tensor v) { return td::exp(v * 2) + v; }, x);
  EXPECT_EQ(c.name, "function");
  EXPECT_EQ(c.inputs, "(5,) float32");
  EXPECT_EQ(c.max_ulp, 0);
  EXPECT_GT(c.warm_up_ns, c.eager_first_ns);
  EXPECT_GT(c.eager_ns, 0);
  EXPECT_GT(c.trace_ns, 0);
  EXPECT_GT(c.plan_ns, 0);
  EXPECT_GT(c.graph_first_ns, c.trace_ns + c.optimize_ns + c.plan_ns + c.first_run_ns);
  EXPECT_LE(c.graph_low_ns, c.graph_ns);
  EXPECT_LE(c.graph_ns, c.graph_high_ns);
  // Under a sanitizer no block is kept for the next tensor, so that it sees every use after a free.
  if (!TANDEM_SANITIZED) {
    EXPECT_EQ(c.eager_allocations, 0);
    EXPECT_EQ(c.graph_allocations, 0);
  }
}

TEST(CompareModes, TakesFunctionsAndGenericCallables) {
  const td::Tensor x = {1, 2, 3.f};
  const auto twice = td::function([](td::Tensor v, float factor) { return v * factor; }, {.name = "twice"});
  EXPECT_EQ(td::compare_modes(twice, x, 2).name, "twice");
  EXPECT_EQ(twice.trace_count(), 0);
  EXPECT_EQ(td::compare_modes([](const auto& v) { return v + v; }, x).max_ulp, 0);
  int calls = 0;
  EXPECT_EQ(td::compare_modes([&](td::Tensor v) { calls += v.is_symbolic() ? 0 : 1; }, x).max_ulp, 0);
  EXPECT_GT(calls, 2);
}

TEST(CompareModes, GivesVariablesTheirValuesBack) {
  const td::Variable w(td::Tensor({1, 2, 3.f})), steps(td::Tensor(0));
  const auto step = [&](td::Tensor x) {
    td::GradientTape tape;
    const td::Tensor loss = td::sum(td::exp(w * x) - w);
    w.assign_sub(0.01f * tape.gradient(loss, w));
    steps.assign_add(1);
    return loss;
  };
  const td::Comparison c = td::compare_modes(step, td::Tensor({0.5f, -1.f, 0.1f}));
  EXPECT_EQ(c.max_ulp, 0);
  EXPECT_EQ(w.value().to_vector<float>(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(steps.value().item<int32_t>(), 0);
}

TEST(CompareModes, SaysSoWhenResultsDiffer) {
  // A body that asks which mode it runs in: eagerly it adds, symbolically it does not.
  const auto cheat = [](td::Tensor x) { return x.is_symbolic() ? x * 1.f : x + 1.f; };
  const td::Comparison c = td::compare_modes(cheat, td::Tensor({1.f, 2.f}));
  EXPECT_EQ(c.max_ulp, 1 << 23);
  EXPECT_NE(c.conclusion().find("THE RESULTS DIFFER, by up to 8,388,608 ULP."), std::string::npos)
      << c.conclusion();
}

TEST(CompareModes, SeesFunctionsInsideEagerlyAndThenLeavesThemAsTheyWere) {
  int bodies = 0;
  const auto inner = td::function([&](td::Tensor x) {
    if (!x.is_symbolic()) ++bodies;
    return x * 3.f;
  });
  td::compare_modes([&](td::Tensor x) { return inner(x) + 1.f; }, td::Tensor({1.f}));
  EXPECT_GT(bodies, 2);
  EXPECT_FALSE(td::functions_run_eagerly());
}

TEST(Comparison, PrintsATableAndItsConclusion) {
  td::Comparison c{.name = "step", .inputs = "(60, 784) float32"};
  c.eager_first_ns = 2000;
  c.graph_first_ns = 9000;
  c.trace_ns = 3000;
  c.optimize_ns = 1000;
  c.plan_ns = 2500;
  c.first_run_ns = 1500;
  c.eager_ns = 1200;
  c.graph_ns = 1000;
  c.eager_low_ns = 1100;
  c.eager_high_ns = 1300;
  c.graph_low_ns = 990;
  c.graph_high_ns = 1010;
  c.eager_calls = 1000;
  c.graph_calls = 1200;
  c.break_even_calls = 36;
  c.eager_peak_bytes = 4096;
  c.graph_peak_bytes = 1024;
  c.eager_allocations = 1234;
  std::ostringstream text;
  c.print(text);
  EXPECT_EQ(text.str(),
            "step                             eager              graph\n"
            "─────────────────────────────────────────────────────────\n"
            "first call                     2.00 µs            9.00 µs\n"
            "  tracing                                         3.00 µs\n"
            "  optimizing                                      1.00 µs\n"
            "  planning                                        2.50 µs\n"
            "  running                                         1.50 µs\n"
            "each call after it             1.20 µs            1.00 µs\n"
            "  from 10% to 90%   1.10 µs to 1.30 µs  990 ns to 1.01 µs\n"
            "  calls timed                    1,000              1,200\n"
            "peak memory                    4.0 KiB            1.0 KiB\n"
            "allocations a call               1,234                  0\n"
            "The graph is 1.20 times as fast; the graph has paid for itself after 36 calls. The results are "
            "equal to the "
            "last bit.\n");
  c.eager_ns = 500;
  c.break_even_calls.reset();
  EXPECT_EQ(c.conclusion(),
            "Eager is 2.00 times as fast; here a graph does not pay. The results are equal to the last bit.");
}
