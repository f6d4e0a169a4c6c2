#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <thread>
#include <vector>

#include "core/recursive_lock.h"
#include "tandem/dtype.h"
#include "tandem/error.h"
#include "tandem/shape.h"

namespace td = tandem;

TEST(Half, EveryBitPatternSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    td::Half h;
    h.bits = static_cast<uint16_t>(bits);
    const float f = static_cast<float>(h);
    if (std::isnan(f)) continue;
    EXPECT_EQ(td::Half(f).bits, bits);
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(static_cast<float>(td::Half(2049.f)), 2048.f);
  EXPECT_EQ(static_cast<float>(td::Half(2051.f)), 2052.f);
  EXPECT_EQ(td::Half(65519.f).bits, 0x7bff);
  EXPECT_EQ(td::Half(65520.f).bits, 0x7c00);
  EXPECT_EQ(td::Half(0x1p-25f).bits, 0);
  EXPECT_EQ(td::Half(0x1.8p-25f).bits, 1);
}

TEST(Dims, TooManyDimensionsAreAnError) {
  try {
    td::Shape s{1, 2, 3, 4, 5, 6, 7, 8, 9};
    FAIL();
  } catch (const td::Error& e) {
    EXPECT_STREQ(e.what(), "rank 9 is too large; at most 8 dimensions are supported");
  }
}

TEST(RecursiveLock, OneThreadAtATimeAndItMayComeAgain) {
  td::detail::RecursiveLock lock;
  int count = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        const std::lock_guard outer(lock), inner(lock);
        ++count;
      }
    });
  threads.clear();
  EXPECT_EQ(count, 4000);
}
