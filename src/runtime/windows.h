#pragma once
// Windows that slide over up to three spatial dimensions.

#include <algorithm>
#include <cstdint>

namespace tandem::runtime {

inline constexpr int max_spatial = 3;

/// Sizes and steps by spatial dimension, outermost first. Entries before the first of fewer than three
/// dimensions are one window of one element.
struct Windows {
  int rank = 0;  ///< of the tensors; the arrays always hold three
  int64_t input[max_spatial] = {1, 1, 1};
  int64_t output[max_spatial] = {1, 1, 1};
  int64_t kernel[max_spatial] = {1, 1, 1};
  int64_t stride[max_spatial] = {1, 1, 1};
  int64_t dilation[max_spatial] = {1, 1, 1};
  int64_t before[max_spatial] = {};  ///< padding at the low end
  int64_t after[max_spatial] = {};   ///< and at the high end

  bool operator==(const Windows&) const = default;

  int64_t input_count() const { return input[0] * input[1] * input[2]; }
  int64_t output_count() const { return output[0] * output[1] * output[2]; }
  int64_t kernel_count() const { return kernel[0] * kernel[1] * kernel[2]; }
  /// Where in the input element `tap` of the window at `at` lies.
  int64_t position(int d, int64_t at, int64_t tap) const {
    return at * stride[d] + tap * dilation[d] - before[d];
  }
  /// The windows [first, end) whose element `tap` lies inside the input.
  struct Range {
    int64_t first, end;
  };
  Range inside(int d, int64_t tap) const {
    const int64_t shift = before[d] - tap * dilation[d];
    const int64_t first = shift > 0 ? (shift + stride[d] - 1) / stride[d] : 0;
    const int64_t room = input[d] + shift;
    const int64_t end = room > 0 ? (room + stride[d] - 1) / stride[d] : 0;
    return {std::min(first, output[d]), std::max(std::min(first, output[d]), std::min(end, output[d]))};
  }
};

}  // namespace tandem::runtime
