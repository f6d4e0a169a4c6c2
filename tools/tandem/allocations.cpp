// Counts what `new` takes from the heap, so that compare_modes can report allocations of all kinds: those of
// oneDNN that go through `new` are among them.

#include "allocations.h"

#include <cstdlib>
#include <new>

namespace tandem::cli {
namespace {
constinit thread_local int64_t count = 0;
}
int64_t allocation_count() { return count; }
}  // namespace tandem::cli

// The other forms of new and delete call these by default, but not where a sanitizer brings its own.
void* operator new(size_t bytes) {
  ++tandem::cli::count;
  if (void* block = std::malloc(bytes != 0 ? bytes : 1)) return block;
  throw std::bad_alloc();
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++tandem::cli::count;
  return std::malloc(bytes != 0 ? bytes : 1);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
