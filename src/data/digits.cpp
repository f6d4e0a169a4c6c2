#include "tandem/data/digits.h"

#include <vector>

#include "core/check.h"
#include "data/digit_renderer.h"
#include "runtime/parallel.h"

namespace tandem::data {

Digits digits(int64_t count, uint64_t seed) {
  TD_CHECK(count >= 0, "digits: a count of {} is negative; expected 0 or more", count);
  std::vector<uint8_t> pixels(static_cast<size_t>(count) * digit_pixels);
  std::vector<int64_t> labels(static_cast<size_t>(count));
  constexpr int64_t digits_a_thread = 64;
  runtime::parallel_for(count, digits_a_thread, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto index = static_cast<uint64_t>(i);
      draw_digit(seed, index,
                 std::span<uint8_t, digit_pixels>(pixels.data() + index * digit_pixels, digit_pixels));
      labels[index] = digit_label(seed, index);
    }
  });
  return {from_vector(std::move(pixels), {count, digit_side, digit_side}),
          from_vector(std::move(labels), {count})};
}

}  // namespace tandem::data
