// Pooling over windows by sums: AveragePool, LpPool; and over everything.

#include "tandem/ops/pooling.h"
#include "ops/families.h"
#include "ops/pool_windows.h"
#include "ops/samples.h"
#include "tandem/ops/convolution.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using runtime::max_spatial;
using runtime::Windows;

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
  // Most windows of a row have all their elements counted.
  const int64_t width = w.output[2], whole = w.kernel[2];
  int64_t first = 0, end = width;
  while (first < width && counted(w, 2, first, divisor) != whole) ++first;
  while (end > first && counted(w, 2, end - 1, divisor) != whole) --end;
  for (int64_t i = 0; i < w.output[0]; ++i)
    for (int64_t j = 0; j < w.output[1]; ++j, y += width) {
      const int64_t outer = counted(w, 0, i, divisor) * counted(w, 1, j, divisor);
      const auto count = [&](int64_t inner) { return static_cast<T>(std::max<int64_t>(1, outer * inner)); };
      for (int64_t k = 0; k < first; ++k) y[k] /= count(counted(w, 2, k, divisor));
      const T all = count(whole);
      for (int64_t k = first; k < end; ++k) y[k] /= all;
      for (int64_t k = end; k < width; ++k) y[k] /= count(counted(w, 2, k, divisor));
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

template <class C>
void add_up(const Windows& w, const C* x, C* y) {
  const int64_t outputs = w.output_count();
  std::fill_n(y, outputs, C{});
  for_each_tap(w, [&](int64_t i, int64_t j, int64_t l) {
    for_runs(w, i, j, l, 0, outputs, [&](int64_t column, int64_t first, int64_t step, int64_t count) {
      if (first < 0) return;
      for (int64_t n = 0; n < count; ++n) y[column + n] += x[first + n * step];
    });
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
      bool done = false;
      if constexpr (std::is_same_v<Computed<T>, float>) {
        done = are_kernel_rows(w);
        if (done)
          for_kernel_rows(w, x, [&](int64_t column, const runtime::PoolingTap* taps, int count) {
            runtime::pooling_kernels().sum(taps, count, static_cast<int32_t>(w.stride[2]),
                                           static_cast<int32_t>(w.output[2]), y + column);
          });
      }
      if (!done) add_up(w, x, y);
      divide(w, divisor, y);
      out.write(k.out<T>(0) + plane * outputs);
    });
  });
}

template <class C>
void add_back(const Windows& w, const C* y, C* x) {
  if constexpr (std::is_same_v<C, float>)
    if (are_kernel_rows(w))
      return for_kernel_rows(w, x, [&](int64_t column, const runtime::PoolingTap* taps, int count) {
        const int64_t step = w.stride[2];
        for (int t = 0; t < count; ++t)
          runtime::pooling_kernels().add_back(y + column + taps[t].first, step, taps[t].end - taps[t].first,
                                              x + taps[t].position + taps[t].first * step);
      });
  for_each_tap(w, [&](int64_t i, int64_t j, int64_t l) {
    for_runs(w, i, j, l, 0, w.output_count(),
             [&](int64_t column, int64_t first, int64_t step, int64_t count) {
               if (first < 0) return;
               for (int64_t n = 0; n < count; ++n) x[first + n * step] += y[column + n];
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
      add_back(w, y, x);
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
Tensor single_channels(const Tensor& x) { return reshape(x, concat({integers({-1, 1}), shape_of(x, 2)}, 0)); }

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
    const Windows w = pool_windows(a, in[0].shape().codes());
    check_known(w);
    const Tensor y = conv(single_channels(in[0]), ones_kernel(a, in[0].dtype()), nullptr, as_convolution(w));
    return {reshape(y, concat({shape_of(in[0], 0, 2), shape_of(y, 2)}, 0))};
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
    const Windows w = pool_windows(a, asked_shape(in[1]));
    check_known(w);
    const Tensor dy = single_channels(in[0]);
    const Tensor joined = concat({shape_of(dy, 0, 2), slice(in[1], {2}, {INT64_MAX})}, 0);
    return {
        reshape(conv_input_gradient(dy, ones_kernel(a, in[0].dtype()), joined, as_convolution(w)), in[1])};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {dispatch<SumPool>(a, Operand(g.dy())), {}};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const auto& [x, a] : window_samples())
      all.push_back({{dispatch<SumPool>(a, Operand(x)), integers(x.shape().codes())}, boxed(a)});
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
    const Windows w = pool_windows(a, asked_shape(in[1]));
    check_known(w);
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
        all.push_back(
            {{dispatch<SumPool>(a, Operand(x)), integers(x.shape().codes())}, AveragePool::box(a, include)});
    return all;
  }
};

Tensors AveragePool::gradient(const Gradient& g, const Attributes& a) {
  return {dispatch<AveragePoolGradient>(a, Operand(g.dy()), Operand(g.x().shape()))};
}

/// AveragePool where channels come last.
struct AveragePoolChannelsLast {
  static constexpr std::string_view name = "AveragePoolChannelsLast", domain = "ai.tandem";
  using Attributes = AverageAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), with_channels_last(pooled_shape(c, a, with_channels_first(c.shape(0)))));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Windows w = pool_windows(a, with_channels_first(k.inputs[0].shape));
    with_floating(k.outputs[0].dtype, [&]<class T>(T) {
      using C = Computed<T>;
      pool_channels_last<T>(
          k, w, C{},
          [](const T* const* taps, int count, int64_t channels, C* sums) {
            if constexpr (std::is_same_v<T, float>) {
              runtime::pooling_kernels().add_all(taps, count, channels, sums);
            } else {
              for (int t = 0; t < count; ++t)
                for (int64_t n = 0; n < channels; ++n) sums[n] += static_cast<C>(taps[t][n]);
            }
          },
          [&](int64_t z, int64_t y, int64_t x, int64_t channels, C* sums) {
            const int64_t elements =
                counted(w, 0, z, a.divisor()) * counted(w, 1, y, a.divisor()) * counted(w, 2, x, a.divisor());
            const auto count = static_cast<C>(std::max<int64_t>(1, elements));
            for (int64_t n = 0; n < channels; ++n) sums[n] /= count;
          });
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return {with_channels_last(dispatch<AveragePool>(a, Operand(with_channels_first(in[0]))))};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {with_channels_last(dispatch<AveragePoolGradient>(a, Operand(with_channels_first(g.dy())),
                                                             Operand(with_channels_first(g.x()).shape())))};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all = AveragePool::samples();
    for (Sample& s : all) s.inputs[0] = with_channels_last(s.inputs[0]).contiguous();
    return all;
  }
};

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

constexpr const OpDef* pooling_table[] = {
    &op_def<SumPool>,           &op_def<AveragePool>,   &op_def<AveragePoolChannelsLast>,
    &op_def<SumPoolGradient>,   &op_def<LpPool>,        &op_def<AveragePoolGradient>,
    &op_def<GlobalAveragePool>, &op_def<GlobalMaxPool>, &op_def<GlobalLpPool>};

constexpr ChannelsLastRow pooling_orders[] = {
    {&op_def<AveragePool>, [](const void*, std::span<const Spec>, std::span<const Spec>) {
       return ChannelsLast{.form = &op_def<AveragePoolChannelsLast>, .moves_input = true};
     }}};

}  // namespace

std::span<const OpDef* const> pooling_ops() { return pooling_table; }
std::span<const ChannelsLastRow> pools_with_channels_last() { return pooling_orders; }

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
