#pragma once
// Pictures as PNG.

#include <cstdint>
#include <span>
#include <string>

namespace tandem::summary {

/// `pixels` are rows of interleaved channels, 1 to 4: grey, grey and alpha, RGB, RGB and alpha.
std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int64_t channels);

}  // namespace tandem::summary
