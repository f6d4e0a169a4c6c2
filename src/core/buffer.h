#pragma once
// Memory blocks: a bounded, thread-local cache over the heap.
//
// Giving large blocks back to the system and touching fresh pages again costs more than most
// arithmetic on them, so freed blocks of every size are kept for the next tensor.

#include <cstddef>
#include <cstdint>

namespace tandem::detail {

/// At least `bytes` bytes, aligned to 64. Throws Error(out_of_memory).
/// `size_class` must be handed back to free_block.
void* allocate_block(size_t bytes, uint8_t& size_class);
void free_block(void* block, uint8_t size_class) noexcept;

}  // namespace tandem::detail
