// The same as fuzz_test.cpp with many more programs. TANDEM_FUZZ_SEED starts from another seed.

#include <cstdlib>

#include "tests/mode_comparison.h"

TEST(Fuzz, EveryModeGivesTheSameBits) {
  const char* given = std::getenv("TANDEM_FUZZ_SEED");
  const auto seed = static_cast<unsigned>(given ? std::atoi(given) : 1);
  for (unsigned i = 0; i < 10; ++i) {
    SCOPED_TRACE("seed " + std::to_string(seed + i));
    tandem::testing::compare_programs(seed + i, 1500);
  }
}
