#pragma once
// What a file's header says of its elements, before anything believes it.

#include <cstdint>
#include <optional>

#include "tandem/shape.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// The bytes that the elements take. None where they, or those of the sizes beside one of 0, are more than an
/// int64 counts: no tensor can have such a shape.
inline std::optional<uint64_t> claimed_bytes(const Shape& shape, DType dtype) {
  auto bytes = static_cast<int64_t>(size_of(dtype));
  bool empty = false;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size == 0 ? 1 : size, &bytes)) return std::nullopt;
    empty = empty || size == 0;
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

}  // namespace tandem::data
