#pragma once
// PNG and JPEG, as bytes: the only files that know their libraries.

#include <cstddef>
#include <cstdint>
#include <span>

#include "tandem/tensor.h"

namespace tandem::data {

/// Pictures of (height, width, channels), uint8; 0 channels: the file's own. Errors (io): damaged data, more
/// pixels than allowed. Memory is taken only for sizes within that.
Tensor decode_png(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels);
Tensor decode_jpeg(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels);
bool is_png(std::span<const std::byte> bytes);
bool is_jpeg(std::span<const std::byte> bytes);

}  // namespace tandem::data
