// Rearrangements of images: blocks and channels, windows and columns, cutting to the middle.

#include "tandem/ops/image.h"

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "ops/windows.h"
#include "runtime/columns.h"
#include "runtime/parallel.h"
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

// ---- DepthToSpace and SpaceToDepth

void check_blocks(const Shape& x, int64_t block) {
  TD_CHECK(x.rank() == 4, "X has shape {}; batch, channels, height and width are needed", x);
  TD_CHECK(block >= 1 && block <= 65536, "blocksize is {}; expected 1 to 65536", block);
}

/// Copies x, seen in six dimensions, with these in another order.
void copy_permuted(const KernelContext& k, const Shape& six, const Dims& order) {
  const Strides strides = contiguous_strides(six);
  Shape shape;
  Strides from;
  for (int64_t d : order) {
    shape.push_back(six[static_cast<int>(d)]);
    from.push_back(strides[static_cast<int>(d)]);
  }
  copy_strided(k.inputs[0].data, from, k.outputs[0].data, contiguous_strides(shape), shape,
               size_of(k.outputs[0].dtype));
}

struct DepthToSpace {
  static constexpr std::string_view name = "DepthToSpace";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t blocksize = 1;
    Word mode = "DCR";
    static constexpr auto fields() {
      return std::tuple{field("blocksize", &Attributes::blocksize), field("mode", &Attributes::mode)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const int64_t b = a.blocksize;
    check_blocks(shape, b);
    TD_CHECK(a.mode == "DCR" || a.mode == "CRD", "mode \"{}\" is unknown; expected \"DCR\" or \"CRD\"",
             std::string_view(a.mode));
    TD_CHECK(shape[1] < 0 || shape[1] % (b * b) == 0, "{} channels cannot be cut into blocks of {} by {}",
             shape[1], b, b);
    if (b > 1) {
      shape[1] = shape[1] < 0 ? c.fresh_symbol() : shape[1] / (b * b);
      for (int i : {2, 3}) shape[i] = shape[i] < 0 ? c.fresh_symbol() : shape[i] * b;
    }
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& x = k.inputs[0].shape;
    const int64_t b = a.blocksize, channels = x[1] / (b * b);
    if (a.mode == "DCR")
      copy_permuted(k, {x[0], b, b, channels, x[2], x[3]}, {0, 3, 4, 1, 5, 2});
    else
      copy_permuted(k, {x[0], channels, b, b, x[2], x[3]}, {0, 1, 4, 2, 5, 3});
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dx = space_to_depth(g.dy(), a.blocksize);
    if (a.mode == "DCR") return {dx};
    // The block's positions come before the channels now, and belong after them.
    const int64_t positions = a.blocksize * a.blocksize;
    const Tensor sizes = shape_of(dx);
    const Tensor cut = concat({slice(sizes, {0}, {1}), integers({positions, -1}), slice(sizes, {2}, {4})}, 0);
    return {reshape(transpose(reshape(dx, cut), {0, 2, 1, 3, 4}), g.x().shape())};
  }
  static std::vector<Sample> samples() {
    const Attributes two{2}, columns{2, "CRD"}, one{1};
    return {{{ramp({2, 8, 2, 3})}, boxed(two)},
            {{ramp({2, 8, 2, 3})}, boxed(columns)},
            {{ramp({1, 2, 2, 3})}, boxed(one)},
            {{cast(ramp({1, 4, 1, 2}), DType::boolean)}, boxed(two)},
            {{zeros({0, 4, 2, 2})}, boxed(two)}};
  }
};

struct SpaceToDepth {
  static constexpr std::string_view name = "SpaceToDepth";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t blocksize = 1;
    static constexpr auto fields() { return std::tuple{field("blocksize", &Attributes::blocksize)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const int64_t b = a.blocksize;
    check_blocks(shape, b);
    for (int i : {2, 3})
      TD_CHECK(shape[i] < 0 || shape[i] % b == 0, "size {} of dimension {} is not divisible by blocksize {}",
               shape[i], i, b);
    if (b > 1) {
      shape[1] = shape[1] < 0 ? c.fresh_symbol() : shape[1] * b * b;
      for (int i : {2, 3}) shape[i] = shape[i] < 0 ? c.fresh_symbol() : shape[i] / b;
    }
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& x = k.inputs[0].shape;
    const int64_t b = a.blocksize;
    copy_permuted(k, {x[0], x[1], x[2] / b, b, x[3] / b, b}, {0, 3, 5, 1, 2, 4});
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {depth_to_space(g.dy(), a.blocksize)};
  }
  static std::vector<Sample> samples() {
    const Attributes two{2}, one{1};
    return {{{ramp({2, 2, 4, 6})}, boxed(two)},
            {{ramp({1, 2, 2, 3})}, boxed(one)},
            {{cast(ramp({1, 1, 2, 2}), DType::i16)}, boxed(two)},
            {{zeros({0, 4, 2, 2})}, boxed(two)}};
  }
};

// ---- CenterCropPad

struct CenterCropPad : Composite {
  static constexpr std::string_view name = "CenterCropPad";
  static constexpr int since = 18;
  struct Attributes {
    Dims axes;
    static constexpr auto fields() { return std::tuple{field("axes", &Attributes::axes)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"input_data"}, {"shape", types::index, 1, InputDef::parameter}}};
  static Dims axes(const Attributes& a, int rank) {
    Dims result;
    for (int i = 0; i < (a.axes.empty() ? rank : a.axes.size()); ++i) {
      const int axis = InferContext::normalize_axis(a.axes.empty() ? i : a.axes[i], rank);
      for (int64_t other : result) TD_CHECK(other != axis, "axis {} is listed twice", axis);
      result.push_back(axis);
    }
    return result;
  }
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const Dims cut = axes(a, shape.rank());
    Integers sizes;
    const bool known = c.constant(1, sizes);
    TD_CHECK(!known || sizes.size() == cut.size(), "shape has {} numbers; {} are needed, one for each axis",
             sizes.size(), cut.size());
    for (int i = 0; i < cut.size(); ++i) {
      const int64_t size = known ? sizes[i] : c.fresh_symbol();
      TD_CHECK(size >= 0 || is_symbol(size), "size {} is negative", size);
      shape[static_cast<int>(cut[i])] = size;
    }
    c.output(c.dtype(0), shape);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor cut = integers(axes(a, in[0].rank()));
    const Tensor missing = cast(in[1], DType::i64) - gather(shape_of(in[0]), cut);
    const Tensor before = missing / 2;  // rounded toward zero, as what is cut off is
    return {pad(in[0], concat({before, missing - before}, 0), "constant", nullptr, cut)};
  }
  static std::vector<Sample> samples() {
    const Attributes last{{-1}}, two{{0, 2}};
    return {{{ramp({4, 5, 3}), integers({3, 2, 6})}, {}},
            {{ramp({4, 5, 3}), integers({2})}, boxed(last)},
            {{ramp({4, 5, 3}), cast(integers({7, 3}), DType::i32)}, boxed(two)},
            {{cast(ramp({2, 2}), DType::u8), integers({3, 1})}, {}},
            {{zeros({0, 3}), integers({1, 2})}, {}}};
  }
};

// ---- Col2Im and its transpose

struct ColumnAttributes {
  Dims dilations, pads, strides;
  static constexpr auto fields() {
    return std::tuple{field("dilations", &ColumnAttributes::dilations),
                      field("pads", &ColumnAttributes::pads), field("strides", &ColumnAttributes::strides)};
  }
};

Windows column_windows(const ColumnAttributes& a, const Shape& x, std::span<const int64_t> block) {
  return windows_over({.dilations = a.dilations, .pads = a.pads, .strides = a.strides}, x, block);
}

/// Where the elements of all windows lie in the padded image, row after row of the columns' matrix.
Tensor places(const Windows& w) {
  std::vector<int64_t> found;
  for (int64_t tap = 0; tap < w.kernel_count(); ++tap)
    for (int64_t window = 0; window < w.output_count(); ++window) {
      int64_t at = 0, size = 1, k = tap, n = window;
      for (int d = max_spatial - 1; d >= 0; --d) {
        at += size * (k % w.kernel[d] * w.dilation[d] + n % w.output[d] * w.stride[d]);
        size *= w.input[d] + w.before[d] + w.after[d];
        k /= w.kernel[d];
        n /= w.output[d];
      }
      found.push_back(at);
    }
  return from_range(found);
}
/// The windows' paddings times `sign`, as Pad takes them.
Dims paddings(const Windows& w, int64_t sign) {
  Dims pads;
  for (const auto& side : {w.before, w.after})
    for (int d = max_spatial - w.rank; d < max_spatial; ++d) pads.push_back(sign * side[d]);
  return pads;
}

struct Im2Col {
  static constexpr std::string_view name = "Im2Col", domain = "ai.tandem";
  static constexpr uint32_t traits = moves_only;
  using Attributes = ColumnAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"X"}, {"block_shape", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& x = c.shape(0);
    check_spatial("X", x);
    Integers block;
    Shape shape{x[0], -1, -1};
    if (c.constant(1, block)) {
      const Windows w = column_windows(a, x, block);
      const bool known = w.kernel[0] > 0 && w.kernel[1] > 0 && w.kernel[2] > 0;
      if (x[1] >= 0 && known) shape[1] = x[1] * w.kernel_count();
      if (w.output[0] >= 0 && w.output[1] >= 0 && w.output[2] >= 0) shape[2] = w.output_count();
    }
    for (int64_t& d : shape)
      if (d == -1) d = c.fresh_symbol();
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.inputs[0].shape, &y = k.outputs[0].shape;
    const Windows w = column_windows(a, x, read_integers(k.inputs[1]));
    with_carrier(k.outputs[0].dtype, [&]<class T>(T) {
      runtime::parallel_for(x[0], 1, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n)
          runtime::to_columns(w, x[1], k.in<T>(0) + n * x[1] * w.input_count(), 0, y[2],
                              k.out<T>(0) + n * y[1] * y[2], y[2]);
      });
    });
  }
  /// The padded image's elements by index.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor& x = in[0];
    const Shape block = asked_shape(in[1]);
    const Windows w = column_windows(a, x.shape().codes(), block);
    check_known(w);
    const Tensor padded = pad(x, paddings(w, 1), "constant", nullptr, spatial_axes(x.rank()));
    const Tensor flat =
        reshape(padded, concat({shape_of(x, 0, 2), reshape(reduce_prod(shape_of(padded, 2)), {1})}, 0));
    const Tensor taken = gather(flat, places(w), 2);
    return {reshape(
        taken,
        concat({shape_of(x, 0, 1), shape_of(x, 1, 2) * w.kernel_count(), integers({w.output_count()})}, 0))};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    const Attributes odd{.dilations = {2, 1}, .pads = {1, 0, 1, 1}, .strides = {1, 2}};
    return {{{ramp({2, 2, 3, 4}), integers({2, 3})}, {}},
            {{ramp({1, 2, 4, 5}), integers({2, 2})}, boxed(odd)},
            {{ramp({2, 1, 5}), integers({3})}, {}},
            {{ramp({1, 1, 2, 3, 2}), integers({2, 2, 1})}, {}},
            {{zeros({0, 2, 3, 4}), integers({2, 3})}, {}}};
  }
};

struct Col2Im {
  static constexpr std::string_view name = "Col2Im";
  static constexpr int since = 18;
  using Attributes = ColumnAttributes;
  static constexpr std::array<InputDef, 3> inputs{{{"input", types::numeric},
                                                   {"image_shape", types::i64, 1, InputDef::parameter},
                                                   {"block_shape", types::i64, 2, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), image = shape_parameter(c, 1);
    TD_CHECK(x.rank() == 3, "the input has shape {}; batch, channels times block, and columns are needed", x);
    TD_CHECK(!image.empty() && image.rank() <= max_spatial,
             "image_shape has {} numbers; 1 to {} are supported", image.rank(), max_spatial);
    Shape shape{x[0], -1};
    for (int64_t d : image) shape.push_back(d);
    Integers block;
    if (c.constant(2, block)) {
      const Windows w = column_windows(a, shape, block);
      const int64_t elements = w.kernel_count(), columns = w.output_count();
      const bool known = w.kernel[0] > 0 && w.kernel[1] > 0 && w.kernel[2] > 0;
      TD_CHECK(!known || x[1] < 0 || x[1] % elements == 0,
               "dimension 1 of shape {} is not divisible by the {} elements of a block", x, elements);
      TD_CHECK(w.output[0] < 0 || w.output[1] < 0 || w.output[2] < 0 || x[2] < 0 || x[2] == columns,
               "shape {} has {} columns; blocks over an image of {} give {}", x, x[2], image, columns);
      if (known && x[1] >= 0) shape[1] = x[1] / elements;
    }
    if (shape[1] == -1) shape[1] = c.fresh_symbol();
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.inputs[0].shape, &y = k.outputs[0].shape;
    const Windows w = column_windows(a, y, read_integers(k.inputs[2]));
    const int64_t plane = w.input_count(), rows = w.kernel_count() * x[2];
    with_element(k.outputs[0].dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>)
        runtime::parallel_for(y[0] * y[1], 1, [&](int64_t begin, int64_t end) {
          for (int64_t c = begin; c < end; ++c)
            add(w, k.in<T>(0) + c * rows, x[2], plane, k.out<T>(0) + c * plane);
        });
    });
  }
  template <class T>
  static void add(const Windows& w, const T* columns, int64_t count, int64_t plane, T* y) {
    if constexpr (std::is_integral_v<T>) {  // unsigned, so that sums wrap
      using U = std::make_unsigned_t<T>;
      std::fill_n(y, plane, T{});
      runtime::add_columns(w, 1, reinterpret_cast<const U*>(columns), count, 0, count,
                           reinterpret_cast<U*>(y));
    } else if constexpr (std::is_same_v<T, Computed<T>>) {
      std::fill_n(y, plane, T{});
      runtime::add_columns(w, 1, columns, count, 0, count, y);
    } else {
      const Tensor sums = detail::empty_tensor(DType::f32, {plane});
      auto* p = detail::mutable_data<float>(sums);
      std::fill_n(p, plane, 0.f);
      runtime::add_columns(w, 1, columns, count, 0, count, p);
      for (int64_t i = 0; i < plane; ++i) y[i] = T(p[i]);
    }
  }
  /// Added up by index in the padded image.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    Shape image{1, 1}, padded;
    for (int64_t d : asked_shape(in[1])) image.push_back(d);
    const Windows w = column_windows(a, image, asked_shape(in[2]));
    check_known(w);
    int64_t area = 1;
    for (int d = max_spatial - w.rank; d < max_spatial; ++d) {
      padded.push_back(w.input[d] + w.before[d] + w.after[d]);
      area *= padded.back();
    }
    const Tensor first = shape_of(in[0], 0, 1), channels = shape_of(in[0], 1, 2) / w.kernel_count();
    const Tensor columns =
        reshape(in[0], concat({first, channels, integers({w.kernel_count() * w.output_count()})}, 0));
    const Tensor none = zeros(concat({first, channels, integers({area})}, 0), in[0].dtype());
    const Tensor sums = scatter_elements(none, expand(places(w), shape_of(columns)), columns, 2, "add");
    const Tensor whole = reshape(sums, concat({first, channels, integers(padded)}, 0));
    return {pad(whole, paddings(w, -1), "constant", nullptr, spatial_axes(2 + w.rank))};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {dispatch<Im2Col>(a, Operand(g.dy()), Operand(g.x(2))), {}, {}};
  }
  static std::vector<Sample> samples() {
    const Attributes odd{.dilations = {2, 1}, .pads = {1, 0, 1, 1}, .strides = {1, 2}};
    return {{{ramp({2, 12, 4}), integers({3, 4}), integers({2, 3})}, {}},
            {{ramp({1, 4, 12}), integers({4, 5}), integers({2, 2})}, boxed(odd)},
            {{ramp({2, 3, 3}), integers({5}), integers({3})}, {}},
            {{ramp({1, 8, 2}), integers({2, 3, 2}), integers({2, 2, 2})}, {}},
            {{zeros({0, 12, 4}), integers({3, 4}), integers({2, 3})}, {}}};
  }
};

Tensors Im2Col::gradient(const Gradient& g, const Attributes& a) {
  const Tensor image = shape_of(g.x(), 2);
  return {dispatch<Col2Im>(a, Operand(g.dy()), Operand(image), Operand(g.x(1))), {}};
}

constexpr const OpDef* image_table[] = {&op_def<DepthToSpace>, &op_def<SpaceToDepth>, &op_def<CenterCropPad>,
                                        &op_def<Im2Col>, &op_def<Col2Im>};

ColumnAttributes column_attributes(const ColumnOptions& o, int spatial) {
  return {spread(o.dilations, spatial), spread_pads(o.pads, spatial), spread(o.strides, spatial)};
}
/// How many numbers a list, or a tensor of them, holds.
int length(const Operand& list) {
  if (list.kind() == Operand::Kind::list) return list.list_size();
  const bool vector = list.is_tensor() && list.tensor_impl()->shape.rank() == 1;
  return vector ? static_cast<int>(std::max<int64_t>(0, list.tensor_impl()->shape[0])) : 0;
}

}  // namespace

std::span<const OpDef* const> image_ops() { return image_table; }

Tensor depth_to_space(const Operand& x, int64_t block, std::string_view mode) {
  return dispatch<DepthToSpace>({block, Word(mode)}, x);
}
Tensor space_to_depth(const Operand& x, int64_t block) { return dispatch<SpaceToDepth>({block}, x); }
Tensor center_crop_pad(const Operand& x, const Operand& shape, const Dims& axes) {
  return dispatch<CenterCropPad>({axes}, x, shape);
}
Tensor im2col(const Operand& x, const Operand& block_shape, const ColumnOptions& options) {
  return dispatch<Im2Col>(column_attributes(options, spatial_rank(x)), x, block_shape);
}
Tensor col2im(const Operand& columns, const Operand& image_shape, const Operand& block_shape,
              const ColumnOptions& options) {
  return dispatch<Col2Im>(column_attributes(options, length(image_shape)), columns, image_shape, block_shape);
}

}  // namespace tandem
