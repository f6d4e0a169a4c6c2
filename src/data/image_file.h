#pragma once
// PNG and JPEG, as bytes: the only files that know their libraries.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "tandem/tensor.h"

namespace tandem::data {

/// Pictures of (height, width, channels), uint8; 0 channels: the file's own. Errors (io): damaged data, more
/// pixels than allowed. Memory is taken only for sizes within that.
Tensor decode_png(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels);
Tensor decode_jpeg(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels);
/// Rows of interleaved channels, 1 to 4: grey, grey and alpha, RGB, RGB and alpha. Quick rather than small.
std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int64_t channels);
bool is_png(std::span<const std::byte> bytes);
bool is_jpeg(std::span<const std::byte> bytes);

}  // namespace tandem::data
