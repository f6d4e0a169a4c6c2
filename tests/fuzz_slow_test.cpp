// The same as fuzz_test.cpp with many more programs. TANDEM_FUZZ_SEED starts from another seed. Sanitizers,
// under which each takes ten times as long, see a tenth of them.

#include <cstdlib>

#include "core/sanitized.h"
#include "tests/mode_comparison.h"

TEST(Fuzz, EveryModeGivesTheSameBits) {
  const char* given = std::getenv("TANDEM_FUZZ_SEED");
  const auto seed = static_cast<unsigned>(given ? std::atoi(given) : 1);
  for (unsigned i = 0; i < (TANDEM_SANITIZED ? 1 : 10); ++i) {
    SCOPED_TRACE("seed " + std::to_string(seed + i));
    tandem::testing::compare_programs(seed + i, 1500);
  }
}
