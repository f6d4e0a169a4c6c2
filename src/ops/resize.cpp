// Resize and its transpose.

#include <algorithm>
#include <cmath>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/resize_filter.h"
#include "ops/samples.h"
#include "ops/weighted_sums.h"
#include "ops/windows.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/image.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

using Numbers = SmallVector<double, 16>;

// ---- sizes

/// What Resize is told: scales or sizes, of all axes or some.
struct Request {
  Numbers scales, region;
  Integers sizes;
  bool has_scales = false, has_sizes = false, has_region = false;
};

/// The axes of a tensor of shape x, by scales or sizes. Throws users' mistakes.
SmallVector<ResizedAxis, max_rank> resized_axes(const ResizeAttributes& a, const Shape& x,
                                                const Request& request) {
  const int rank = x.rank(), count = a.axes.empty() ? rank : a.axes.size();
  TD_CHECK(request.has_scales != request.has_sizes, "{} given; one of scales and sizes is needed",
           request.has_scales ? "both scales and sizes are" : "neither scales nor sizes are");
  const int given = request.has_scales ? request.scales.size() : request.sizes.size();
  TD_CHECK(given == count, "{} {} were given; {} are needed, one for each axis", given,
           request.has_scales ? "scales" : "sizes", count);
  TD_CHECK(!request.has_region || request.region.size() == 2 * count,
           "roi has {} numbers; {} are needed, the starts of all axes and then the ends",
           request.region.size(), 2 * count);
  SmallVector<ResizedAxis, max_rank> axes;
  for (int64_t d : x) axes.push_back({d, d, 1, 0, 1});
  bool seen[max_rank] = {};
  double least = INFINITY, most = 0;
  for (int i = 0; i < count; ++i) {
    const int d = InferContext::normalize_axis(a.axes.empty() ? i : a.axes[i], rank);
    TD_CHECK(!seen[d], "axis {} is listed twice", d);
    seen[d] = true;
    ResizedAxis& axis = axes[d];
    if (request.has_region) {
      axis.start = request.region[i];
      axis.end = request.region[count + i];
    }
    if (request.has_scales) {
      axis.scale = request.scales[i];
      TD_CHECK(axis.scale > 0 && axis.scale < 1e9, "scale {} of axis {} must be above 0 and below 1e9",
               axis.scale, d);
      axis.output = static_cast<int64_t>(std::floor(axis.scale * static_cast<double>(axis.input)));
    } else {
      axis.output = request.sizes[i];
      TD_CHECK(axis.output >= 0, "size {} of axis {} is negative", axis.output, d);
      axis.scale = axis.input > 0 ? static_cast<double>(axis.output) / static_cast<double>(axis.input) : 1;
      least = std::min(least, axis.scale);
      most = std::max(most, axis.scale);
    }
    TD_CHECK(axis.input > 0 || axis.output == 0, "axis {} has no elements to make {} of", d, axis.output);
  }
  if (request.has_sizes && !(a.keep_aspect_ratio_policy == "stretch")) {
    const double scale = a.keep_aspect_ratio_policy == "not_larger" ? least : most;
    for (int d = 0; d < rank; ++d) {
      if (!seen[d]) continue;
      axes[d].scale = scale;
      axes[d].output = static_cast<int64_t>(std::floor(scale * static_cast<double>(axes[d].input) + 0.5));
    }
  }
  return axes;
}

// The inputs that both ops have after the data: roi, scales, sizes.
constexpr InputDef roi_input{"roi", types::floating, 1, InputDef::optional_parameter | InputDef::no_gradient};
constexpr InputDef scales_input{"scales", types::floating, 2,
                                InputDef::optional_parameter | InputDef::no_gradient};
constexpr InputDef sizes_input{"sizes", types::i64, 3, InputDef::optional_parameter};

/// The output's shape; symbols where sizes are not known yet.
Shape resized_shape(const InferContext& c, const ResizeAttributes& a, const Shape& x, int roi) {
  check_words(a);
  Request request;
  // Older models leave an argument out by giving an empty one.
  const auto given = [&](int i) { return c.has(i) && !(c.rank(i) == 1 && c.shape(i)[0] == 0); };
  request.has_scales = given(roi + 1);
  request.has_sizes = given(roi + 2);
  const bool known = (!request.has_scales || c.constant_numbers(roi + 1, request.scales)) &&
                     (!request.has_sizes || c.constant(roi + 2, request.sizes));
  Shape shape = x;
  bool is_static = known;
  for (int i = 0; i < request.sizes.size(); ++i) is_static = is_static && request.sizes[i] >= 0;
  const bool stretched = a.keep_aspect_ratio_policy == "stretch";
  if (is_static && (x.is_static() || (request.has_sizes && stretched))) {
    Shape sizes = x;
    for (int64_t& d : sizes) d = std::max<int64_t>(d, 1);  // unknown ones do not matter here
    const auto axes = resized_axes(a, x.is_static() ? x : sizes, request);
    const int count = a.axes.empty() ? x.rank() : a.axes.size();
    for (int i = 0; i < count; ++i) {
      const int d = InferContext::normalize_axis(a.axes.empty() ? i : a.axes[i], x.rank());
      shape[d] = axes[d].output;
    }
    return shape;
  }
  for (int i = 0; i < (a.axes.empty() ? x.rank() : a.axes.size()); ++i) {
    const int d = InferContext::normalize_axis(a.axes.empty() ? i : a.axes[i], x.rank());
    const bool kept = known && request.has_scales && i < request.scales.size() && request.scales[i] == 1;
    if (!kept) shape[d] = c.fresh_symbol();
  }
  return shape;
}

Numbers read_numbers(const View& v) {
  Numbers result;
  with_element(v.dtype, [&]<class T>(T) {
    for (int64_t i = 0; i < v.shape.element_count(); ++i)
      result.push_back(static_cast<double>(static_cast<Computed<T>>(static_cast<const T*>(v.data)[i])));
  });
  return result;
}

SmallVector<ResizedAxis, max_rank> kernel_axes(const KernelContext& k, const ResizeAttributes& a,
                                               const Shape& x, int roi) {
  Request request;
  const auto given = [&](int i) {
    return k.has(i) && k.inputs[static_cast<size_t>(i)].shape.element_count() > 0;
  };
  const auto input = [&](int i) { return k.inputs[static_cast<size_t>(i)]; };
  request.has_region = given(roi);
  if (request.has_region) request.region = read_numbers(input(roi));
  request.has_scales = given(roi + 1);
  if (request.has_scales) request.scales = read_numbers(input(roi + 1));
  // An empty list of sizes is one of a scalar's.
  request.has_sizes = !request.has_scales && k.has(roi + 2);
  if (request.has_sizes) request.sizes = read_integers(input(roi + 2));
  return resized_axes(a, x, request);
}

// ---- kernels

/// One axis of (outer, input, inner) filtered to (outer, output, inner).
template <class C>
void filter_axis(const ResizeFilter& f, const ResizedAxis& axis, int64_t outer, int64_t inner, C extrapolated,
                 const C* x, C* y) {
  const int64_t work = std::max<int64_t>(1, axis.output * inner * f.taps);
  runtime::parallel_for(outer, std::max<int64_t>(1, 32 * 1024 / work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t o = 0; o < axis.output; ++o) {
        C* to = y + (i * axis.output + o) * inner;
        const int64_t* index = f.index(o);
        const double* weight = f.weight(o);
        if (index[0] < 0) {
          std::fill_n(to, inner, extrapolated);
          continue;
        }
        for (int64_t t = 0; t < f.taps; ++t) {
          const C* from = x + (i * axis.input + index[t]) * inner;
          const auto w = static_cast<C>(weight[t]);
          if (t == 0)
            for (int64_t n = 0; n < inner; ++n) to[n] = w * from[n];
          else
            for (int64_t n = 0; n < inner; ++n) to[n] += w * from[n];
        }
      }
  });
}

/// The transpose: from (outer, output, inner) to (outer, input, inner).
template <class C>
void spread_axis(const ResizeFilter& f, const ResizedAxis& axis, int64_t outer, int64_t inner, const C* y,
                 C* x) {
  const int64_t work = std::max<int64_t>(1, axis.output * inner * f.taps);
  runtime::parallel_for(outer, std::max<int64_t>(1, 32 * 1024 / work), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::fill_n(x + i * axis.input * inner, axis.input * inner, C{});
      for (int64_t o = 0; o < axis.output; ++o) {
        const C* from = y + (i * axis.output + o) * inner;
        const int64_t* index = f.index(o);
        for (int64_t t = 0; t < f.taps && index[0] >= 0; ++t) {
          C* to = x + (i * axis.input + index[t]) * inner;
          const auto w = static_cast<C>(f.weight(o)[t]);
          for (int64_t n = 0; n < inner; ++n) to[n] += w * from[n];
        }
      }
    }
  });
}

template <class T>
Tensor widened(const T* x, int64_t count) {
  using C = Summed<T>;
  Tensor copy = detail::empty_tensor(dtype_of<C>, {count});
  C* to = detail::mutable_data<C>(copy);
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<C>(x[i]);
  return copy;
}

/// Every axis in turn, from the first to the last or back.
template <class T>
void resize_elements(const ResizeAttributes& a, std::span<const ResizedAxis> axes, bool transposed,
                     const T* x, int64_t count, T* y, int64_t result_count) {
  using C = Summed<T>;
  Tensor now = widened(x, count);
  const int rank = static_cast<int>(axes.size());
  int64_t sizes[max_rank];
  for (int d = 0; d < rank; ++d)
    sizes[d] = transposed ? axes[static_cast<size_t>(d)].output : axes[static_cast<size_t>(d)].input;
  for (int step = 0; step < rank; ++step) {
    const int d = transposed ? rank - 1 - step : step;
    const ResizedAxis& axis = axes[static_cast<size_t>(d)];
    const ResizeFilter filter = resize_filter(a, axis);
    if (filter.is_identity(axis)) continue;
    int64_t outer = 1, inner = 1;
    for (int i = 0; i < rank; ++i)
      if (i != d) (i < d ? outer : inner) *= sizes[i];
    sizes[d] = transposed ? axis.input : axis.output;
    const Tensor next = detail::empty_tensor(dtype_of<C>, {outer * sizes[d] * inner});
    const C* from = detail::mutable_data<C>(now);
    C* to = detail::mutable_data<C>(next);
    if (transposed)
      spread_axis(filter, axis, outer, inner, from, to);
    else
      filter_axis(filter, axis, outer, inner, static_cast<C>(a.extrapolation_value), from, to);
    now = next;
  }
  const C* from = detail::mutable_data<C>(now);
  for (int64_t i = 0; i < result_count; ++i) y[i] = from_sum<T>(from[i]);
}

/// Nearest elements are copied, whatever they are.
template <class T>
void copy_nearest(const View& x, const View& y, std::span<const ResizeFilter> filters, int axis,
                  const T* from, T* to, T extrapolated) {
  if (axis == x.shape.rank()) {
    *to = *from;
    return;
  }
  const ResizeFilter& filter = filters[static_cast<size_t>(axis)];
  const int64_t step = y.strides[axis];
  for (int64_t o = 0; o < y.shape[axis]; ++o, to += step) {
    const int64_t at = *filter.index(o);
    if (at < 0)
      std::fill_n(to, step, extrapolated);
    else if (o > 0 && at == *filter.index(o - 1))
      std::copy_n(to - step, step, to);
    else
      copy_nearest(x, y, filters, axis + 1, from + at * x.strides[axis], to, extrapolated);
  }
}

struct Resize {
  static constexpr std::string_view name = "Resize";
  static constexpr int since = 19;
  using Attributes = ResizeAttributes;
  static constexpr std::array<InputDef, 4> inputs{{{"X"}, roi_input, scales_input, sizes_input}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), resized_shape(c, a, c.shape(0), 1));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &y = k.outputs[0];
    if (y.shape.element_count() == 0) return;
    const auto axes = kernel_axes(k, a, x.shape, 1);
    with_element(y.dtype, [&]<class T>(T) {
      if (!is_nearest(a))
        return resize_elements(a, axes, false, k.in<T>(0), x.shape.element_count(), k.out<T>(0),
                               y.shape.element_count());
      SmallVector<ResizeFilter, max_rank> filters;
      for (const ResizedAxis& axis : axes) filters.push_back(resize_filter(a, axis));
      View dense = y;
      dense.strides = contiguous_strides(y.shape);
      copy_nearest<T>(x, dense, filters, 0, k.in<T>(0), k.out<T>(0),
                      from_sum<T>(static_cast<Summed<T>>(a.extrapolation_value)));
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples();
};

/// Resize's transpose as a linear map, for an input of a given shape.
struct ResizeGradient {
  static constexpr std::string_view name = "ResizeGradient", domain = "ai.tandem";
  using Attributes = ResizeAttributes;
  // Those that Resize was not given are empty here.
  static constexpr std::array<InputDef, 5> inputs{{{"dY", types::floating},
                                                   {"shape", types::i64, 1, InputDef::parameter},
                                                   {"roi", types::floating, 2, InputDef::parameter},
                                                   {"scales", types::floating, 3, InputDef::parameter},
                                                   {"sizes", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape x = shape_parameter(c, 1), y = resized_shape(c, a, x, 2), &dy = c.shape(0);
    bool same = dy.rank() == y.rank();
    for (int i = 0; same && i < y.rank(); ++i) same = dy[i] == y[i] || dy[i] < 0 || y[i] < 0;
    TD_CHECK(same, "dY has shape {}; shape {} is resized to {}", dy, x, y);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &dy = k.inputs[0], &dx = k.outputs[0];
    const int64_t count = dx.shape.element_count();
    if (count == 0) return;
    const auto axes = kernel_axes(k, a, dx.shape, 2);
    with_element(dx.dtype, [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<Computed<T>>)
        resize_elements(a, axes, true, k.in<T>(0), dy.shape.element_count(), k.out<T>(0), count);
    });
  }
  /// Each axis times the matrix of its weights.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Shape x = asked_shape(in[1]);
    TD_CHECK(x.is_static(), "it cannot be written as operations of ONNX's own while its sizes are unknown");
    // Read as they are: operations would become part of the body.
    const auto given = [&](size_t i) {
      TD_CHECK(!in[i].is_symbolic(),
               "it cannot be written as operations of ONNX's own while \"{}\" is unknown", inputs[i].name);
      return in[i].size() > 0;
    };
    const auto view = [&](size_t i) {
      TD_ASSERT(in[i].is_contiguous());
      return View{in[i].impl()->data, in[i].dtype(), in[i].shape().codes(),
                  contiguous_strides(in[i].shape().codes())};
    };
    Request request;
    request.has_region = given(2);
    if (request.has_region) request.region = read_numbers(view(2));
    request.has_scales = given(3);
    if (request.has_scales) request.scales = read_numbers(view(3));
    request.has_sizes = given(4);
    if (request.has_sizes) request.sizes = read_integers(view(4));
    const auto axes = resized_axes(a, x, request);
    Tensor y = in[0];
    for (int d = 0; d < axes.size(); ++d) {
      const ResizeFilter filter = resize_filter(a, axes[d]);
      if (filter.is_identity(axes[d])) continue;
      std::vector<double> weights(static_cast<size_t>(axes[d].output * axes[d].input), 0);
      for (int64_t o = 0; o < axes[d].output; ++o)
        for (int64_t t = 0; t < filter.taps && filter.index(o)[0] >= 0; ++t)
          weights[static_cast<size_t>(o * axes[d].input + filter.index(o)[t])] += filter.weight(o)[t];
      const Tensor matrix = cast(from_vector(std::move(weights), {axes[d].output, axes[d].input}), y.dtype());
      y = moveaxis(matmul(moveaxis(y, d, -1), matrix), -1, d);
    }
    return {y};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const auto argument = [&](int i) { return g.x(i).shape().codes()[0] == 0 ? Operand() : Operand(g.x(i)); };
    Attributes linear = a;
    linear.extrapolation_value = 0;
    return {dispatch<Resize>(linear, Operand(g.dy()), argument(2), argument(3), argument(4)), {}, {}, {}, {}};
  }
  static std::vector<Sample> samples() {
    const Attributes cubic{.mode = "cubic"}, linear{.antialias = true, .mode = "linear"};
    const Tensor none = zeros({0}), no_sizes = zeros({0}, DType::i64);
    return {{{ramp({1, 1, 4, 6}), Tensor({1, 1, 2, 4}, DType::i64), none, Tensor({1.f, 1.f, 2.f, 1.5f}),
              no_sizes},
             boxed(cubic)},
            {{ramp({1, 2, 3}), Tensor({1, 2, 5}, DType::i64), none, none, Tensor({1, 2, 3}, DType::i64)},
             boxed(linear)},
            {{ramp({2, 4}), Tensor({2, 3}, DType::i64), none, Tensor({1.f, 1.4f}), no_sizes}, {}},
            {{zeros({0, 4}), Tensor({0, 3}, DType::i64), none, Tensor({1.f, 1.4f}), no_sizes}, {}}};
  }
};

Tensors Resize::gradient(const Gradient& g, const Attributes& a) {
  const auto argument = [&](int i, DType dtype) { return g.has(i) ? g.x(i) : zeros({0}, dtype); };
  const Tensor roi = argument(1, DType::f32), scales = argument(2, DType::f32),
               sizes = argument(3, DType::i64);
  Tensors result{dispatch<ResizeGradient>(a, Operand(g.dy()), Operand(g.x().shape()), Operand(roi),
                                          Operand(scales), Operand(sizes))};
  result.resize(g.input_count());
  return result;
}

std::vector<Sample> Resize::samples() {
  const Tensor x = ramp({1, 2, 4, 3}), none, twice({1.f, 1.f, 2.f, 1.5f}), less({1.f, 1.f, 0.6f, 0.7f}),
               sizes({1, 2, 3, 7}, DType::i64), region({0.f, 0.f, 0.4f, -0.2f, 1.f, 1.f, 0.8f, 1.1f});
  std::vector<Sample> all;
  const auto add = [&](const Attributes& a, const std::vector<Tensor>& arguments) {
    std::vector<Tensor> inputs{x};
    inputs.insert(inputs.end(), arguments.begin(), arguments.end());
    all.push_back({inputs, boxed(a)});
  };
  add({}, {none, twice});
  add({.coordinate_transformation_mode = "asymmetric", .nearest_mode = "floor"}, {none, less});
  add({.coordinate_transformation_mode = "align_corners", .nearest_mode = "ceil"}, {none, none, sizes});
  add({.nearest_mode = "round_prefer_ceil"}, {none, none, sizes});
  add({.mode = "linear"}, {none, twice});
  add({.antialias = true, .mode = "linear"}, {none, less});
  add({.coordinate_transformation_mode = "half_pixel_symmetric", .mode = "linear"}, {none, less});
  add({.coordinate_transformation_mode = "pytorch_half_pixel", .mode = "cubic"}, {none, none, sizes});
  add({.exclude_outside = true, .mode = "cubic"}, {none, twice});
  add({.antialias = true, .mode = "cubic"}, {none, less});
  add({.coordinate_transformation_mode = "tf_crop_and_resize", .extrapolation_value = 10, .mode = "linear"},
      {region, none, sizes});
  add({.axes = {3, -2}, .keep_aspect_ratio_policy = "not_larger"}, {none, none, Tensor({7, 8}, DType::i64)});
  add({.axes = {2, 3}, .keep_aspect_ratio_policy = "not_smaller", .mode = "linear"},
      {none, none, Tensor({7, 8}, DType::i64)});
  all.push_back({{zeros({0, 2}), none, Tensor({1.f, 2.f})}, {}});
  return all;
}

constexpr const OpDef* resize_table[] = {&op_def<Resize>, &op_def<ResizeGradient>};

ResizeAttributes attributes_of(const ResizeOptions& o) {
  return {o.antialias,          o.axes,
          Word(o.coordinates),  o.cubic_coefficient,
          o.exclude_outside,    o.extrapolation_value,
          Word(o.aspect_ratio), Word(o.mode),
          Word(o.nearest)};
}
Tensor region_of(const ResizeOptions& o) {
  if (o.region.empty()) return {};
  std::vector<float> numbers(o.region.begin(), o.region.end());
  return from_range(numbers);
}

}  // namespace

std::span<const OpDef* const> resize_ops() { return resize_table; }

Tensor resize(const Operand& x, const Operand& sizes, const ResizeOptions& options) {
  const CallSite site(x);
  const Tensor region = region_of(options);
  return dispatch<Resize>(attributes_of(options), x, Operand(region), Operand(), sizes);
}
Tensor resize_by(const Operand& x, const std::vector<float>& scales, const ResizeOptions& options) {
  const CallSite site(x);
  const Tensor region = region_of(options), factors = from_range(scales);
  return dispatch<Resize>(attributes_of(options), x, Operand(region), Operand(factors));
}
Tensor upsample(const Operand& x, const std::vector<float>& scales, std::string_view mode) {
  return resize_by(x, scales, {.mode = mode, .coordinates = "asymmetric", .nearest = "floor"});
}

}  // namespace tandem
