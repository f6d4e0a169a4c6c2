// Ranges of a tensor: Slice, its gradient, Split.

#include <algorithm>
#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

/// What Slice does to one dimension.
struct Range {
  int64_t start = 0, step = 1, size = 0;
};

/// NumPy's rules: negative positions count from the end, ranges are cut to fit.
Range cut_range(int64_t dim, int64_t start, int64_t end, int64_t step) {
  const int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? dim : dim - 1;
  start = std::clamp(start < 0 ? start + dim : start, lowest, highest);
  end = std::clamp(end < 0 ? end + dim : end, lowest, highest);
  Range r{start, step, 0};
  if (step > 0 && end > start)
    r.size = 1 + (end - start - 1) / step;
  else if (step < 0 && start > end)
    r.size = 1 + (start - end - 1) / -std::max(step, -INT64_MAX);
  return r;
}

/// The integers of starts, ends, axes and steps. One entry of `ranges` a dimension of `shape`; sizes that
/// depend on symbolic dimensions come from `fresh`.
template <class Fresh>
void slice_ranges(const Shape& shape, const Integers& starts, const Integers& ends, const Integers* axes,
                  const Integers* steps, Fresh&& fresh, Range* ranges) {
  TD_CHECK(starts.size() == ends.size() && (!axes || axes->size() == starts.size()) &&
               (!steps || steps->size() == starts.size()),
           "starts, ends, axes and steps have {}, {}, {} and {} entries; all need the same number",
           starts.size(), ends.size(), axes ? axes->size() : starts.size(),
           steps ? steps->size() : starts.size());
  TD_CHECK(starts.size() <= shape.rank(), "{} ranges were given for the {} dimensions of shape {}",
           starts.size(), shape.rank(), shape);
  for (int i = 0; i < shape.rank(); ++i) ranges[i] = {0, 1, shape[i]};
  bool seen[max_rank] = {};
  for (int i = 0; i < starts.size(); ++i) {
    const int axis = InferContext::normalize_axis(axes ? (*axes)[i] : i, shape.rank());
    TD_CHECK(!seen[axis], "axis {} is listed twice", axis);
    seen[axis] = true;
    const int64_t dim = shape[axis], start = starts[i], end = ends[i], step = steps ? (*steps)[i] : 1;
    TD_CHECK(step != 0, "the step of axis {} is 0", axis);
    if (dim >= 0 && !is_symbol(start) && !is_symbol(end)) {
      ranges[axis] = cut_range(dim, start, end, step);
      continue;
    }
    const bool whole =
        (start == 0 && step == 1 && (end == dim || end >= -symbol_base)) ||
        (step == -1 && (start == -1 || start >= -symbol_base) && end <= symbol_base && !is_symbol(end));
    ranges[axis] = {start, step, whole ? dim : fresh()};
  }
}

/// As above, for arguments first to first+3 of an op; false while they are not all known.
bool known_ranges(const InferContext& c, int first, const Shape& shape, Range* ranges) {
  Integers starts, ends, axes, steps;
  if (!c.constant(first, starts) || !c.constant(first + 1, ends)) return false;
  const bool has_axes = c.has(first + 2), has_steps = c.has(first + 3);
  if ((has_axes && !c.constant(first + 2, axes)) || (has_steps && !c.constant(first + 3, steps)))
    return false;
  slice_ranges(
      shape, starts, ends, has_axes ? &axes : nullptr, has_steps ? &steps : nullptr,
      [&] { return c.fresh_symbol(); }, ranges);
  return true;
}

Operand optional(const Gradient& g, int i) { return g.has(i) ? Operand(g.x(i)) : Operand(); }

struct Slice {
  static constexpr std::string_view name = "Slice";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 5> inputs{{{"data"},
                                                   {"starts", types::index, 1, InputDef::parameter},
                                                   {"ends", types::index, 1, InputDef::parameter},
                                                   {"axes", types::index, 1, InputDef::optional_parameter},
                                                   {"steps", types::index, 1, InputDef::optional_parameter}}};
  static void infer(InferContext& c) {
    const Shape& in = c.shape(0);
    Shape shape = in;
    Range ranges[max_rank];
    if (known_ranges(c, 1, in, ranges)) {
      for (int i = 0; i < in.rank(); ++i) shape[i] = ranges[i].size;
    } else {
      // Dimensions that are certainly not listed stay.
      bool cut[max_rank];
      std::fill_n(cut, max_rank, !c.has(3));
      Integers axes;
      if (c.has(3)) {
        const bool known = c.constant(3, axes);
        std::fill_n(cut, max_rank, !known);
        for (int64_t axis : axes) cut[InferContext::normalize_axis(axis, in.rank())] = true;
      } else if (const int64_t count = c.shape(1).rank() == 1 ? c.shape(1)[0] : -1; count >= 0) {
        for (int i = 0; i < in.rank(); ++i) cut[i] = i < count;
      }
      for (int i = 0; i < in.rank(); ++i)
        if (cut[i]) shape[i] = c.fresh_symbol();
    }
    c.output(c.dtype(0), shape);
  }
  static bool view(const InferContext& c, const NoAttributes&, const View& in, const Shape& out,
                   ViewResult& result) {
    Range ranges[max_rank];
    TD_ASSERT(known_ranges(c, 1, in.shape, ranges));
    for (int i = 0; i < in.shape.rank(); ++i) {
      // A step past the end is never taken, and may be huge.
      result.strides.push_back(ranges[i].size > 1 ? in.strides[i] * ranges[i].step : in.strides[i]);
      result.offset += ranges[i].start * in.strides[i];
    }
    if (out.element_count() == 0) result.offset = 0;  // nothing is read; stay inside the buffer
    return true;
  }
  static Tensors gradient(const Gradient& g);
  static std::vector<Sample> samples();
};

/// Zeros of a shape with the gradient written into the range that Slice would take: Slice's gradient.
struct SliceGradient {
  static constexpr std::string_view name = "SliceGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 6> inputs{{{"gradient"},
                                                   {"shape", types::i64, 1, InputDef::parameter},
                                                   {"starts", types::index, 2, InputDef::parameter},
                                                   {"ends", types::index, 2, InputDef::parameter},
                                                   {"axes", types::index, 2, InputDef::optional_parameter},
                                                   {"steps", types::index, 2, InputDef::optional_parameter}}};
  static void infer(InferContext& c) {
    const Shape shape = shape_parameter(c, 1);
    TD_CHECK(shape.rank() == c.rank(0), "a gradient of shape {} was given for the shape {}", c.shape(0),
             shape);
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k) {
    const View &from = k.inputs[0], &to = k.outputs[0];
    const Integers starts = read_integers(k.inputs[2]), ends = read_integers(k.inputs[3]);
    Integers axes, steps;
    if (k.has(4)) axes = read_integers(k.inputs[4]);
    if (k.has(5)) steps = read_integers(k.inputs[5]);
    Range ranges[max_rank];
    slice_ranges(
        to.shape, starts, ends, k.has(4) ? &axes : nullptr, k.has(5) ? &steps : nullptr,
        [] { return int64_t{0}; }, ranges);
    const size_t size = size_of(to.dtype);
    std::memset(to.data, 0, static_cast<size_t>(to.shape.element_count()) * size);
    int64_t offset = 0;
    Strides strides;
    for (int i = 0; i < to.shape.rank(); ++i) {
      TD_CHECK(ranges[i].size == from.shape[i], "the gradient has shape {} where the range has {} in axis {}",
               from.shape, ranges[i].size, i);
      offset += ranges[i].start * to.strides[i];
      strides.push_back(ranges[i].size > 1 ? to.strides[i] * ranges[i].step : to.strides[i]);
    }
    if (from.shape.element_count() == 0) return;
    copy_strided(from.data, contiguous_strides(from.shape),
                 static_cast<std::byte*>(to.data) + offset * static_cast<int64_t>(size), strides, from.shape,
                 size);
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const auto given = [&](size_t i) {
      return i < in.size() && in[i].defined() ? Operand(in[i]) : Operand();
    };
    // Where each element of the range lies in the flat result.
    const Tensor count = reduce_prod(in[1], {0});
    const Tensor places = slice(reshape(arange(count), in[1]), in[2], in[3], given(4), given(5));
    const Tensor flat = scatter_elements(zeros(reshape(count, {1}), in[0].dtype()), reshape(places, {-1}),
                                         reshape(in[0], {-1}), 0);
    return {reshape(flat, in[1])};
  }
  static Tensors gradient(const Gradient& g) {
    Tensors result{slice(g.dy(), g.x(2), g.x(3), optional(g, 4), optional(g, 5))};
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples();
};

Tensors Slice::gradient(const Gradient& g) {
  Tensors result{dispatch<SliceGradient>({}, Operand(g.dy()), Operand(g.x().shape()), Operand(g.x(1)),
                                         Operand(g.x(2)), optional(g, 3), optional(g, 4))};
  result.resize(g.input_count());
  return result;
}

std::vector<Sample> Slice::samples() {
  const Tensor x = ramp({3, 4, 5});
  const auto axes = [](std::initializer_list<int64_t> list) { return integers(Dims(list)); };
  return {{{x, axes({1}), axes({3})}, {}},
          {{x, axes({0, -3}), axes({INT64_MAX, -1}), axes({0, -1})}, {}},
          {{x, axes({-1, 4}), axes({INT64_MIN, 0}), axes({1, 2}), axes({-1, -2})}, {}},
          {{transpose(x), axes({1, 0}), axes({5, 3}), axes({0, 2}), axes({2, 2})}, {}},
          {{x, axes({2}), axes({2})}, {}},
          {{ramp({0, 3}), axes({1}), axes({2}), axes({1})}, {}},
          {{cast(x, DType::i32), Tensor({1}), Tensor({2}), Tensor({-2})}, {}},
          {{cast(x, DType::boolean), axes({1}), axes({3})}, {}}};
}

std::vector<Sample> SliceGradient::samples() {
  return {{{ramp({2, 2}), integers({3, 4}), integers({1, -1}), integers({3, INT64_MIN}), integers({0, 1}),
            integers({1, -2})},
           {}},
          {{ramp({0, 4}), integers({3, 4}), integers({1}), integers({1})}, {}}};
}

struct Split {
  static constexpr std::string_view name = "Split";
  static constexpr int since = 18;
  static constexpr uint32_t traits = moves_only;
  static constexpr int outputs = -1;
  struct Attributes {
    int64_t axis = 0, num_outputs = 0;  // 0: told by `split`
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("num_outputs", &Attributes::num_outputs)};
    }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"split", types::i64, 1, InputDef::optional_parameter}}};
  /// The sizes of the parts. They are unknown, as fresh symbols, only while tracing.
  static Integers sizes(const InferContext& c, const Attributes& a, int64_t dim) {
    Integers parts;
    if (c.has(1)) {
      if (!c.constant(1, parts)) {
        TD_CHECK(a.num_outputs > 0 || (c.shape(1).rank() == 1 && c.shape(1)[0] >= 0),
                 "the number of parts must be known while tracing");
        const int64_t count = a.num_outputs > 0 ? a.num_outputs : c.shape(1)[0];
        for (int64_t i = 0; i < count; ++i) parts.push_back(c.fresh_symbol());
        return parts;
      }
      TD_CHECK(a.num_outputs == 0 || a.num_outputs == parts.size(),
               "{} parts were asked for, but {} sizes given", a.num_outputs, parts.size());
      int64_t total = 0;
      bool known = dim >= 0;
      for (int64_t part : parts) {
        TD_CHECK(part >= 0 || is_symbol(part), "the part size {} is negative", part);
        known = known && part >= 0;
        total += part;
      }
      TD_CHECK(!known || total == dim, "the parts' sizes sum to {}; axis {} has size {}", total, a.axis, dim);
      return parts;
    }
    TD_CHECK(a.num_outputs > 0, "neither the number of parts nor their sizes were given");
    // ONNX: equal parts, the last one smaller when they don't divide.
    for (int64_t i = 0; i < a.num_outputs; ++i) {
      if (dim < 0) {
        parts.push_back(a.num_outputs == 1 ? dim : c.fresh_symbol());
        continue;
      }
      const int64_t size = (dim + a.num_outputs - 1) / a.num_outputs;
      parts.push_back(std::clamp<int64_t>(dim - i * size, 0, size));
    }
    return parts;
  }
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const int axis = InferContext::normalize_axis(a.axis, shape.rank());
    for (int64_t part : sizes(c, a, shape[axis])) {
      shape[axis] = part;
      c.output(c.dtype(0), shape);
    }
  }
  static bool view(const InferContext& c, const Attributes& a, const View& in, const Shape& out,
                   ViewResult& result) {
    const int axis = InferContext::normalize_axis(a.axis, in.shape.rank());
    result.strides = in.strides;
    if (out.element_count() == 0) return true;
    const Integers parts = sizes(c, a, in.shape[axis]);
    for (int i = 0; i < result.output; ++i) result.offset += parts[i] * in.strides[axis];
    return true;
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    std::vector<Tensor> parts;
    for (int i = 0; i < g.output_count(); ++i) parts.push_back(g.dy(i));
    Tensors result{concat(parts, a.axis)};
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples() {
    const Attributes two{.num_outputs = 2}, three{.axis = -1, .num_outputs = 3}, sized{.axis = 1};
    return {{{ramp({4, 3})}, boxed(two)},
            {{transpose(ramp({5, 2}))}, boxed(three)},
            {{ramp({2, 4}), integers({1, 0, 3})}, boxed(sized)},
            {{ramp({0, 3})}, boxed(two)},
            {{cast(ramp({4, 3}), DType::i64)}, boxed(two)}};
  }
};

constexpr const OpDef* slice_table[] = {&op_def<Slice>, &op_def<SliceGradient>, &op_def<Split>};

std::vector<Tensor> to_vector(Tensors parts) {
  std::vector<Tensor> result;
  for (Tensor& t : parts) result.push_back(std::move(t));
  return result;
}

}  // namespace

std::span<const OpDef* const> slice_ops() { return slice_table; }

Tensor slice(const Operand& x, const Operand& starts, const Operand& ends, const Operand& axes,
             const Operand& steps) {
  return dispatch<Slice>({}, x, starts, ends, axes, steps);
}

std::vector<Tensor> split(const Operand& x, const Operand& parts, int64_t axis) {
  if (parts.is_number())
    return to_vector(dispatch_all<Split>({.axis = axis, .num_outputs = parts.integer()}, x));
  return to_vector(dispatch_all<Split>({.axis = axis}, x, parts));
}

}  // namespace tandem
