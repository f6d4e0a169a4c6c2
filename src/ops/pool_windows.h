#pragma once
// What the pooling ops share: attributes, windows, and how planes are run over.

#include "ops/elements.h"
#include "ops/windows.h"
#include "runtime/columns.h"
#include "runtime/parallel.h"
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

/// Runs body(plane) for every image and channel.
template <class Body>
void for_planes(const Shape& x, const runtime::Windows& w, Body body) {
  const int64_t work = std::max<int64_t>(1, w.output_count() * w.kernel_count());
  runtime::parallel_for(x[0] * x[1], std::max<int64_t>(1, 32 * 1024 / work), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) body(plane);
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
