// Pooling by the largest element: MaxPool, its gradient, and MaxUnpool.

#include <limits>

#include "ops/families.h"
#include "ops/pool_windows.h"
#include "ops/samples.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/math.h"
#include "tandem/ops/pooling.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;
using runtime::max_spatial;
using runtime::Windows;

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
  /// Values, and positions in the plane; -1 where nothing beats the lowest value.
  template <class T, class Position>
  static void pool(const Windows& w, const T* x, T* y, Position* at) {
    const int64_t outputs = w.output_count();
    if constexpr (std::is_same_v<T, float> && std::is_same_v<Position, int32_t>)
      if (are_kernel_rows(w))
        return for_kernel_rows(w, x, [&](int64_t column, const runtime::PoolingTap* taps, int count) {
          runtime::pooling_kernels().largest(taps, count, static_cast<int32_t>(w.stride[2]),
                                             static_cast<int32_t>(w.output[2]), y + column, at + column);
        });
    std::fill_n(at, outputs, Position{-1});
    std::fill_n(y, outputs, lowest<T>());
    for_each_tap(w, [&](int64_t i, int64_t j, int64_t k) {
      for_runs(w, i, j, k, 0, outputs, [&](int64_t column, int64_t first, int64_t step, int64_t count) {
        if (first < 0) return;
        for (int64_t n = 0; n < count; ++n) {
          const T v = x[first + n * step];
          const bool wins =
              static_cast<Computed<T>>(v) > static_cast<Computed<T>>(y[column + n]) || is_nan_element(v);
          y[column + n] = wins ? v : y[column + n];
          at[column + n] = wins ? static_cast<Position>(first + n * step) : at[column + n];
        }
      });
    });
  }
  /// The position of the first element of window `n` that is no padding.
  static int64_t first_inside(const Windows& w, int64_t n) {
    int64_t found = -1;
    for_each_tap(w, [&](int64_t i, int64_t j, int64_t k) {
      for_runs(w, i, j, k, n, n + 1, [&](int64_t, int64_t first, int64_t, int64_t) {
        if (found < 0) found = first;
      });
    });
    return std::max<int64_t>(0, found);
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
          const T* from = k.in<T>(0) + plane * plane_size;
          T* y = k.out<T>(0) + plane * outputs;
          int64_t* at = k.out<int64_t>(1) + plane * outputs;
          const int64_t base = plane * plane_size;
          bool missing = false;
          const auto widen = [&](const auto* positions) {
            for (int64_t n = 0; n < outputs; ++n) {
              missing = missing || positions[n] < 0;
              at[n] = base + positions[n];
            }
          };
          if (plane_size <= INT32_MAX) {
            const Tensor memory = detail::empty_tensor(DType::i32, {outputs});
            auto* narrow = detail::mutable_data<int32_t>(memory);
            pool(w, from, y, narrow);
            widen(narrow);
          } else {
            pool(w, from, y, at);
            widen(at);
          }
          for (int64_t n = 0; missing && n < outputs; ++n)
            if (at[n] < base) at[n] = base + first_inside(w, n);
          for (int64_t n = 0; a.storage_order != 0 && n < outputs; ++n)
            at[n] = base + by_columns(w, at[n] - base);
        });
    });
  }
  /// A position in a plane, counted with the first dimension fastest.
  static int64_t by_columns(const Windows& w, int64_t position) {
    const int64_t column = position % w.input[2], row = position / w.input[2] % w.input[1];
    return position / w.input[2] / w.input[1] + w.input[0] * (row + w.input[1] * column);
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
    return {{{Tensor({{{0.5f, 2.f}, {1.f, -1.f}}}), indices, integers({1, 2, 3})}, {}},
            {{zeros({0, 1, 2}), zeros({0, 1, 2}, DType::i64), integers({0, 1, 3})}, {}}};
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

/// MaxPool's values where channels come last.
struct MaxPoolChannelsLast {
  static constexpr std::string_view name = "MaxPoolChannelsLast", domain = "ai.tandem";
  using Attributes = MaxPool::Attributes;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), with_channels_last(pooled_shape(c, a, with_channels_first(c.shape(0)))));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Windows w = pool_windows(a, with_channels_first(k.inputs[0].shape));
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<Computed<T>>)
        pool_channels_last<T>(
            k, w, static_cast<Computed<T>>(MaxPool::lowest<T>()),
            [](const T* const* taps, int count, int64_t channels, Computed<T>* y) {
              if constexpr (std::is_same_v<T, float>) {
                runtime::pooling_kernels().largest_of(taps, count, channels, y);
              } else {
                for (int t = 0; t < count; ++t)
                  for (int64_t n = 0; n < channels; ++n) {
                    const auto v = static_cast<Computed<T>>(taps[t][n]);
                    y[n] = v > y[n] || std::isnan(v) ? v : y[n];
                  }
              }
            },
            [](int64_t, int64_t, int64_t, int64_t, Computed<T>*) {});
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return {with_channels_last(dispatch_all<MaxPool>(a, Operand(with_channels_first(in[0])))[0])};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Attributes rows = a;
    rows.storage_order = 0;
    const Tensor x = with_channels_first(g.x());
    const Tensor indices = dispatch_all<MaxPool>(rows, Operand(x))[1];
    return {with_channels_last(dispatch<MaxPoolGradient>({}, Operand(with_channels_first(g.dy())),
                                                         Operand(indices), Operand(x.shape())))};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all = MaxPool::samples();
    for (Sample& s : all) s.inputs[0] = with_channels_last(s.inputs[0]).contiguous();
    return all;
  }
};

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
       {"output_shape", types::i64, 2, InputDef::optional_parameter}}};

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
      if (!a.strides.empty()) ends = ends * integers(a.strides);
      Dims added = a.kernel_shape;
      for (int i = 0; i < spatial && !a.pads.empty(); ++i) added[i] -= a.pads[i] + a.pads[spatial + i];
      dy = slice(dy, Dims::filled(spatial, 0), ends + integers(added), spatial_axes(g.x().rank()));
    }
    const Tensor taken = gather_elements(reshape(dy, {-1}), reshape(g.x(1), {-1}), 0);
    return {reshape(taken, g.x(0).shape()), {}, {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x = distinct({1, 1, 2, 2}),
                 indices = reshape(Tensor({5, 7, 13, 15}, DType::i64), {1, 1, 2, 2});
    const Attributes halves{.kernel_shape = {2, 2}, .strides = {2, 2}};
    return {{{x, indices}, boxed(halves)},
            {{x, indices, integers({1, 1, 5, 6})}, boxed(halves)},
            {{distinct({2, 1, 3}), Tensor({{{0, 2, 4}}, {{5, 7, 9}}}, DType::i64)},
             boxed(Attributes{.kernel_shape = {2}, .pads = {1, 0}, .strides = {2}})}};
  }
};

constexpr const OpDef* max_pooling_table[] = {&op_def<MaxPool>, &op_def<MaxPoolChannelsLast>,
                                              &op_def<MaxPoolGradient>, &op_def<MaxUnpool>};

constexpr ChannelsLastRow max_pooling_orders[] = {
    {&op_def<MaxPool>, [](const void*, std::span<const Spec>, std::span<const Spec>) {
       return ChannelsLast{.form = &op_def<MaxPoolChannelsLast>, .moves_input = true};
     }}};

}  // namespace

std::span<const OpDef* const> max_pooling_ops() { return max_pooling_table; }
std::span<const ChannelsLastRow> max_pools_with_channels_last() { return max_pooling_orders; }

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

}  // namespace tandem
