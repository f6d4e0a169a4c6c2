#pragma once
// How often this program has asked for memory.

#include <cstdint>

namespace tandem::cli {

/// Calls of `new` on this thread so far.
int64_t allocation_count();

}  // namespace tandem::cli
