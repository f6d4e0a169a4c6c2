// Convolutions: Conv, ConvTranspose, and the two bilinear ops that their gradients need. Conv and the latter
// take memory in which channels (of weights: outputs) come last as it is.

#include "tandem/ops/convolution.h"

#include <optional>

#include "ops/channels_last.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "ops/windows.h"
#include "runtime/convolution.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;
using runtime::max_spatial;
using runtime::Windows;

/// Each element on the side of the outputs meets one filter: `filters` (outputs, ...).
int64_t convolution_operations(const Shape& elements, const Shape& filters) {
  const int64_t count = elements.element_count(), weights = filters.element_count();
  if (count < 0 || weights < 0) return -1;
  return weights == 0 ? 0 : 2 * count * (weights / filters[0]);
}

struct ConvAttributes : WindowAttributes {
  int64_t group = 1;
  static constexpr auto fields() {
    return std::tuple{
        field("auto_pad", &ConvAttributes::auto_pad), field("dilations", &ConvAttributes::dilations),
        field("group", &ConvAttributes::group),       field("kernel_shape", &ConvAttributes::kernel_shape),
        field("pads", &ConvAttributes::pads),         field("strides", &ConvAttributes::strides)};
  }
};

Dims kernel_sizes(const Shape& w) { return Dims(std::span<const int64_t>(w.begin() + 2, w.end())); }

/// Throws unless the weights (or their shape) have x's rank, and kernel_shape, if given, is theirs.
Dims checked_kernel(const ConvAttributes& a, const Shape& x, const Shape& w) {
  check_spatial("X", x);
  TD_CHECK(w.rank() == x.rank(), "W of shape {} must have as many dimensions as X of shape {}", w, x);
  const Dims kernel = kernel_sizes(w);
  bool same = a.kernel_shape.empty() || a.kernel_shape.size() == kernel.size();
  for (int i = 0; same && i < a.kernel_shape.size(); ++i)
    same = kernel[i] < 0 || kernel[i] == a.kernel_shape[i];
  TD_CHECK(same, "kernel_shape {} does not agree with W of shape {}", a.kernel_shape, w);
  TD_CHECK(a.group > 0, "group is {}; it must be at least 1", a.group);
  return a.kernel_shape.empty() ? kernel : a.kernel_shape;
}

void check_bias(const InferContext& c, int i, int64_t outputs) {
  if (!c.has(i)) return;
  const Shape& b = c.shape(i);
  TD_CHECK(b.rank() == 1 && (b[0] == outputs || b[0] < 0 || outputs < 0),
           "B has shape {}; one number for each of {} output channels is needed", b, outputs);
}

/// Shape (batch, channels, sizes...), unknown ones as symbols of their own.
Shape with_channels(const InferContext& c, int64_t batch, int64_t channels, const int64_t* spatial,
                    int rank) {
  Shape shape{batch, channels};
  for (int d = max_spatial - rank; d < max_spatial; ++d)
    shape.push_back(spatial[d] == -1 ? c.fresh_symbol() : spatial[d]);
  return shape;
}

/// x and y as conv's, w of shape (outputs, channels / group, ...).
runtime::Convolution convolution(DType dtype, int64_t group, const Shape& x, const Shape& w,
                                 const Windows& windows) {
  return {dtype, x[0], group, w[1], w[0] / group, windows};
}

void check_outputs(const Shape& w, int64_t group) {
  TD_CHECK(w[0] < 0 || w[0] % group == 0, "the {} outputs of W of shape {} cannot be cut into {} groups",
           w[0], w, group);
}
void check_channels(const Shape& x, const Shape& w, int64_t group) {
  TD_CHECK(x[1] < 0 || w[1] < 0 || x[1] == w[1] * group,
           "X of shape {} has {} channels; W of shape {} and group {} need {}", x, x[1], w, group,
           w[1] * group);
}

/// The axes but that of channels: what a bias' gradient is summed over.
Dims bias_axes(int rank) {
  Dims axes = spatial_axes(rank);
  axes.insert(0, 0);
  return axes;
}

/// The strides of memory with channels, or the outputs of weights, last.
Strides channels_last_strides(const Shape& shape) {
  return Strides(with_channels_first(contiguous_strides(with_channels_last(shape))));
}
Strides outputs_last_strides(const Shape& shape) {
  Strides strides = contiguous_strides(shape);
  strides[0] = 1;
  strides[1] = shape[0];
  int64_t step = shape[0] * shape[1];
  for (int i = shape.rank() - 1; i >= 2; --i) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

/// A kernel's input as convolutions take it: where it lies if its memory is in either order, else a copy.
class InOrder {
 public:
  InOrder(const View& v, const Strides* last) : data_(v.data) {
    if (!v.data) return;
    is_last_ = last && same(v, *last);
    if (is_last_ || detail::strides_are_contiguous(v.shape, v.strides)) return;
    copy_ = detail::empty_tensor(v.dtype, v.shape);
    kernel::copy_strided(v, copy_.impl()->data);
    data_ = copy_.impl()->data;
  }
  static InOrder channels(const View& v) {
    const Strides last = channels_last_strides(v.shape);
    return {v, &last};
  }
  static InOrder weights(const View& v, int64_t group) {
    const Strides last = outputs_last_strides(v.shape);
    return {v, group == 1 ? &last : nullptr};
  }
  const void* data() const { return data_; }
  bool is_last() const { return is_last_; }

 private:
  static bool same(const View& v, const Strides& strides) {
    for (int i = 0; i < v.shape.rank(); ++i)
      if (v.shape[i] != 1 && v.strides[i] != strides[i]) return false;
    return true;
  }

  const void* data_;
  bool is_last_ = false;
  Tensor copy_;
};

// ---- Conv

struct Conv {
  static constexpr std::string_view name = "Conv";
  static constexpr int since = 22;
  static constexpr uint32_t traits = strided;
  using Attributes = ConvAttributes;
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating}, {"W", types::floating}, {"B", types::floating, 0, InputDef::optional}}};

  static Shape convolved_shape(const InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &w = c.shape(1);
    const Dims kernel = checked_kernel(a, x, w);
    check_channels(x, w, a.group);
    check_outputs(w, a.group);
    check_bias(c, 2, w[0]);
    const Windows windows = windows_over(a, x, kernel);
    return with_channels(c, x[0], w[0], windows.output, windows.rank);
  }
  static void infer(InferContext& c, const Attributes& a) { c.output(c.dtype(0), convolved_shape(c, a)); }
  static int64_t operations(std::span<const Spec> in, std::span<const Spec> out) {
    return convolution_operations(out[0].shape, in[1].shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) { convolve(k, a, false); }
  static void convolve(const KernelContext& k, const Attributes& a, bool channels_last) {
    const Shape &x = k.inputs[0].shape, &w = k.inputs[1].shape;
    const InOrder from = InOrder::channels(k.inputs[0]), weights = InOrder::weights(k.inputs[1], a.group);
    const InOrder bias(k.has(2) ? k.inputs[2] : View(), nullptr);
    runtime::convolve(convolution(k.outputs[0].dtype, a.group, x, w, windows_over(a, x, kernel_sizes(w))),
                      from.data(), weights.data(), bias.data(), k.outputs[0].data,
                      {.x_last = from.is_last(), .y_last = channels_last, .w_last = weights.is_last()});
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) { return gradient_of(g, a, g.dy()); }
  static Tensors gradient_of(const Gradient& g, const Attributes& a, const Tensor& dy);
  static std::vector<Sample> samples();
};

/// Conv whose result has its channels last.
struct ConvChannelsLast {
  static constexpr std::string_view name = "ConvChannelsLast", domain = "ai.tandem";
  static constexpr uint32_t traits = strided;
  using Attributes = ConvAttributes;
  static constexpr auto& inputs = Conv::inputs;

  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), with_channels_last(Conv::convolved_shape(c, a)));
  }
  static int64_t operations(std::span<const Spec> in, std::span<const Spec> out) {
    return Conv::operations(in, out);
  }
  static void kernel(const KernelContext& k, const Attributes& a) { Conv::convolve(k, a, true); }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor bias = in.size() > 2 ? in[2] : Tensor();
    return {with_channels_last(dispatch<Conv>(a, Operand(in[0]), Operand(in[1]), Operand(bias)))};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return Conv::gradient_of(g, a, with_channels_first(g.dy()));
  }
  static std::vector<Sample> samples() { return Conv::samples(); }
};

// ---- ConvInputGradient: conv's transpose, for the input's shape

struct ConvInputGradient {
  static constexpr std::string_view name = "ConvInputGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = strided;
  using Attributes = ConvAttributes;
  static constexpr std::array<InputDef, 3> inputs{
      {{"dY", types::floating}, {"W", types::floating}, {"shape", types::i64, 1, InputDef::parameter}}};

  static void infer(InferContext& c, const Attributes& a) {
    const Shape &dy = c.shape(0), &w = c.shape(1), x = shape_parameter(c, 2);
    const Dims kernel = checked_kernel(a, x, w);
    check_channels(x, w, a.group);
    check_outputs(w, a.group);
    check_dy(dy, x, w);
    windows_over(a, x, kernel);
    c.output(c.dtype(0), x);
  }
  static void check_dy(const Shape& dy, const Shape& x, const Shape& w) {
    TD_CHECK(dy.rank() == x.rank() && (dy[1] < 0 || w[0] < 0 || dy[1] == w[0]),
             "dY has shape {}; it must have {} dimensions and {} channels", dy, x.rank(), w[0]);
  }
  static int64_t operations(std::span<const Spec> in, std::span<const Spec>) {
    return convolution_operations(in[0].shape, in[1].shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &dy = k.inputs[0].shape, &w = k.inputs[1].shape, &x = k.outputs[0].shape;
    const InOrder from = InOrder::channels(k.inputs[0]), weights = InOrder::weights(k.inputs[1], a.group);
    runtime::convolve_transposed(
        convolution(k.outputs[0].dtype, a.group, x, w, windows_between(a, x, dy, kernel_sizes(w))),
        from.data(), weights.data(), nullptr, k.outputs[0].data,
        {.y_last = from.is_last(), .w_last = weights.is_last()});
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a);
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples();
};

// ---- ConvWeightGradient

struct ConvWeightGradient {
  static constexpr std::string_view name = "ConvWeightGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = strided;
  using Attributes = ConvAttributes;
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating}, {"dY", types::floating}, {"shape", types::i64, 1, InputDef::parameter}}};

  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &dy = c.shape(1), w = shape_parameter(c, 2);
    const Dims kernel = checked_kernel(a, x, w);
    check_channels(x, w, a.group);
    check_outputs(w, a.group);
    ConvInputGradient::check_dy(dy, x, w);
    windows_over(a, x, kernel);
    c.output(c.dtype(0), w);
  }
  static int64_t operations(std::span<const Spec> in, std::span<const Spec> out) {
    return convolution_operations(in[1].shape, out[0].shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.inputs[0].shape, &dy = k.inputs[1].shape, &w = k.outputs[0].shape;
    const InOrder left = InOrder::channels(k.inputs[0]), right = InOrder::channels(k.inputs[1]);
    runtime::correlate(
        convolution(k.outputs[0].dtype, a.group, x, w, windows_between(a, x, dy, kernel_sizes(w))),
        left.data(), right.data(), k.outputs[0].data, {.x_last = left.is_last(), .y_last = right.is_last()});
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a);
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples();
};

// ---- gradients: three maps, each linear in two tensors, give each other's

Tensor input_gradient(const ConvAttributes& a, const Tensor& dy, const Tensor& w, const Shape& x) {
  return dispatch<ConvInputGradient>(a, Operand(dy), Operand(w), Operand(x));
}
Tensor weight_gradient(const ConvAttributes& a, const Tensor& x, const Tensor& dy, const Shape& w) {
  return dispatch<ConvWeightGradient>(a, Operand(x), Operand(dy), Operand(w));
}
Tensor convolved(const ConvAttributes& a, const Tensor& x, const Tensor& w) {
  return dispatch<Conv>(a, Operand(x), Operand(w));
}

Tensors Conv::gradient_of(const Gradient& g, const Attributes& a, const Tensor& dy) {
  Tensors result{{}, {}, {}};
  if (g.needs(0)) result[0] = input_gradient(a, dy, g.x(1), g.x(0).shape().codes());
  if (g.needs(1)) result[1] = weight_gradient(a, g.x(0), dy, g.x(1).shape().codes());
  if (g.needs(2)) result[2] = reduce_sum(dy, bias_axes(dy.rank()));
  result.resize(g.input_count());
  return result;
}
Tensors ConvInputGradient::gradient(const Gradient& g, const Attributes& a) {
  Tensors result{{}, {}, {}};
  if (g.needs(0)) result[0] = convolved(a, g.dy(), g.x(1));
  if (g.needs(1)) result[1] = weight_gradient(a, g.dy(), g.x(0), g.x(1).shape().codes());
  return result;
}
Tensors ConvWeightGradient::gradient(const Gradient& g, const Attributes& a) {
  Tensors result{{}, {}, {}};
  if (g.needs(0)) result[0] = input_gradient(a, g.x(1), g.dy(), g.x(0).shape().codes());
  if (g.needs(1)) result[1] = convolved(a, g.x(0), g.dy());
  return result;
}

// ---- ConvTranspose

struct ConvTranspose {
  static constexpr std::string_view name = "ConvTranspose";
  static constexpr int since = 22;
  struct Attributes : ConvAttributes {
    Dims output_padding, output_shape;
    static constexpr auto fields() {
      return std::tuple_cat(ConvAttributes::fields(),
                            std::tuple{field("output_padding", &Attributes::output_padding),
                                       field("output_shape", &Attributes::output_shape)});
    }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating}, {"W", types::floating}, {"B", types::floating, 0, InputDef::optional}}};

  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &w = c.shape(1);
    const Dims kernel = checked_kernel(a, x, w);
    TD_CHECK(x[1] < 0 || w[0] < 0 || x[1] == w[0], "X of shape {} has {} channels; W of shape {} needs {}", x,
             x[1], w, w[0]);
    TD_CHECK(w[0] < 0 || w[0] % a.group == 0, "the {} channels of W of shape {} cannot be cut into {} groups",
             w[0], w, a.group);
    const int64_t outputs = w[1] < 0 ? (a.group == 1 ? w[1] : c.fresh_symbol()) : w[1] * a.group;
    check_bias(c, 2, outputs);
    const Windows windows = windows_under(a, a.output_padding, a.output_shape, x, kernel);
    c.output(c.dtype(0), with_channels(c, x[0], outputs, windows.input, windows.rank));
  }
  static int64_t operations(std::span<const Spec> in, std::span<const Spec>) {
    return convolution_operations(in[0].shape, in[1].shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.inputs[0].shape, &w = k.inputs[1].shape;
    const Windows windows = windows_under(a, a.output_padding, a.output_shape, x, kernel_sizes(w));
    runtime::convolve_transposed(convolution(k.outputs[0].dtype, a.group, x, w, windows), k.inputs[0].data,
                                 k.inputs[1].data, k.has(2) ? k.inputs[2].data : nullptr, k.outputs[0].data);
  }
  /// The convolution whose transpose this is: what it pads at the end makes it give back x's sizes.
  static ConvAttributes transposed(const Attributes& a, const Tensor& x, const Tensor& w) {
    ConvAttributes b = a;
    b.auto_pad = "NOTSET";
    const int rank = x.rank() - 2;
    b.pads = Dims::filled(2 * rank, 0);
    const bool given = (a.auto_pad == "NOTSET" || a.auto_pad == "VALID") && a.output_shape.empty();
    for (int i = 0; i < rank; ++i) {
      const int64_t stride = a.strides.empty() ? 1 : a.strides[i];
      const int64_t extra = a.output_padding.empty() ? 0 : a.output_padding[i];
      if (given) {
        if (a.auto_pad == "NOTSET" && !a.pads.empty())
          b.pads[i] = a.pads[i], b.pads[rank + i] = a.pads[rank + i];
        if (extra >= stride) b.pads[rank + i] -= extra;
        continue;
      }
      // These paddings follow from sizes, which are pinned here where a trace does not know them.
      Shape known{1, 1};
      Dims kernel;
      for (int k = 0; k < rank; ++k) {
        known.push_back(a.output_shape.empty() ? 1 : static_cast<int64_t>(x.dim(2 + k)));
        kernel.push_back(w.dim(2 + k));
      }
      const Windows windows = windows_under(a, a.output_padding, a.output_shape, known, kernel);
      const int d = max_spatial - rank + i;
      const int64_t reach = (windows.output[d] - 1) * stride + (kernel[i] - 1) * windows.dilation[d] + 1;
      b.pads[i] = windows.before[d];
      b.pads[rank + i] = reach - windows.input[d] - windows.before[d];
    }
    return b;
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    const ConvAttributes b = transposed(a, g.x(0), g.x(1));
    Tensors result{{}, {}, {}};
    if (g.needs(0)) result[0] = convolved(b, dy, g.x(1));
    if (g.needs(1)) result[1] = weight_gradient(b, dy, g.x(0), g.x(1).shape().codes());
    if (g.needs(2)) result[2] = reduce_sum(dy, bias_axes(dy.rank()));
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples();
};

// ---- the gradients' ops in terms of ONNX's own

/// Attributes with the padding spelled out, and the windows themselves.
ConvAttributes spelled_out(const ConvAttributes& a, const Windows& w) {
  ConvAttributes b = a;
  b.auto_pad = "NOTSET";
  b.pads = b.strides = b.dilations = b.kernel_shape = {};
  for (int d = max_spatial - w.rank; d < max_spatial; ++d) {
    b.pads.push_back(w.before[d]);
    b.strides.push_back(w.stride[d]);
    b.dilations.push_back(w.dilation[d]);
  }
  for (int d = max_spatial - w.rank; d < max_spatial; ++d) b.pads.push_back(w.after[d]);
  return b;
}

Tensors ConvInputGradient::decomposition(std::span<const Tensor> in, const Attributes& a) {
  const Windows w =
      windows_between(a, asked_shape(in[2]), in[0].shape().codes(), kernel_sizes(in[1].shape().codes()));
  check_known(w);
  ConvTranspose::Attributes b;
  static_cast<ConvAttributes&>(b) = spelled_out(a, w);
  for (int d = max_spatial - w.rank; d < max_spatial; ++d)
    b.output_padding.push_back(w.input[d] + w.before[d] + w.after[d] - (w.kernel[d] - 1) * w.dilation[d] - 1 -
                               (w.output[d] - 1) * w.stride[d]);
  return {dispatch<ConvTranspose>(b, Operand(in[0]), Operand(in[1]))};
}

// The batch takes the place of the channels: x as (channels, group, batch, ...) is convolved with dy as
// kernel.
Tensors ConvWeightGradient::decomposition(std::span<const Tensor> in, const Attributes& a) {
  const Tensor &x = in[0], &dy = in[1];
  const Shape shape = asked_shape(in[2]);
  const Windows w = windows_between(a, x.shape().codes(), dy.shape().codes(), kernel_sizes(shape));
  check_known(w);
  ConvAttributes b = spelled_out(a, w);
  std::swap(b.strides, b.dilations);
  Dims order{2, 1, 0}, exchanged{1, 0}, starts, ends;
  for (int i = 2; i < x.rank(); ++i) {
    order.push_back(i + 1);
    exchanged.push_back(i);
    starts.push_back(0);
    ends.push_back(shape[i]);
  }
  Tensor images = transpose(x, exchanged);
  if (a.group > 1) {
    const Tensor channels = slice(in[2], {1}, {2}), spatial = shape_of(x, 2);
    const Tensor split = reshape(x, concat({shape_of(x, 0, 1), integers({a.group}), channels, spatial}, 0));
    images = reshape(transpose(split, order), concat({channels, integers({-1}), spatial}, 0));
  }
  const Tensor sums =
      slice(convolved(b, images, transpose(dy, exchanged)), starts, ends, spatial_axes(x.rank()));
  return {transpose(sums, exchanged)};
}

// ---- samples

ConvAttributes conv_attributes(const WindowAttributes& window, int64_t group = 1) {
  ConvAttributes a;
  static_cast<WindowAttributes&>(a) = window;
  a.group = group;
  return a;
}

std::vector<Sample> Conv::samples() {
  const Tensor x = ramp({2, 4, 5, 4}), w = ramp({6, 4, 3, 2}), b = ramp({6});
  return {
      {{x, w, b}, {}},
      {{x, w}, boxed(conv_attributes({.pads = {1, 0, 2, 1}, .strides = {2, 1}}))},
      {{x, ramp({6, 2, 2, 3}), b}, boxed(conv_attributes({.auto_pad = "SAME_UPPER", .strides = {2, 3}}, 2))},
      {{x, ramp({4, 1, 2, 2})},
       boxed(conv_attributes({.auto_pad = "SAME_LOWER", .dilations = {2, 1}, .kernel_shape = {2, 2}}, 4))},
      {{x, ramp({3, 4, 1, 1}), ramp({3})}, boxed(conv_attributes({.auto_pad = "VALID"}))},
      {{ramp({1, 2, 7}), ramp({3, 2, 3})}, boxed(conv_attributes({.dilations = {2}, .pads = {1, 1}}))},
      {{ramp({1, 2, 3, 4, 3}), ramp({2, 2, 2, 3, 2})},
       boxed(conv_attributes({.pads = {1, 0, 0, 0, 1, 1}, .strides = {1, 2, 1}}))},
      {{zeros({0, 4, 5, 4}), w, b}, {}}};
}

std::vector<Sample> ConvInputGradient::samples() {
  const Tensor dy = ramp({2, 6, 3, 3}), w = ramp({6, 4, 3, 2});
  return {{{dy, w, integers({2, 4, 5, 4})}, {}},
          {{ramp({2, 6, 3, 4}), w, integers({2, 4, 5, 4})},
           boxed(conv_attributes({.pads = {1, 0, 2, 1}, .strides = {2, 1}}))},
          {{ramp({2, 6, 3, 2}), ramp({6, 2, 2, 3}), integers({2, 4, 5, 4})},
           boxed(conv_attributes({.auto_pad = "SAME_UPPER", .strides = {2, 3}}, 2))},
          {{ramp({1, 3, 5}), ramp({3, 2, 3}), integers({1, 2, 7})},
           boxed(conv_attributes({.dilations = {2}, .pads = {1, 1}}))},
          {{zeros({0, 6, 3, 3}), w, integers({0, 4, 5, 4})}, {}}};
}

std::vector<Sample> ConvWeightGradient::samples() {
  const Tensor x = ramp({2, 4, 5, 4});
  return {{{x, ramp({2, 6, 3, 3}), integers({6, 4, 3, 2})}, {}},
          {{x, ramp({2, 6, 3, 4}), integers({6, 4, 3, 2})},
           boxed(conv_attributes({.pads = {1, 0, 2, 1}, .strides = {2, 1}}))},
          {{x, ramp({2, 6, 3, 2}), integers({6, 2, 2, 3})},
           boxed(conv_attributes({.auto_pad = "SAME_UPPER", .strides = {2, 3}}, 2))},
          {{ramp({1, 2, 7}), ramp({1, 3, 5}), integers({3, 2, 3})},
           boxed(conv_attributes({.dilations = {2}, .pads = {1, 1}}))}};
}

std::vector<Sample> ConvTranspose::samples() {
  const Tensor x = ramp({2, 4, 3, 2}), w = ramp({4, 3, 3, 2}), b = ramp({3});
  const auto with = [](const ConvAttributes& a, const Dims& padding, const Dims& shape) {
    Attributes c;
    static_cast<ConvAttributes&>(c) = a;
    c.output_padding = padding;
    c.output_shape = shape;
    return boxed(c);
  };
  return {
      {{x, w, b}, {}},
      {{x, w}, with(conv_attributes({.pads = {1, 0, 1, 1}, .strides = {2, 3}}), {1, 0}, {})},
      {{x, w}, with(conv_attributes({.dilations = {3, 2}, .strides = {2, 1}}), {2, 1}, {})},
      {{x, w, b}, with(conv_attributes({.strides = {3, 2}}), {}, {10, 5})},
      {{x, w, ramp({6})}, with(conv_attributes({.auto_pad = "SAME_UPPER", .strides = {2, 3}}, 2), {}, {})},
      {{x, w}, with(conv_attributes({.auto_pad = "SAME_LOWER", .strides = {2, 1}}), {}, {7, 2})},
      {{x, ramp({4, 2, 1, 1}), ramp({2})}, {}},
      {{ramp({1, 2, 4}), ramp({2, 2, 3})}, with(conv_attributes({.strides = {2}}), {}, {})},
      {{ramp({1, 2, 2, 3, 2}), ramp({2, 1, 2, 3, 2})},
       with(conv_attributes({.pads = {0, 1, 0, 1, 1, 0}}), {}, {})},
      {{zeros({0, 4, 3, 2}), w, b}, {}}};
}

constexpr const OpDef* convolution_table[] = {&op_def<Conv>, &op_def<ConvChannelsLast>,
                                              &op_def<ConvTranspose>, &op_def<ConvInputGradient>,
                                              &op_def<ConvWeightGradient>};

// ---- channels last

using runtime::ConvolutionKind;

/// The convolution between shapes of which the batch may be unknown; none where others are, or where its
/// operands must have their channels first.
std::optional<runtime::Convolution> known_convolution(const void* attributes, Shape x, const Shape& w,
                                                      DType dtype, ConvolutionKind kind, bool bias) {
  const auto& a = *static_cast<const ConvAttributes*>(attributes);
  if (dtype != DType::f32 || x.rank() < 3 || w.rank() != x.rank()) return {};
  if (x[0] < 0) x[0] = 1;  // one image is the least
  if (!x.is_static() || !w.is_static() || x.element_count() == 0 || w.element_count() == 0) return {};
  runtime::Convolution c = convolution(dtype, a.group, x, w, windows_over(a, x, kernel_sizes(w)));
  if (c.windows.output_count() == 0) return {};
  const bool points = kind == ConvolutionKind::forward && runtime::takes_points_in_any_order(c);
  if (!points && !runtime::takes_any_order(c, kind, bias)) return {};
  return c;
}

ChannelsLast offer_forward(const void* attributes, std::span<const Spec> in, std::span<const Spec>) {
  const bool bias = in.size() > 2 && in[2].shape.rank() == 1;
  const auto c =
      known_convolution(attributes, in[0].shape, in[1].shape, in[0].dtype, ConvolutionKind::forward, bias);
  if (!c) return {};
  // Few columns make slow products.
  constexpr int64_t columns = 16;
  if (runtime::takes_points_in_any_order(*c))
    return c->out_channels < columns ? ChannelsLast{.readers = 1}
                                     : ChannelsLast{.form = &op_def<ConvChannelsLast>, .readers = 1};
  const runtime::ChannelOrder order = runtime::preferred_order(*c, bias);
  const Windows& w = c->windows;
  ChannelsLast offer{.readers = 1};
  offer.saves_input = order.x_last && c->groups * c->in_channels > 1 && w.input_count() > 1;
  offer.saves_output = order.y_last && c->groups * c->out_channels > 1 && w.output_count() > 1;
  if (offer.saves_output) offer.form = &op_def<ConvChannelsLast>;
  return offer;
}

constexpr ChannelsLastRow convolution_orders[] = {
    {&op_def<Conv>, &offer_forward},
    {&op_def<ConvChannelsLast>,
     [](const void* attributes, std::span<const Spec> in, std::span<const Spec> out) {
       ChannelsLast offer = offer_forward(attributes, in, out);
       offer.form = nullptr;  // it is the form
       offer.saves_output = false;
       return offer;
     }},
    {&op_def<ConvInputGradient>,
     [](const void* attributes, std::span<const Spec> in, std::span<const Spec> out) {
       const auto c = known_convolution(attributes, out[0].shape, in[1].shape, in[0].dtype,
                                        ConvolutionKind::input_gradient, false);
       return ChannelsLast{.readers = c ? 1u : 0u};
     }},
    {&op_def<ConvWeightGradient>,
     [](const void* attributes, std::span<const Spec> in, std::span<const Spec> out) {
       const auto c = known_convolution(attributes, in[0].shape, out[0].shape, in[0].dtype,
                                        ConvolutionKind::weight_gradient, false);
       return ChannelsLast{.readers = c ? 3u : 0u};
     }}};

/// Options as attributes, spread over the dimensions of an argument.
ConvAttributes attributes_of(const ConvOptions& o, int spatial) {
  return conv_attributes(window_attributes(o.auto_pad, o.dilations, {}, o.pads, o.strides, spatial), o.group);
}

}  // namespace

std::span<const OpDef* const> convolution_ops() { return convolution_table; }
std::span<const ChannelsLastRow> convolutions_with_channels_last() { return convolution_orders; }

Tensor conv(const Operand& x, const Operand& w, const Operand& bias, const ConvOptions& options) {
  return dispatch<Conv>(attributes_of(options, spatial_rank(x)), x, w, bias);
}
Tensor conv_transpose(const Operand& x, const Operand& w, const Operand& bias,
                      const ConvTransposeOptions& options) {
  const int spatial = spatial_rank(x);
  const ConvOptions window{options.strides, options.pads, options.dilations, options.group, options.auto_pad};
  ConvTranspose::Attributes a;
  static_cast<ConvAttributes&>(a) = attributes_of(window, spatial);
  a.output_padding = spread(options.output_padding, spatial);
  a.output_shape = spread(options.output_shape, spatial);
  return dispatch<ConvTranspose>(a, x, w, bias);
}
Tensor conv_input_gradient(const Operand& dy, const Operand& w, const Operand& x_shape,
                           const ConvOptions& options) {
  return dispatch<ConvInputGradient>(attributes_of(options, spatial_rank(dy)), dy, w, x_shape);
}
Tensor conv_weight_gradient(const Operand& x, const Operand& dy, const Operand& w_shape,
                            const ConvOptions& options) {
  return dispatch<ConvWeightGradient>(attributes_of(options, spatial_rank(x)), x, dy, w_shape);
}

}  // namespace tandem
