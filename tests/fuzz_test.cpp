// Random programs over the whole op table: eager, traced and optimized agree to the bit, and every op is
// covered in each class of dtypes that it takes.

#include "tests/mode_comparison.h"

TEST(Fuzz, EveryModeGivesTheSameBits) { tandem::testing::compare_programs(20260101, 900); }
