#pragma once
// Pictures of handwritten-looking digits, drawn from strokes that this project defines itself.

#include <cstdint>
#include <span>

namespace tandem::data {

inline constexpr int digit_side = 28;
inline constexpr int digit_pixels = digit_side * digit_side;

/// Which digit the `index`-th picture of the stream `seed` shows: 0 to 9, all equally likely.
int digit_label(uint64_t seed, uint64_t index);

/// Draws the `index`-th picture of the stream `seed`, light ink on black. It depends on these two numbers
/// alone, and uses only correctly rounded arithmetic: the same bytes on every machine.
void draw_digit(uint64_t seed, uint64_t index, std::span<uint8_t, digit_pixels> pixels);

}  // namespace tandem::data
