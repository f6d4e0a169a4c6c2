#include "core/buffer.h"

#include <bit>
#include <cstdlib>

#include "core/check.h"
#include "core/sanitized.h"
#include "tandem/memory.h"

namespace tandem {
namespace {

// Classes 0..15: multiples of 64 up to 1 KiB. Above: four steps for each power of two.
constexpr int small_classes = 16;
constexpr int class_count = small_classes + 4 * 38;
constexpr size_t cache_limit = size_t{256} << 20;
constexpr bool caching = TANDEM_SANITIZED == 0;  // else the sanitizers would not see every use after free

struct FreeBlock {
  FreeBlock* next;
};

struct Cache {
  FreeBlock* lists[class_count];
  MemoryStatistics statistics;
  enum : uint8_t { fresh, registered, closed } state;
};

constinit thread_local Cache cache [[gnu::tls_model("initial-exec")]] = {};

int class_of(size_t bytes) {
  if (bytes <= 1024) return bytes == 0 ? 0 : static_cast<int>((bytes + 63) / 64) - 1;
  const int log = std::bit_width(bytes - 1) - 1;  // 2^log < bytes <= 2^(log+1), log >= 10
  const size_t step = size_t{1} << (log - 2);
  return small_classes + 4 * (log - 10) + static_cast<int>((bytes - 1 - (size_t{1} << log)) / step);
}

size_t class_bytes(int size_class) {
  if (size_class < small_classes) return (static_cast<size_t>(size_class) + 1) * 64;
  const int log = 10 + (size_class - small_classes) / 4, quarter = (size_class - small_classes) % 4;
  return (size_t{1} << log) + (static_cast<size_t>(quarter) + 1) * (size_t{1} << (log - 2));
}

void drain() {
  for (FreeBlock*& list : cache.lists)
    while (list) {
      FreeBlock* next = list->next;
      std::free(list);
      list = next;
    }
  cache.statistics.cached_bytes = 0;
}

// Registered at a thread's first heap allocation; frees the lists when the thread ends. Tensors that die
// after it go straight to the heap.
struct Closer {
  ~Closer() {
    drain();
    cache.state = Cache::closed;
  }
  void touch() {}
};

[[gnu::noinline]] void* allocate_from_heap(int size_class) {
  if (cache.state == Cache::fresh) {
    thread_local Closer closer;
    closer.touch();
    cache.state = Cache::registered;
  }
  const size_t bytes = class_bytes(size_class);
  void* block = std::aligned_alloc(64, bytes);
  if (!block) {
    drain();
    block = std::aligned_alloc(64, bytes);
  }
  if (!block) fail(ErrorCode::out_of_memory, "out of memory: {} bytes could not be allocated", bytes);
  ++cache.statistics.heap_allocations;
  return block;
}

}  // namespace

namespace detail {

void* allocate_block(size_t bytes, uint8_t& size_class) {
  TD_CHECK(bytes < (size_t{1} << 47), ErrorCode::out_of_memory,
           "out of memory: {} bytes could not be allocated", bytes);
  const int c = class_of(bytes);
  size_class = static_cast<uint8_t>(c);
  FreeBlock*& list = cache.lists[c];
  MemoryStatistics& statistics = cache.statistics;
  const auto size = static_cast<int64_t>(class_bytes(c));
  void* block = list;
  if (block) [[likely]] {
    list = list->next;
    statistics.cached_bytes -= size;
  } else {
    block = allocate_from_heap(c);
  }
  statistics.live_bytes += size;
  if (statistics.live_bytes > statistics.peak_bytes) statistics.peak_bytes = statistics.live_bytes;
  return block;
}

void free_block(void* block, uint8_t size_class) noexcept {
  MemoryStatistics& statistics = cache.statistics;
  const auto size = static_cast<int64_t>(class_bytes(size_class));
  statistics.live_bytes -= size;
  if (!caching || cache.state != Cache::registered ||
      statistics.cached_bytes + size > static_cast<int64_t>(cache_limit)) [[unlikely]] {
    std::free(block);
    return;
  }
  auto* freed = static_cast<FreeBlock*>(block);
  freed->next = cache.lists[size_class];
  cache.lists[size_class] = freed;
  statistics.cached_bytes += size;
}

}  // namespace detail

MemoryStatistics memory_statistics() { return cache.statistics; }
void reset_peak_memory() { cache.statistics.peak_bytes = cache.statistics.live_bytes; }
void empty_memory_cache() { drain(); }

}  // namespace tandem
