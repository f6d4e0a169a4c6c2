// Timing, and how far apart two results are.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "tandem/error.h"
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
