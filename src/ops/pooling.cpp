// Pooling over windows: MaxPool, MaxUnpool, AveragePool, LpPool, and over everything.

#include "tandem/ops/pooling.h"

#include <limits>

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/windows.h"
#include "runtime/columns.h"
#include "runtime/parallel.h"
#include "tandem/ops/convolution.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;
using runtime::max_spatial;
using runtime::Windows;

/// No two elements alike, so that maxima are unique.
Tensor distinct(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * 37) % 101) * 0.25f - 10;
  return from_vector(std::move(v), shape);
}
Tensor sizes(const Shape& shape) { return to_tensor(Operand(shape)); }

struct PoolAttributes : WindowAttributes {
  bool ceil_mode = false;
  static constexpr auto fields() {
    return std::tuple{
        field("auto_pad", &PoolAttributes::auto_pad),   field("ceil_mode", &PoolAttributes::ceil_mode),
        field("dilations", &PoolAttributes::dilations), field("kernel_shape", &PoolAttributes::kernel_shape),
        field("pads", &PoolAttributes::pads),           field("strides", &PoolAttributes::strides)};
  }
};

Windows pool_windows(const PoolAttributes& a, const Shape& x) {
  return windows_over(a, x, a.kernel_shape, a.ceil_mode ? Rounding::up : Rounding::down);
}
Shape pooled_shape(const InferContext& c, const PoolAttributes& a, const Shape& x) {
  check_spatial("X", x);
  TD_CHECK(!a.kernel_shape.empty(), "kernel_shape is missing; it must have {} numbers", x.rank() - 2);
  const Windows w = pool_windows(a, x);
  Shape shape{x[0], x[1]};
  for (int d = max_spatial - w.rank; d < max_spatial; ++d)
    shape.push_back(w.output[d] == -1 ? c.fresh_symbol() : w.output[d]);
  return shape;
}

/// Calls f(i, j, k) for each element of a window, in row-major order.
template <class F>
void for_each_tap(const Windows& w, F&& f) {
  for (int64_t i = 0; i < w.kernel[0]; ++i)
    for (int64_t j = 0; j < w.kernel[1]; ++j)
      for (int64_t k = 0; k < w.kernel[2]; ++k) f(i, j, k);
}

/// Runs body(plane) for every image and channel.
template <class Body>
void for_planes(const Shape& x, const Windows& w, Body body) {
  const int64_t work = std::max<int64_t>(1, w.output_count() * w.kernel_count());
  runtime::parallel_for(x[0] * x[1], std::max<int64_t>(1, 32 * 1024 / work), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) body(plane);
  });
}

// ---- MaxPool

struct MaxPool {
  static constexpr std::string_view name = "MaxPool";
  static constexpr int since = 22, outputs = 2;
  static constexpr TypeSet types = types::floating | type_bit(DType::i8) | type_bit(DType::u8);
  struct Attributes : PoolAttributes {
    int64_t storage_order = 0;
    static constexpr auto fields() {
      return std::tuple_cat(PoolAttributes::fields(),
                            std::tuple{field("storage_order", &Attributes::storage_order)});
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X", types}}};

  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(a.storage_order == 0 || a.storage_order == 1,
             "storage_order is {}; expected 0 (row-major) or 1 (column-major)", a.storage_order);
    const Shape shape = pooled_shape(c, a, c.shape(0));
    c.output(c.dtype(0), shape);
    c.output(DType::i64, shape);
  }
  template <class T>
  static void pool(const Windows& w, const T* x, T* y, int64_t* at) {
    const int64_t outputs = w.output_count();
    std::fill_n(at, outputs, int64_t{-1});
    // What no window's element beats: a window inside the padding keeps it.
    std::fill_n(y, outputs, lowest<T>());
    for_each_tap(w, [&](int64_t i, int64_t j, int64_t k) {
      for_runs(w, i, j, k, 0, outputs, [&](int64_t column, int64_t first, int64_t step, int64_t count) {
        if (first < 0) return;
        for (int64_t n = 0; n < count; ++n) {
          const T v = x[first + n * step];
          const auto value = static_cast<Computed<T>>(v);
          const bool wins =
              value > static_cast<Computed<T>>(y[column + n]) || is_nan_element(v) || at[column + n] < 0;
          y[column + n] = wins ? v : y[column + n];
          at[column + n] = wins ? first + n * step : at[column + n];
        }
      });
    });
  }
  template <class T>
  static T lowest() {
    using C = Computed<T>;
    if constexpr (std::is_floating_point_v<C>)
      return T(-std::numeric_limits<C>::infinity());
    else
      return std::numeric_limits<T>::lowest();
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& x = k.inputs[0].shape;
    const Windows w = pool_windows(a, x);
    const int64_t plane_size = w.input_count(), outputs = w.output_count();
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>)
        for_planes(x, w, [&](int64_t plane) {
          int64_t* at = k.out<int64_t>(1) + plane * outputs;
          pool(w, k.in<T>(0) + plane * plane_size, k.out<T>(0) + plane * outputs, at);
          for (int64_t n = 0; n < outputs; ++n) {
            const int64_t p = std::max<int64_t>(0, at[n]);
            const int64_t column = p % w.input[2], row = p / w.input[2] % w.input[1],
                          slab = p / w.input[2] / w.input[1];
            const int64_t turned = slab + w.input[0] * (row + w.input[1] * column);
            at[n] = plane * plane_size + (a.storage_order == 0 ? p : turned);
          }
        });
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    const Tensor x = distinct({2, 2, 5, 4});
    const auto with = [](const WindowAttributes& window, bool ceil_mode = false, int64_t order = 0) {
      Attributes b;
      static_cast<WindowAttributes&>(b) = window;
      b.ceil_mode = ceil_mode;
      b.storage_order = order;
      return boxed(b);
    };
    return {{{x}, with({.kernel_shape = {2, 2}})},
            {{x}, with({.kernel_shape = {3, 2}, .pads = {1, 0, 1, 1}, .strides = {2, 1}})},
            {{x}, with({.kernel_shape = {2, 2}, .strides = {2, 3}}, true, 1)},
            {{x}, with({.auto_pad = "SAME_UPPER", .kernel_shape = {3, 3}, .strides = {2, 2}})},
            {{x}, with({.auto_pad = "SAME_LOWER", .dilations = {2, 1}, .kernel_shape = {2, 2}})},
            {{distinct({1, 3, 6})}, with({.auto_pad = "VALID", .kernel_shape = {3}, .strides = {2}})},
            {{distinct({1, 2, 3, 4, 3})}, with({.kernel_shape = {2, 3, 2}}, false, 1)},
            {{Tensor({{{NAN, 1.f, -INFINITY, -INFINITY}}})}, with({.kernel_shape = {2}}), false},
            {{zeros({0, 2, 5, 4})}, with({.kernel_shape = {2, 2}})}};
  }
};

/// Adds each element up at its index: MaxPool's gradient. The indices of a channel stay in it.
struct MaxPoolGradient {
  static constexpr std::string_view name = "MaxPoolGradient", domain = "ai.tandem";
  static constexpr std::array<InputDef, 3> inputs{{{"dY", types::floating},
                                                   {"indices", types::i64, 1, InputDef::no_gradient},
                                                   {"shape", types::i64, 2, InputDef::parameter}}};
  static void infer(InferContext& c) {
    const Shape x = shape_parameter(c, 2);
    check_spatial("X", x);
    const Shape &dy = c.shape(0), &indices = c.shape(1);
    bool fits = dy.rank() == x.rank() && indices.rank() == x.rank();
    for (int i = 0; fits && i < x.rank(); ++i) {
      fits = dy[i] == indices[i] || dy[i] < 0 || indices[i] < 0;
      if (i < 2) fits = fits && (dy[i] == x[i] || dy[i] < 0 || x[i] < 0);
    }
    TD_CHECK(fits, "dY of shape {} and indices of shape {} do not belong to an input of shape {}", dy,
             indices, x);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k) {
    const Shape &dy = k.inputs[0].shape, &x = k.outputs[0].shape;
    const int64_t plane_size = product(x, 2, x.rank()), count = product(dy, 2, dy.rank());
    with_element(k.outputs[0].dtype, [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<Computed<T>>)
        runtime::parallel_for(x[0] * x[1], std::max<int64_t>(1, 16 * 1024 / std::max<int64_t>(1, plane_size)),
                              [&](int64_t begin, int64_t end) {
                                for (int64_t plane = begin; plane < end; ++plane)
                                  add(k.in<T>(0) + plane * count, k.in<int64_t>(1) + plane * count, count,
                                      plane * plane_size, plane_size, k.out<T>(0) + plane * plane_size);
                              });
    });
  }
  template <class T>
  static void add(const T* dy, const int64_t* indices, int64_t count, int64_t first, int64_t size, T* dx) {
    using C = Computed<T>;
    std::fill_n(dx, size, T{});
    for (int64_t n = 0; n < count; ++n) {
      const int64_t at = indices[n] - first;
      TD_CHECK(at >= 0 && at < size, "index {} lies outside its channel, {} to {}", indices[n], first,
               first + size - 1);
      dx[at] = T(static_cast<C>(dx[at]) + static_cast<C>(dy[n]));
    }
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor flat = reshape(zeros(Operand(in[2]), in[0].dtype()), {-1});
    return {reshape(scatter_elements(flat, reshape(in[1], {-1}), reshape(in[0], {-1}), 0, "add"), in[2])};
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor taken = gather_elements(reshape(g.dy(), {-1}), reshape(g.x(1), {-1}), 0);
    return {reshape(taken, g.x(0).shape()), {}, {}};
  }
  static std::vector<Sample> samples() {
    const Tensor indices({{{1, 1}, {3, 5}}}, DType::i64);
    return {{{Tensor({{{0.5f, 2.f}, {1.f, -1.f}}}), indices, sizes({1, 2, 3})}, {}},
            {{zeros({0, 1, 2}), zeros({0, 1, 2}, DType::i64), sizes({0, 1, 3})}, {}}};
  }
};

Tensors MaxPool::gradient(const Gradient& g, const Attributes& a) {
  Tensor indices = g.y(1);
  if (a.storage_order != 0) {
    Attributes rows = a;
    rows.storage_order = 0;
    indices = dispatch_all<MaxPool>(rows, Operand(g.x()))[1];
  }
  return {dispatch<MaxPoolGradient>({}, Operand(g.dy()), Operand(indices), Operand(g.x().shape()))};
}

// ---- MaxUnpool

struct MaxUnpool {
  static constexpr std::string_view name = "MaxUnpool";
  static constexpr int since = 22;
  struct Attributes {
    Dims kernel_shape, pads, strides;
    static constexpr auto fields() {
      return std::tuple{field("kernel_shape", &Attributes::kernel_shape), field("pads", &Attributes::pads),
                        field("strides", &Attributes::strides)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating},
       {"I", types::i64, 1, InputDef::no_gradient},
       {"output_shape", types::i64, 2, InputDef::optional | InputDef::parameter}}};

  /// What windows of these sizes were taken from: the shape that indices count in.
  static Shape unpooled(const Attributes& a, const Shape& x) {
    const WindowAttributes window{.kernel_shape = a.kernel_shape, .pads = a.pads, .strides = a.strides};
    const Windows w = windows_under(window, {}, {}, x, a.kernel_shape);
    Shape shape{x[0], x[1]};
    for (int d = max_spatial - w.rank; d < max_spatial; ++d) shape.push_back(w.input[d]);
    return shape;
  }
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& x = c.shape(0);
    check_spatial("X", x);
    TD_CHECK(!a.kernel_shape.empty(), "kernel_shape is missing; it must have {} numbers", x.rank() - 2);
    bool alike = c.rank(1) == x.rank();
    for (int i = 0; alike && i < x.rank(); ++i)
      alike = c.shape(1)[i] == x[i] || c.shape(1)[i] < 0 || x[i] < 0;
    TD_CHECK(alike, "I of shape {} must have the shape of X, {}", c.shape(1), x);
    Shape inner = unpooled(a, x), shape = inner;
    if (c.has(2)) {
      shape = shape_parameter(c, 2);
      bool fits = shape.rank() == x.rank();
      for (int i = 0; fits && i < x.rank(); ++i)
        fits = i < 2 ? shape[i] == x[i] || shape[i] < 0 || x[i] < 0
                     : shape[i] >= inner[i] || shape[i] < 0 || inner[i] < 0;
      TD_CHECK(fits,
               "output_shape {} must have the batch and channels of X of shape {} and sizes of at least "
               "{}",
               shape, x, inner);
    }
    for (int64_t& d : shape)
      if (d == -1) d = c.fresh_symbol();
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.inputs[0].shape, &y = k.outputs[0].shape;
    const Shape inner = unpooled(a, x);
    const Strides strides = contiguous_strides(y);
    const int64_t count = x.element_count(), positions = inner.element_count();
    with_carrier(k.outputs[0].dtype, [&]<class T>(T) {
      T* to = k.out<T>(0);
      std::fill_n(to, y.element_count(), T{});
      for (int64_t n = 0; n < count; ++n) {
        int64_t rest = k.in<int64_t>(1)[n], at = 0;
        TD_CHECK(rest >= 0 && rest < positions, "index {} is out of range for the {} elements of shape {}",
                 rest, positions, inner);
        for (int d = inner.rank() - 1; d >= 0; --d) {
          at += rest % inner[d] * strides[d];
          rest /= inner[d];
        }
        to[at] = k.in<T>(0)[n];
      }
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Tensor dy = g.dy();
    if (g.has(2)) {
      // Back to the shape that indices count in.
      const int spatial = g.x().rank() - 2;
      Tensor ends = shape_of(g.x(), 2) - 1;
      if (!a.strides.empty()) ends = ends * sizes(a.strides);
      Dims added = a.kernel_shape;
      for (int i = 0; i < spatial && !a.pads.empty(); ++i) added[i] -= a.pads[i] + a.pads[spatial + i];
      dy = slice(dy, Dims::filled(spatial, 0), ends + sizes(added), spatial_axes(g.x().rank()));
    }
    const Tensor taken = gather_elements(reshape(dy, {-1}), reshape(g.x(1), {-1}), 0);
    return {reshape(taken, g.x(0).shape()), {}, {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x = distinct({1, 1, 2, 2}),
                 indices = reshape(Tensor({5, 7, 13, 15}, DType::i64), {1, 1, 2, 2});
    const Attributes halves{.kernel_shape = {2, 2}, .strides = {2, 2}};
    return {{{x, indices}, boxed(halves)},
            {{x, indices, sizes({1, 1, 5, 6})}, boxed(halves)},
            {{distinct({2, 1, 3}), Tensor({{{0, 2, 4}}, {{5, 7, 9}}}, DType::i64)},
             boxed(Attributes{.kernel_shape = {2}, .pads = {1, 0}, .strides = {2}})}};
  }
};

// ---- sums and averages

enum class Divisor { one, inside, window };

/// How many elements of each window count, by spatial dimension: inside the input, or the padding too.
int64_t counted(const Windows& w, int d, int64_t at, Divisor divisor) {
  if (divisor == Divisor::one) return 1;
  const int64_t low = divisor == Divisor::window ? -w.before[d] : 0;
  const int64_t high = w.input[d] + (divisor == Divisor::window ? w.after[d] : 0);
  int64_t count = 0;
  for (int64_t tap = 0; tap < w.kernel[d]; ++tap) {
    const int64_t p = w.position(d, at, tap);
    count += p >= low && p < high;
  }
  return count;
}

/// Divides each window's number by its count; windows without elements stay.
template <class T>
void divide(const Windows& w, Divisor divisor, T* y) {
  if (divisor == Divisor::one) return;
  for (int64_t i = 0; i < w.output[0]; ++i)
    for (int64_t j = 0; j < w.output[1]; ++j) {
      const int64_t outer = counted(w, 0, i, divisor) * counted(w, 1, j, divisor);
      for (int64_t k = 0; k < w.output[2]; ++k, ++y)
        *y /= static_cast<T>(std::max<int64_t>(1, outer * counted(w, 2, k, divisor)));
    }
}

/// One plane of floating elements in the type that is computed with: its own memory, or a copy.
template <class T>
class Plane {
 public:
  explicit Plane(int64_t count) : count_(count) {
    if constexpr (!std::is_same_v<T, Computed<T>>) copy_ = detail::empty_tensor(DType::f32, {count});
  }
  const Computed<T>* read(const T* from) const {
    if constexpr (std::is_same_v<T, Computed<T>>) {
      return from;
    } else {
      auto* to = detail::mutable_data<float>(copy_);
      for (int64_t i = 0; i < count_; ++i) to[i] = static_cast<float>(from[i]);
      return to;
    }
  }
  Computed<T>* scratch(T* own) const {
    if constexpr (std::is_same_v<T, Computed<T>>)
      return own;
    else
      return detail::mutable_data<float>(copy_);
  }
  void write(T* to) const {
    if constexpr (!std::is_same_v<T, Computed<T>>)
      for (int64_t i = 0; i < count_; ++i) to[i] = T(detail::mutable_data<float>(copy_)[i]);
  }

 private:
  int64_t count_;
  Tensor copy_;
};

template <class F>
void with_floating(DType dtype, F&& f) {
  with_element(dtype, [&]<class T>(T) {
    if constexpr (std::is_floating_point_v<Computed<T>>) f(T{});
  });
}

/// y = the windows' sums, divided.
void pool_sums(const KernelContext& k, const Windows& w, Divisor divisor) {
  const int64_t inputs = w.input_count(), outputs = w.output_count();
  with_floating(k.outputs[0].dtype, [&]<class T>(T) {
    for_planes(k.inputs[0].shape, w, [&](int64_t plane) {
      const Plane<T> in(inputs), out(outputs);
      const Computed<T>* x = in.read(k.in<T>(0) + plane * inputs);
      Computed<T>* y = out.scratch(k.out<T>(0) + plane * outputs);
      std::fill_n(y, outputs, Computed<T>{});
      for_each_tap(w, [&](int64_t i, int64_t j, int64_t l) {
        for_runs(w, i, j, l, 0, outputs, [&](int64_t column, int64_t first, int64_t step, int64_t count) {
          if (first < 0) return;
          for (int64_t n = 0; n < count; ++n) y[column + n] += x[first + n * step];
        });
      });
      divide(w, divisor, y);
      out.write(k.out<T>(0) + plane * outputs);
    });
  });
}

/// x = each element's share of the windows' numbers: the transpose of the above.
void spread_sums(const KernelContext& k, const Windows& w, Divisor divisor) {
  const int64_t inputs = w.input_count(), outputs = w.output_count();
  with_floating(k.outputs[0].dtype, [&]<class T>(T) {
    using C = Computed<T>;
    for_planes(k.outputs[0].shape, w, [&](int64_t plane) {
      const Plane<T> in(outputs), out(inputs);
      const C* from = in.read(k.in<T>(0) + plane * outputs);
      const Tensor shares = detail::empty_tensor(dtype_of<C>, {outputs});
      C* y = detail::mutable_data<C>(shares);
      std::copy_n(from, outputs, y);
      divide(w, divisor, y);
      C* x = out.scratch(k.out<T>(0) + plane * inputs);
      std::fill_n(x, inputs, C{});
      for_each_tap(w, [&](int64_t i, int64_t j, int64_t l) {
        for_runs(w, i, j, l, 0, outputs, [&](int64_t column, int64_t first, int64_t step, int64_t count) {
          if (first < 0) return;
          for (int64_t n = 0; n < count; ++n) x[first + n * step] += y[column + n];
        });
      });
      out.write(k.out<T>(0) + plane * inputs);
    });
  });
}

PoolAttributes pool_attributes(const WindowAttributes& window, bool ceil_mode = false) {
  PoolAttributes a;
  static_cast<WindowAttributes&>(a) = window;
  a.ceil_mode = ceil_mode;
  return a;
}

/// Samples of the windows that sums and averages slide over: x, and attributes.
std::vector<std::pair<Tensor, PoolAttributes>> window_samples() {
  const Tensor x = distinct({2, 2, 5, 4});
  return {{x, pool_attributes({.kernel_shape = {2, 2}})},
          {x, pool_attributes({.kernel_shape = {3, 2}, .pads = {1, 0, 1, 1}, .strides = {2, 1}})},
          {x, pool_attributes({.kernel_shape = {2, 3}, .pads = {0, 1, 0, 1}, .strides = {2, 3}}, true)},
          {x, pool_attributes({.auto_pad = "SAME_UPPER", .kernel_shape = {3, 3}, .strides = {2, 2}})},
          {x, pool_attributes({.auto_pad = "SAME_LOWER", .dilations = {2, 1}, .kernel_shape = {2, 2}})},
          {distinct({1, 3, 6}), pool_attributes({.auto_pad = "VALID", .kernel_shape = {3}, .strides = {2}})},
          {distinct({1, 2, 3, 4, 3}), pool_attributes({.kernel_shape = {2, 3, 2}})},
          {zeros({0, 2, 5, 4}), pool_attributes({.kernel_shape = {2, 2}})}};
}

/// The sum of each window as a convolution with ones, for ONNX's own ops.
ConvOptions as_convolution(const Windows& w) {
  ConvOptions o;
  for (int d = max_spatial - w.rank; d < max_spatial; ++d) {
    o.strides.push_back(w.stride[d]);
    o.dilations.push_back(w.dilation[d]);
    o.pads.push_back(w.before[d]);
  }
  // What the last window reaches, which may be more padding, or less, than was asked for.
  for (int d = max_spatial - w.rank; d < max_spatial; ++d)
    o.pads.push_back((w.output[d] - 1) * w.stride[d] + (w.kernel[d] - 1) * w.dilation[d] + 1 - w.input[d] -
                     w.before[d]);
  return o;
}

/// (batch, channels, ...) as (batch * channels, 1, ...).
Tensor single_channels(const Tensor& x) {
  Shape shape = x.shape();
  shape[0] *= shape[1];
  shape[1] = 1;
  return reshape(x, shape);
}

template <class A>
Tensor ones_kernel(const A& a, DType dtype) {
  Shape shape{1, 1};
  for (int64_t d : a.kernel_shape) shape.push_back(d);
  return ones(shape, dtype);
}

struct SumPool {
  static constexpr std::string_view name = "SumPool", domain = "ai.tandem";
  using Attributes = PoolAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), pooled_shape(c, a, c.shape(0)));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    pool_sums(k, pool_windows(a, k.inputs[0].shape), Divisor::one);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Windows w = pool_windows(a, in[0].shape());
    const Tensor y = conv(single_channels(in[0]), ones_kernel(a, in[0].dtype()), nullptr, as_convolution(w));
    Shape shape = y.shape();
    shape[0] = in[0].shape()[0];
    shape[1] = in[0].shape()[1];
    return {reshape(y, shape)};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const auto& [x, a] : window_samples()) all.push_back({{x}, boxed(a)});
    return all;
  }
};

/// SumPool's transpose, for an input of a given shape.
struct SumPoolGradient {
  static constexpr std::string_view name = "SumPoolGradient", domain = "ai.tandem";
  using Attributes = PoolAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"dY", types::floating}, {"shape", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) { infer_input(c, a); }
  static void infer_input(InferContext& c, const PoolAttributes& a) {
    const Shape x = shape_parameter(c, 1), y = pooled_shape(c, a, x), &dy = c.shape(0);
    bool same = dy.rank() == y.rank();
    for (int i = 0; same && i < y.rank(); ++i) same = dy[i] == y[i] || dy[i] < 0 || y[i] < 0;
    TD_CHECK(same, "dY has shape {}; pooling shape {} gives {}", dy, x, y);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    spread_sums(k, pool_windows(a, k.outputs[0].shape), Divisor::one);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Shape x(in[1].to_vector<int64_t>());
    Shape joined = x;
    joined[0] *= joined[1];
    joined[1] = 1;
    return {reshape(conv_input_gradient(single_channels(in[0]), ones_kernel(a, in[0].dtype()), joined,
                                        as_convolution(pool_windows(a, x))),
                    x)};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {dispatch<SumPool>(a, Operand(g.dy())), {}};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const auto& [x, a] : window_samples())
      all.push_back({{dispatch<SumPool>(a, Operand(x)), sizes(x.shape())}, boxed(a)});
    return all;
  }
};

Tensors SumPool::gradient(const Gradient& g, const Attributes& a) {
  return {dispatch<SumPoolGradient>(a, Operand(g.dy()), Operand(g.x().shape()))};
}

// ---- AveragePool

struct AverageAttributes : PoolAttributes {
  bool count_include_pad = false;
  static constexpr auto fields() {
    return std::tuple_cat(PoolAttributes::fields(),
                          std::tuple{field("count_include_pad", &AverageAttributes::count_include_pad)});
  }
  Divisor divisor() const { return count_include_pad ? Divisor::window : Divisor::inside; }
};

struct AveragePool {
  static constexpr std::string_view name = "AveragePool";
  static constexpr int since = 22;
  using Attributes = AverageAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), pooled_shape(c, a, c.shape(0)));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    pool_sums(k, pool_windows(a, k.inputs[0].shape), a.divisor());
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const bool include : {false, true})
      for (const auto& [x, a] : window_samples()) all.push_back({{x}, box(a, include)});
    return all;
  }
  static AttributeBox box(const PoolAttributes& a, bool include) {
    Attributes b;
    static_cast<PoolAttributes&>(b) = a;
    b.count_include_pad = include;
    return boxed(b);
  }
};

/// AveragePool's transpose, for an input of a given shape.
struct AveragePoolGradient {
  static constexpr std::string_view name = "AveragePoolGradient", domain = "ai.tandem";
  using Attributes = AverageAttributes;
  static constexpr std::array<InputDef, 2> inputs = SumPoolGradient::inputs;
  static void infer(InferContext& c, const Attributes& a) { SumPoolGradient::infer_input(c, a); }
  static void kernel(const KernelContext& k, const Attributes& a) {
    spread_sums(k, pool_windows(a, k.outputs[0].shape), a.divisor());
  }
  /// Each window's number divided by its count, then the sums' transpose.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Shape x(in[1].to_vector<int64_t>());
    const Windows w = pool_windows(a, x);
    std::vector<double> counts(static_cast<size_t>(w.output_count()), 1.0);
    for (double& count : counts) count = 1 / count;
    divide(w, a.divisor(), counts.data());
    Shape shape;
    for (int d = max_spatial - w.rank; d < max_spatial; ++d) shape.push_back(w.output[d]);
    const Tensor shares = cast(from_vector(std::move(counts), shape), in[0].dtype());
    return {dispatch<SumPoolGradient>(static_cast<const PoolAttributes&>(a), Operand(in[0] * shares),
                                      Operand(in[1]))};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {dispatch<AveragePool>(a, Operand(g.dy())), {}};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const auto& [x, a] : window_samples())
      for (const bool include : {false, true})
        all.push_back({{dispatch<SumPool>(a, Operand(x)), sizes(x.shape())}, AveragePool::box(a, include)});
    return all;
  }
};

Tensors AveragePool::gradient(const Gradient& g, const Attributes& a) {
  return {dispatch<AveragePoolGradient>(a, Operand(g.dy()), Operand(g.x().shape()))};
}

// ---- norms, and windows that cover everything

/// f(x) in a precision that sums of powers need.
template <class F>
Tensor in_wide(const Tensor& x, F&& f) {
  const bool narrow = x.dtype() == DType::f16 || x.dtype() == DType::bf16;
  return narrow ? cast(f(cast(x, DType::f32)), x.dtype()) : f(x);
}
void check_norm(int64_t p) { TD_CHECK(p >= 1, "p is {}; a norm needs at least 1", p); }

Tensor powers(const Tensor& x, int64_t p) { return p == 1 ? abs(x) : p == 2 ? square(x) : pow(abs(x), p); }
Tensor root(const Tensor& sums, int64_t p) {
  return p == 1 ? sums : p == 2 ? sqrt(sums) : pow(sums, 1.0 / static_cast<double>(p));
}

struct LpPool : Composite {
  static constexpr std::string_view name = "LpPool";
  static constexpr int since = 22;
  struct Attributes : PoolAttributes {
    int64_t p = 2;
    static constexpr auto fields() {
      return std::tuple_cat(PoolAttributes::fields(), std::tuple{field("p", &Attributes::p)});
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    check_norm(a.p);
    c.output(c.dtype(0), pooled_shape(c, a, c.shape(0)));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return {in_wide(in[0], [&](const Tensor& x) {
      return root(dispatch<SumPool>(static_cast<const PoolAttributes&>(a), Operand(powers(x, a.p))), a.p);
    })};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    int64_t p = 0;
    for (const auto& [x, a] : window_samples()) {
      Attributes b;
      static_cast<PoolAttributes&>(b) = a;
      b.p = p++ % 3 + 1;
      all.push_back({{x + 0.125f}, boxed(b)});
    }
    return all;
  }
};

void infer_global(InferContext& c) {
  const Shape& x = c.shape(0);
  TD_CHECK(x.rank() >= 3, "X has shape {}; a batch, channels and spatial dimensions are needed", x);
  Shape shape = x;
  for (int i = 2; i < x.rank(); ++i) shape[i] = 1;
  c.output(c.dtype(0), shape);
}
std::vector<Sample> global_samples() {
  return {{{distinct({2, 3, 4})}, {}},
          {{distinct({1, 2, 3, 4})}, {}},
          {{distinct({2, 2, 2, 3, 2})}, {}},
          {{zeros({0, 2, 3, 4})}, {}}};
}

struct GlobalAveragePool : Composite {
  static constexpr std::string_view name = "GlobalAveragePool";
  static constexpr int since = 22;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c) { infer_global(c); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {reduce_mean(in[0], spatial_axes(in[0].rank()), true)};
  }
  static std::vector<Sample> samples() { return global_samples(); }
};

struct GlobalMaxPool : Composite {
  static constexpr std::string_view name = "GlobalMaxPool";
  static constexpr int since = 22;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c) { infer_global(c); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {reduce_max(in[0], spatial_axes(in[0].rank()), true)};
  }
  static std::vector<Sample> samples() { return global_samples(); }
};

struct GlobalLpPool : Composite {
  static constexpr std::string_view name = "GlobalLpPool";
  static constexpr int since = 22;
  struct Attributes {
    int64_t p = 2;
    static constexpr auto fields() { return std::tuple{field("p", &Attributes::p)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    check_norm(a.p);
    infer_global(c);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return {in_wide(in[0], [&](const Tensor& x) {
      return root(reduce_sum(powers(x, a.p), spatial_axes(x.rank()), true), a.p);
    })};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    int64_t p = 0;
    for (const Sample& s : global_samples()) {
      const Attributes a{p++ % 3 + 1};
      all.push_back({{s.inputs[0] + 0.125f}, boxed(a)});
    }
    return all;
  }
};

constexpr const OpDef* table[] = {
    &op_def<MaxPool>,           &op_def<MaxPoolGradient>, &op_def<MaxUnpool>,   &op_def<SumPool>,
    &op_def<AveragePool>,       &op_def<SumPoolGradient>, &op_def<LpPool>,      &op_def<AveragePoolGradient>,
    &op_def<GlobalAveragePool>, &op_def<GlobalMaxPool>,   &op_def<GlobalLpPool>};

/// Options as attributes of any of these ops, spread over the dimensions of an argument.
template <class A>
A attributes_for(const Operand& x, const Dims& kernel_shape, const PoolOptions& o) {
  A a;
  static_cast<WindowAttributes&>(a) =
      window_attributes(o.auto_pad, o.dilations, kernel_shape, o.pads, o.strides, spatial_rank(x));
  a.ceil_mode = o.ceil_mode;
  return a;
}

}  // namespace

std::span<const OpDef* const> pooling_ops() { return table; }

Tensor max_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options) {
  return max_pool_indices(x, kernel_shape, options).values;
}
MaxPoolResult max_pool_indices(const Operand& x, const Dims& kernel_shape, const PoolOptions& options,
                               bool column_major) {
  auto a = attributes_for<MaxPool::Attributes>(x, kernel_shape, options);
  a.storage_order = column_major ? 1 : 0;
  Tensors y = dispatch_all<MaxPool>(a, x);
  return {y[0], y[1]};
}
Tensor max_unpool(const Operand& x, const Operand& indices, const Dims& kernel_shape,
                  const PoolOptions& options, const Operand& output_shape) {
  const int spatial = spatial_rank(x);
  return dispatch<MaxUnpool>(
      {spread(kernel_shape, spatial), spread_pads(options.pads, spatial), spread(options.strides, spatial)},
      x, indices, output_shape);
}
Tensor average_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options) {
  auto a = attributes_for<AverageAttributes>(x, kernel_shape, options);
  a.count_include_pad = options.count_include_pad;
  return dispatch<AveragePool>(a, x);
}
Tensor sum_pool(const Operand& x, const Dims& kernel_shape, const PoolOptions& options) {
  return dispatch<SumPool>(attributes_for<PoolAttributes>(x, kernel_shape, options), x);
}
Tensor lp_pool(const Operand& x, const Dims& kernel_shape, int64_t p, const PoolOptions& options) {
  auto a = attributes_for<LpPool::Attributes>(x, kernel_shape, options);
  a.p = p;
  return dispatch<LpPool>(a, x);
}

Tensor global_average_pool(const Operand& x) { return dispatch<GlobalAveragePool>({}, x); }
Tensor global_max_pool(const Operand& x) { return dispatch<GlobalMaxPool>({}, x); }
Tensor global_lp_pool(const Operand& x, int64_t p) { return dispatch<GlobalLpPool>({p}, x); }

}  // namespace tandem
