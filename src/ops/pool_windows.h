#pragma once
// What the pooling ops share: attributes, windows, and how planes are run over.

#include <utility>

#include "ops/channels_last.h"
#include "ops/elements.h"
#include "ops/windows.h"
#include "runtime/columns.h"
#include "runtime/parallel.h"
#include "runtime/pooling_kernels.h"
#include "tandem/ops/pooling.h"

namespace tandem {

/// The attributes that all of ONNX's pooling over windows has.
struct PoolAttributes : WindowAttributes {
  bool ceil_mode = false;
  static constexpr auto fields() {
    return std::tuple{
        field("auto_pad", &PoolAttributes::auto_pad),   field("ceil_mode", &PoolAttributes::ceil_mode),
        field("dilations", &PoolAttributes::dilations), field("kernel_shape", &PoolAttributes::kernel_shape),
        field("pads", &PoolAttributes::pads),           field("strides", &PoolAttributes::strides)};
  }
};

inline runtime::Windows pool_windows(const PoolAttributes& a, const Shape& x) {
  return windows_over(a, x, a.kernel_shape, a.ceil_mode ? Rounding::up : Rounding::down);
}
inline Shape pooled_shape(const InferContext& c, const PoolAttributes& a, const Shape& x) {
  check_spatial("X", x);
  TD_CHECK(!a.kernel_shape.empty(), "kernel_shape is missing; it must have {} numbers", x.rank() - 2);
  const runtime::Windows w = pool_windows(a, x);
  Shape shape{x[0], x[1]};
  for (int d = runtime::max_spatial - w.rank; d < runtime::max_spatial; ++d)
    shape.push_back(w.output[d] == -1 ? c.fresh_symbol() : w.output[d]);
  return shape;
}

/// Calls f(i, j, k) for each element of a window, in row-major order.
template <class F>
void for_each_tap(const runtime::Windows& w, F&& f) {
  for (int64_t i = 0; i < w.kernel[0]; ++i)
    for (int64_t j = 0; j < w.kernel[1]; ++j)
      for (int64_t k = 0; k < w.kernel[2]; ++k) f(i, j, k);
}

/// Whether the rows of windows are of a kind that pooling_kernels() takes.
inline bool are_kernel_rows(const runtime::Windows& w) {
  return w.input_count() <= INT32_MAX && w.output_count() <= INT32_MAX && w.kernel_count() <= 256;
}
/// Calls f(column, taps, count) for each row of results of a plane: its first window's number and what
/// pooling_kernels() needs.
template <class F>
void for_kernel_rows(const runtime::Windows& w, const float* x, F&& f) {
  runtime::Windows::Range inside[256];
  for (int64_t k = 0; k < w.kernel[2]; ++k) inside[k] = w.inside(2, k);
  runtime::PoolingTap taps[256];
  int64_t column = 0;
  for (int64_t z = 0; z < w.output[0]; ++z)
    for (int64_t y = 0; y < w.output[1]; ++y, column += w.output[2]) {
      int count = 0;
      for (int64_t i = 0; i < w.kernel[0]; ++i)
        for (int64_t j = 0; j < w.kernel[1]; ++j) {
          const int64_t slab = w.position(0, z, i), row = w.position(1, y, j);
          if (slab < 0 || slab >= w.input[0] || row < 0 || row >= w.input[1]) continue;
          for (int64_t k = 0; k < w.kernel[2]; ++k) {
            const int64_t at = (slab * w.input[1] + row) * w.input[2] + w.position(2, 0, k);
            taps[count++] = {x + at, static_cast<int32_t>(at), static_cast<int32_t>(inside[k].first),
                             static_cast<int32_t>(inside[k].end)};
          }
        }
      f(column, taps, count);
    }
}

/// Runs body(plane) for every image and channel.
template <class Body>
void for_planes(const Shape& x, const runtime::Windows& w, Body body) {
  const int64_t work = std::max<int64_t>(1, w.output_count() * w.kernel_count());
  runtime::parallel_for(x[0] * x[1], std::max<int64_t>(1, 32 * 1024 / work), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) body(plane);
  });
}

/// Windows over memory with channels last, all channels of a window at once: `initial` fills them,
/// take(taps, count, channels, sums) takes some of the window's elements in, in order, and
/// finish(z, y, x, channels, sums) comes last.
template <class T, class Take, class Finish>
void pool_channels_last(const KernelContext& k, const runtime::Windows& w, Computed<T> initial, Take take,
                        Finish finish) {
  constexpr bool is_narrow = !std::is_same_v<T, Computed<T>>;
  const int64_t batch = k.inputs[0].shape[0], channels = k.inputs[0].shape.back();
  const int64_t rows = w.output[0] * w.output[1], image = w.input_count() * channels;
  const int64_t row_work = std::max<int64_t>(1, w.output[2] * w.kernel_count() * channels);
  runtime::parallel_for(
      batch * rows, std::max<int64_t>(1, 32 * 1024 / row_work), [&](int64_t begin, int64_t end) {
        Tensor wide;
        if constexpr (is_narrow) wide = detail::empty_tensor(DType::f32, {channels});
        for (int64_t row = begin; row < end; ++row) {
          const T* x = k.in<T>(0) + row / rows * image;
          const int64_t z = row % rows / w.output[1], y = row % w.output[1];
          for (int64_t column = 0; column < w.output[2]; ++column) {
            T* to = k.out<T>(0) + (row * w.output[2] + column) * channels;
            Computed<T>* sums;
            if constexpr (is_narrow)
              sums = detail::mutable_data<float>(wide);
            else
              sums = to;
            std::fill_n(sums, channels, initial);
            constexpr int most = 64;
            const T* taps[most];
            int count = 0;
            for_each_tap(w, [&](int64_t i, int64_t j, int64_t l) {
              const int64_t p = w.position(0, z, i), q = w.position(1, y, j), r = w.position(2, column, l);
              if (p < 0 || p >= w.input[0] || q < 0 || q >= w.input[1] || r < 0 || r >= w.input[2]) return;
              if (count == most) take(taps, std::exchange(count, 0), channels, sums);
              taps[count++] = x + ((p * w.input[1] + q) * w.input[2] + r) * channels;
            });
            if (count > 0) take(taps, count, channels, sums);
            finish(z, y, column, channels, sums);
            if constexpr (is_narrow)
              for (int64_t n = 0; n < channels; ++n) to[n] = T(sums[n]);
          }
        }
      });
}

/// Samples for pooling: no two elements alike, so that maxima are unique.
inline Tensor distinct(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * 37) % 101) * 0.25f - 10;
  return from_vector(std::move(v), shape);
}

/// Options as attributes of any of these ops, spread over the dimensions of an argument.
template <class A>
A attributes_for(const Operand& x, const Dims& kernel_shape, const PoolOptions& o) {
  A a;
  static_cast<WindowAttributes&>(a) =
      window_attributes(o.auto_pad, o.dilations, kernel_shape, o.pads, o.strides, spatial_rank(x));
  a.ceil_mode = o.ceil_mode;
  return a;
}

}  // namespace tandem
