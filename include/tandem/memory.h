#pragma once
// What Tandem's memory cache has done.

#include <cstddef>
#include <cstdint>

namespace tandem {

/// Counters of the calling thread, since it began.
struct MemoryStatistics {
  int64_t heap_allocations = 0;  ///< blocks taken from the heap (the cache had none)
  int64_t live_bytes = 0;        ///< in use by tensors and plans: allocated minus freed on this thread
  int64_t peak_bytes = 0;        ///< highest live_bytes since the last reset_peak()
  int64_t cached_bytes = 0;      ///< kept for reuse
};

/// The present figures.
MemoryStatistics memory_statistics();
/// Starts a new peak measurement at the present live_bytes.
void reset_peak_memory();
/// Gives this thread's cached blocks back to the heap.
void empty_memory_cache();

}  // namespace tandem
