// DeformConv: a convolution whose kernel's elements are moved, put together from sampling and a product.

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/windows.h"
#include "tandem/ops/convolution.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/image.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using runtime::max_spatial;
using runtime::Windows;

struct DeformConv : Composite {
  static constexpr std::string_view name = "DeformConv";
  static constexpr int since = 22;
  struct Attributes {
    Dims dilations;
    int64_t group = 1;
    Dims kernel_shape;
    int64_t offset_group = 1;
    Dims pads, strides;
    static constexpr auto fields() {
      return std::tuple{field("dilations", &Attributes::dilations),
                        field("group", &Attributes::group),
                        field("kernel_shape", &Attributes::kernel_shape),
                        field("offset_group", &Attributes::offset_group),
                        field("pads", &Attributes::pads),
                        field("strides", &Attributes::strides)};
    }
    WindowAttributes window() const {
      return {.dilations = dilations, .kernel_shape = kernel_shape, .pads = pads, .strides = strides};
    }
  };
  static constexpr std::array<InputDef, 5> inputs{{{"X", types::floating},
                                                   {"W", types::floating},
                                                   {"offset", types::floating},
                                                   {"B", types::floating, 0, InputDef::optional},
                                                   {"mask", types::floating, 0, InputDef::optional}}};

  static Dims kernel_sizes(const Attributes& a, const Shape& w) {
    if (!a.kernel_shape.empty()) return a.kernel_shape;
    return Dims(std::span<const int64_t>(w.begin() + 2, w.end()));
  }
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &w = c.shape(1), &offset = c.shape(2);
    check_spatial("X", x);
    TD_CHECK(w.rank() == x.rank() && offset.rank() == x.rank(),
             "X, W and offset have shapes {}, {} and {}; as many dimensions of each are needed", x, w,
             offset);
    TD_CHECK(a.group > 0 && a.offset_group > 0, "group is {} and offset_group is {}; both must be at least 1",
             a.group, a.offset_group);
    TD_CHECK(x[1] < 0 || w[1] < 0 || x[1] == w[1] * a.group,
             "X of shape {} has {} channels; W of shape {} and group {} need {}", x, x[1], w, a.group,
             w[1] * a.group);
    TD_CHECK(w[0] < 0 || w[0] % a.group == 0, "the {} outputs of W of shape {} cannot be cut into {} groups",
             w[0], w, a.group);
    TD_CHECK(x[1] < 0 || x[1] % a.offset_group == 0, "{} channels cannot be cut into {} offset groups", x[1],
             a.offset_group);
    const Windows windows = windows_over(a.window(), x, kernel_sizes(a, w));
    Shape shape{x[0], w[0]};
    for (int i = 2; i < x.rank(); ++i) {
      const int64_t size = windows.output[max_spatial - windows.rank + i - 2];
      shape.push_back(size != -1 ? size : offset[i] >= 0 ? offset[i] : c.fresh_symbol());
    }
    const bool known = windows.kernel[0] > 0 && windows.kernel[1] > 0 && windows.kernel[2] > 0;
    const int64_t taps = known ? windows.kernel_count() * a.offset_group : 0;
    const auto check = [&](int i, int64_t channels) {
      if (!c.has(i) || !known) return;
      const Shape& s = c.shape(i);
      bool fits =
          s.rank() == x.rank() && (s[1] == channels || s[1] < 0) && (s[0] == x[0] || s[0] < 0 || x[0] < 0);
      for (int d = 2; fits && d < x.rank(); ++d) fits = s[d] == shape[d] || s[d] < 0 || shape[d] < 0;
      TD_CHECK(fits, "{} has shape {}; {} channels over an output of shape {} are needed",
               inputs[static_cast<size_t>(i)].name, s, channels, shape);
    };
    check(2, taps * windows.rank);
    check(4, taps);
    if (c.has(3))
      TD_CHECK(c.rank(3) == 1 && (c.shape(3)[0] == w[0] || c.shape(3)[0] < 0 || w[0] < 0),
               "B has shape {}; one number for each of {} output channels is needed", c.shape(3), w[0]);
    c.output(c.dtype(0), shape);
  }

  static Tensor numbers(std::initializer_list<int64_t> values) { return to_tensor(Operand(Dims(values))); }

  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor &x = in[0], &w = in[1], &offset = in[2];
    const int rank = x.rank() - 2;
    const auto has = [&](size_t i) { return i < in.size() && in[i].defined(); };
    // Positions become fractions of x and back, which must not move them.
    constexpr DType exact = DType::f64;
    Dims kernel;
    for (int i = 0; i < rank; ++i)
      kernel.push_back(a.kernel_shape.empty() ? static_cast<int64_t>(w.dim(2 + i)) : a.kernel_shape[i]);
    int64_t taps = 1;
    for (int64_t size : kernel) taps *= size;
    // Offsets as (batch * offset groups, taps, dimensions, sizes...).
    const Tensor output_sizes = shape_of(offset, 2);
    const Tensor offsets = reshape(cast(offset, exact), concat({numbers({-1, taps, rank}), output_sizes}, 0));
    std::vector<Tensor> coordinates;
    for (int d = rank - 1; d >= 0; --d) {
      const int64_t stride = a.strides.empty() ? 1 : a.strides[d];
      const int64_t dilation = a.dilations.empty() ? 1 : a.dilations[d];
      const int64_t before = a.pads.empty() ? 0 : a.pads[d];
      // Where the taps and the windows lie before they are moved.
      std::vector<double> tap_positions;
      int64_t inner = 1;
      for (int i = d + 1; i < rank; ++i) inner *= kernel[i];
      for (int64_t tap = 0; tap < taps; ++tap)
        tap_positions.push_back(static_cast<double>(tap / inner % kernel[d] * dilation - before));
      Dims tap_shape = Dims::filled(rank + 1, 1), window_shape = Dims::filled(rank + 1, 1);
      tap_shape[0] = taps;
      window_shape[d + 1] = -1;
      const Tensor windows = cast(arange(0, gather(output_sizes, d), 1, DType::i64), exact) * stride;
      const Tensor places =
          cast(from_vector(std::move(tap_positions), tap_shape), exact) + reshape(windows, window_shape);
      const Tensor moved = gather(offsets, d, 2) + places;
      // As grid_sample counts: -1 and 1 are the edges of x.
      coordinates.push_back((moved * 2 + 1) / cast(shape_of(x, 2 + d, 3 + d), exact) - 1);
    }
    Dims ones = Dims::filled(rank - 1, 1);
    const Tensor groups = shape_of(x, 0, 1) * a.offset_group, sizes = shape_of(x, 2);
    const Tensor ending = to_tensor(Operand(ones));
    const Tensor grid =
        reshape(stack(coordinates, -1), concat({groups, numbers({-1}), ending, numbers({rank})}, 0));
    const Tensor images = reshape(x, concat({groups, shape_of(x, 1, 2) / a.offset_group, sizes}, 0));
    Tensor columns = cast(grid_sample(cast(images, exact), grid), x.dtype());
    if (has(4)) columns = columns * reshape(in[4], concat({groups, numbers({1, -1}), ending}, 0));
    // (batch, group, channels * taps, windows) times (group, outputs, channels * taps).
    const Tensor per_group = shape_of(w, 1, 2) * taps;
    columns = reshape(columns, concat({shape_of(x, 0, 1), numbers({a.group}), per_group, numbers({-1})}, 0));
    const Tensor weights = reshape(w, concat({numbers({a.group, -1}), per_group}, 0));
    const Tensor product = matmul(weights, columns);
    Tensor y = reshape(product, concat({shape_of(x, 0, 1), shape_of(w, 0, 1), output_sizes}, 0));
    if (has(3)) {
      Dims channel = Dims::filled(rank + 1, 1);
      channel[0] = -1;
      y = y + reshape(in[3], channel);
    }
    return {y};
  }

  static Tensor numbers(const Shape& shape, int64_t factor, int64_t modulus, float scale, float shift) {
    std::vector<float> v(static_cast<size_t>(shape.element_count()));
    for (size_t i = 0; i < v.size(); ++i)
      v[i] = static_cast<float>((static_cast<int64_t>(i) * factor) % modulus) * scale + shift;
    return from_vector(std::move(v), shape);
  }
  static std::vector<Sample> samples() {
    const auto ramp = [](const Shape& s) { return numbers(s, 7, 15, 0.25f, -1.5f); };
    // No position is a whole number, where the derivative jumps.
    const auto moves = [](const Shape& s) { return numbers(s, 29, 53, 0.03f, -0.77f); };
    const Attributes padded{.pads = {1, 0, 1, 1}, .strides = {2, 1}},
        grouped{.dilations = {1, 2}, .group = 2, .offset_group = 2};
    return {{{ramp({1, 2, 4, 3}), ramp({2, 2, 2, 2}), moves({1, 8, 3, 2})}, {}},
            {{ramp({2, 2, 3, 4}), ramp({3, 2, 2, 2}), moves({2, 8, 2, 4}), ramp({3}), ramp({2, 4, 2, 4})},
             boxed(padded)},
            {{ramp({1, 4, 3, 4}), ramp({2, 2, 2, 2}), moves({1, 16, 2, 2})}, boxed(grouped)}};
  }
};

constexpr const OpDef* deform_table[] = {&op_def<DeformConv>};

}  // namespace

std::span<const OpDef* const> deform_ops() { return deform_table; }

Tensor deform_conv(const Operand& x, const Operand& w, const Operand& offset, const Operand& bias,
                   const Operand& mask, const DeformConvOptions& options) {
  const int spatial = spatial_rank(x);
  return dispatch<DeformConv>({spread(options.dilations, spatial),
                               options.group,
                               {},
                               options.offset_group,
                               spread_pads(options.pads, spatial),
                               spread(options.strides, spatial)},
                              x, w, offset, bias, mask);
}

}  // namespace tandem
