#pragma once
// Windows laid out as columns of a matrix, and back.

#include <cstring>

#include "runtime/windows.h"

namespace tandem::runtime {

/// Calls f(column, at, step, count) for runs of windows along the last dimension: for the windows [first,
/// end) by row-major number, element (i, j, k) of each. Columns [column, column + count) of the matrix have
/// their element at `at`, `at + step`, ... of the channel; `at` is -1 for elements in the padding.
template <class F>
void for_runs(const Windows& w, int64_t i, int64_t j, int64_t k, int64_t first, int64_t end, F&& f) {
  const int64_t width = w.output[2];
  const Windows::Range inside = w.inside(2, k);
  for (int64_t at = first; at < end;) {
    const int64_t row = at / width, begin = at - row * width, stop = std::min(width, end - row * width);
    const int64_t y = w.position(1, row % w.output[1], j), z = w.position(0, row / w.output[1], i);
    const int64_t column = at - first;
    if (y < 0 || y >= w.input[1] || z < 0 || z >= w.input[0]) {
      f(column, int64_t{-1}, int64_t{0}, stop - begin);
    } else {
      const int64_t low = std::clamp(inside.first, begin, stop), high = std::clamp(inside.end, low, stop);
      if (low > begin) f(column, int64_t{-1}, int64_t{0}, low - begin);
      if (high > low)
        f(column + low - begin, (z * w.input[1] + y) * w.input[2] + w.position(2, low, k), w.stride[2],
          high - low);
      if (stop > high) f(column + high - begin, int64_t{-1}, int64_t{0}, stop - high);
    }
    at += stop - begin;
  }
}

/// Calls f(row, channel, i, j, k) for the rows of the matrix: the elements of a window, by channel.
template <class F>
void for_taps(const Windows& w, int64_t channels, F&& f) {
  int64_t row = 0;
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < w.kernel[0]; ++i)
      for (int64_t j = 0; j < w.kernel[1]; ++j)
        for (int64_t k = 0; k < w.kernel[2]; ++k) f(row++, c, i, j, k);
}

/// The windows [first, end) of `channels` channels of x as columns; rows are `row_stride` apart.
template <class T>
void to_columns(const Windows& w, int64_t channels, const T* x, int64_t first, int64_t end, T* columns,
                int64_t row_stride) {
  const int64_t plane = w.input_count();
  for_taps(w, channels, [&](int64_t row, int64_t c, int64_t i, int64_t j, int64_t k) {
    T* to = columns + row * row_stride;
    const T* from = x + c * plane;
    for_runs(w, i, j, k, first, end, [&](int64_t column, int64_t at, int64_t step, int64_t count) {
      if (at < 0)
        std::fill_n(to + column, count, T{});
      else if (step == 1)
        std::memcpy(to + column, from + at, static_cast<size_t>(count) * sizeof(T));
      else
        for (int64_t n = 0; n < count; ++n) to[column + n] = from[at + n * step];
    });
  });
}

/// Adds columns up where they came from.
template <class T, class Sum>
void add_columns(const Windows& w, int64_t channels, const T* columns, int64_t row_stride, int64_t first,
                 int64_t end, Sum* x) {
  const int64_t plane = w.input_count();
  for_taps(w, channels, [&](int64_t row, int64_t c, int64_t i, int64_t j, int64_t k) {
    const T* from = columns + row * row_stride;
    Sum* to = x + c * plane;
    for_runs(w, i, j, k, first, end, [&](int64_t column, int64_t at, int64_t step, int64_t count) {
      if (at < 0) return;
      for (int64_t n = 0; n < count; ++n)
        to[at + n * step] = static_cast<Sum>(to[at + n * step] + static_cast<Sum>(from[column + n]));
    });
  });
}

}  // namespace tandem::runtime
