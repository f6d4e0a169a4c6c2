// Pad and Tile: results larger than their inputs, with the same elements again.

#include <algorithm>
#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

// ---- Pad

enum class PadMode { constant, reflect, edge, wrap };

/// How many elements each axis gets before and after.
struct Padding {
  int64_t before[max_rank] = {}, after[max_rank] = {};
};

void read_padding(const Integers& pads, const Integers* axes, int rank, Padding& p) {
  const int count = axes ? axes->size() : rank;
  TD_CHECK(pads.size() == 2 * count,
           "{} numbers were given for {} axes; there must be {}: those before, then "
           "those after",
           pads.size(), count, 2 * count);
  bool seen[max_rank] = {};
  for (int i = 0; i < count; ++i) {
    const int axis = InferContext::normalize_axis(axes ? (*axes)[i] : i, rank);
    TD_CHECK(!seen[axis], "axis {} is listed twice", axis);
    seen[axis] = true;
    p.before[axis] = pads[i];
    p.after[axis] = pads[count + i];
  }
}

/// The position in [0, kept) that element `i` of the padded axis comes from; `i` counts from the first kept
/// one.
int64_t source_position(PadMode mode, int64_t i, int64_t kept) {
  if (i >= 0 && i < kept) return i;
  if (mode == PadMode::edge || kept == 1) return i < 0 ? 0 : kept - 1;
  const int64_t period = mode == PadMode::wrap ? kept : 2 * (kept - 1);
  const int64_t at = ((i % period) + period) % period;
  return at < kept ? at : period - at;
}

struct Pad {
  static constexpr std::string_view name = "Pad";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    Word mode = "constant";
    static constexpr auto fields() { return std::tuple{field("mode", &Attributes::mode)}; }
  };
  static constexpr std::array<InputDef, 4> inputs{{{"data"},
                                                   {"pads", types::i64, 1, InputDef::parameter},
                                                   {"constant_value", types::all, 0, InputDef::optional},
                                                   {"axes", types::index, 2, InputDef::optional_parameter}}};
  static PadMode mode(const Attributes& a) {
    if (a.mode == "constant") return PadMode::constant;
    if (a.mode == "reflect") return PadMode::reflect;
    if (a.mode == "edge") return PadMode::edge;
    TD_CHECK(a.mode == "wrap",
             "mode \"{}\" is unknown; expected \"constant\", \"reflect\", \"edge\" or \"wrap\"",
             std::string_view(a.mode));
    return PadMode::wrap;
  }
  static void infer(InferContext& c, const Attributes& a) {
    const PadMode how = mode(a);
    Shape shape = c.shape(0);
    Integers pads, axes;
    const bool axes_known = !c.has(3) || c.constant(3, axes);
    if (!c.constant(1, pads) || !axes_known) {
      for (int i = 0; i < shape.rank(); ++i) shape[i] = c.fresh_symbol();
      c.output(c.dtype(0), shape);
      return;
    }
    Padding p;
    read_padding(pads, c.has(3) ? &axes : nullptr, shape.rank(), p);
    for (int i = 0; i < shape.rank(); ++i) {
      const int64_t before = p.before[i], after = p.after[i], size = shape[i];
      if (before == 0 && after == 0) continue;
      if (size < 0 || is_symbol(before) || is_symbol(after)) {
        shape[i] = c.fresh_symbol();
        continue;
      }
      const int64_t kept = size + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0);
      TD_CHECK(kept >= 0, "pads {} and {} cut more than the {} elements of axis {}", before, after, size, i);
      TD_CHECK(how == PadMode::constant || kept > 0 || std::max(before, after) <= 0,
               "axis {} has no elements that mode \"{}\" could repeat", i, std::string_view(a.mode));
      shape[i] = size + before + after;
    }
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &y = k.outputs[0];
    const int rank = x.shape.rank();
    Padding p;
    const Integers pads = read_integers(k.inputs[1]);
    Integers axes;
    if (k.has(3)) axes = read_integers(k.inputs[3]);
    read_padding(pads, k.has(3) ? &axes : nullptr, rank, p);
    if (y.shape.element_count() == 0) return;
    // The part of x that stays, and where it stands in y.
    Shape kept = x.shape;
    int64_t from = 0, to = 0;
    for (int i = 0; i < rank; ++i) {
      kept[i] += std::min<int64_t>(p.before[i], 0) + std::min<int64_t>(p.after[i], 0);
      from += std::max<int64_t>(-p.before[i], 0) * x.strides[i];
      to += std::max<int64_t>(p.before[i], 0) * y.strides[i];
    }
    const PadMode how = mode(a);
    with_carrier(y.dtype, [&]<class T>(T) {
      const T* source = k.in<T>(0) + (kept.element_count() == 0 ? 0 : from);
      T* target = k.out<T>(0);
      if (how == PadMode::constant) {
        std::fill_n(target, y.shape.element_count(), k.has(2) ? *k.in<T>(2) : T{});
        copy_strided(source, x.strides, target + to, y.strides, kept, sizeof(T));
      } else {
        fill_axis(how, p, kept, x, y, 0, source, target);
      }
    });
  }
  template <class T>
  static void fill_axis(PadMode how, const Padding& p, const Shape& kept, const View& x, const View& y,
                        int axis, const T* source, T* target) {
    if (axis == x.shape.rank()) {
      *target = *source;
      return;
    }
    const int64_t first = std::max<int64_t>(p.before[axis], 0);
    for (int64_t i = 0; i < y.shape[axis]; ++i)
      fill_axis(how, p, kept, x, y, axis + 1,
                source + source_position(how, i - first, kept[axis]) * x.strides[axis],
                target + i * y.strides[axis]);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Operand axes = g.has(3) ? Operand(g.x(3)) : Operand();
    const Tensor dy = g.dy();
    Tensors result;
    result.resize(g.input_count());
    if (mode(a) == PadMode::constant) {
      // What was added is cut off, what was cut off gets zeros. (The shape may not follow while tracing.)
      if (g.needs(0)) result[0] = reshape(pad(dy, -g.x(1), "constant", nullptr, axes), g.x().shape());
      if (g.has(2) && g.needs(2)) {
        const Tensor outside =
            pad(zeros(g.x().shape(), DType::boolean), g.x(1), "constant", Operand(true), axes);
        result[2] = reshape(sum(where(outside, dy, zeros_like(dy))), g.x(2).shape());
      }
    } else if (g.needs(0)) {
      // Each element's gradient goes back to where the element came from.
      const Tensor whole = zeros(g.x().shape(), dy.dtype());
      const Tensor positions = reshape(arange(0, size_of(whole)), g.x().shape());
      const Tensor origin = reshape(pad(positions, g.x(1), std::string_view(a.mode), nullptr, axes), {-1});
      result[0] =
          reshape(scatter_elements(reshape(whole, {-1}), origin, reshape(dy, {-1}), 0, "add"), g.x().shape());
    }
    return result;
  }
  static std::vector<Sample> samples() {
    const Attributes reflect{"reflect"}, edge{"edge"}, wrap{"wrap"};
    const Tensor x = ramp({2, 3}), all_sides = integers({1, 2, 0, 1});
    return {{{x, all_sides}, {}},
            {{x, all_sides, Tensor(0.5f)}, {}},
            {{transpose(x), integers({-1, 1}), Tensor(2.f), integers({0})}, {}},
            {{x, integers({-1, 2}), {}, integers({-1})}, boxed(reflect)},
            {{x, all_sides}, boxed(reflect)},
            {{x, all_sides}, boxed(edge)},
            {{x, integers({3, 0, 0, 4})}, boxed(wrap)},
            {{ramp({0, 2}), integers({1, 0, 1, 0})}, {}},
            {{cast(x, DType::i16), all_sides, cast(Tensor(3.f), DType::i16)}, {}},
            {{cast(x, DType::boolean), all_sides}, {}}};
  }
};

// ---- Tile

/// The whole of `in`, from dimension `axis` on, `repeats` times along each. Returns the end of what was
/// written.
template <class T>
T* tile_axis(const View& x, const Shape& out, int axis, const T* source, T* target) {
  if (axis == x.shape.rank()) {
    *target = *source;
    return target + 1;
  }
  T* const begin = target;
  const int64_t size = x.shape[axis];
  if (axis == x.shape.rank() - 1) {
    target = std::copy_n(source, size, target);
  } else {
    for (int64_t i = 0; i < size; ++i)
      target = tile_axis(x, out, axis + 1, source + i * x.strides[axis], target);
  }
  const int64_t block = target - begin;
  for (int64_t i = size; i < out[axis]; i += size) target = std::copy_n(begin, block, target);
  return target;
}

struct Tile {
  static constexpr std::string_view name = "Tile";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"repeats", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) {
    Shape shape = c.shape(0);
    Integers repeats;
    if (!c.constant(1, repeats)) {
      for (int i = 0; i < shape.rank(); ++i) shape[i] = c.fresh_symbol();
      c.output(c.dtype(0), shape);
      return;
    }
    TD_CHECK(repeats.size() == shape.rank(), "{} repeats were given for the {} dimensions of shape {}",
             repeats.size(), shape.rank(), shape);
    for (int i = 0; i < shape.rank(); ++i) {
      TD_CHECK(repeats[i] >= 0 || is_symbol(repeats[i]), "repeat {} of axis {} is negative", repeats[i], i);
      if (repeats[i] == 1) continue;
      if (shape[i] == 1)
        shape[i] = repeats[i];
      else if (shape[i] < 0 || repeats[i] < 0)
        shape[i] = shape[i] == 0 || repeats[i] == 0 ? 0 : c.fresh_symbol();
      else
        shape[i] *= repeats[i];
    }
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k) {
    const View &x = k.inputs[0], &y = k.outputs[0];
    if (y.shape.element_count() == 0) return;
    with_carrier(x.dtype, [&]<class T>(T) { tile_axis(x, y.shape, 0, k.in<T>(0), k.out<T>(0)); });
  }
  static Tensors gradient(const Gradient& g);
  static std::vector<Sample> samples() {
    return {{{ramp({2, 3}), integers({2, 1})}, {}},
            {{ramp({2, 3}), integers({1, 3})}, {}},
            {{transpose(ramp({2, 3})), integers({2, 2})}, {}},
            {{Tensor(2.f), integers({})}, {}},
            {{ramp({2, 3}), integers({0, 1})}, {}},
            {{ramp({0, 3}), integers({2, 2})}, {}},
            {{cast(ramp({3}), DType::u8), integers({2})}, {}}};
  }
};

/// Sums the repeats of a tile up, in order: Tile's gradient.
struct TileGradient {
  static constexpr std::string_view name = "TileGradient", domain = "ai.tandem";
  static constexpr std::array<InputDef, 3> inputs{{{"gradient", types::floating},
                                                   {"shape", types::i64, 1, InputDef::parameter},
                                                   {"repeats", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), shape_parameter(c, 1)); }
  template <class T>
  static const T* add_axis(const View& y, const Shape& in, int axis, const T* source, Computed<T>* sums) {
    if (axis == in.rank()) {
      *sums += static_cast<Computed<T>>(*source);
      return source + 1;
    }
    for (int64_t i = 0; i < in[axis]; ++i)
      source = add_axis(y, in, axis + 1, source, sums + i % y.shape[axis] * y.strides[axis]);
    return source;
  }
  static void kernel(const KernelContext& k) {
    const View& y = k.outputs[0];
    const int64_t count = y.shape.element_count();
    if (count == 0) return;
    auto run = [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        std::fill_n(k.out<T>(0), count, T{});
        add_axis(y, k.inputs[0].shape, 0, k.in<T>(0), k.out<T>(0));
      } else if constexpr (std::is_same_v<Computed<T>, float>) {
        // Half and bfloat16 add up in float and round once.
        const Tensor sums = detail::empty_tensor(DType::f32, y.shape);
        auto* p = detail::mutable_data<float>(sums);
        std::fill_n(p, count, 0.f);
        add_axis(y, k.inputs[0].shape, 0, k.in<T>(0), p);
        for (int64_t i = 0; i < count; ++i) k.out<T>(0)[i] = T(p[i]);
      }
    };
    with_element(y.dtype, run);
  }
  // Repeats get axes of their own, which are summed.
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const int rank = in[0].rank();
    Dims repeated;
    for (int i = 0; i < rank; ++i) repeated.push_back(2 * i);
    const Tensor sizes = reshape(concat({unsqueeze(in[2], {1}), unsqueeze(in[1], {1})}, 1), {-1});
    return {reduce_sum(reshape(in[0], sizes), repeated)};
  }
  static Tensors gradient(const Gradient& g) { return {tile(g.dy(), g.x(2)), {}, {}}; }
  static std::vector<Sample> samples() {
    return {{{ramp({4, 3}), integers({2, 3}), integers({2, 1})}, {}},
            {{ramp({0, 3}), integers({2, 3}), integers({0, 1})}, {}},
            {{cast(ramp({4}), DType::f16), integers({2}), integers({2})}, {}, false}};
  }
};

Tensors Tile::gradient(const Gradient& g) {
  return {dispatch<TileGradient>({}, Operand(g.dy()), Operand(g.x().shape()), Operand(g.x(1))), {}};
}

constexpr const OpDef* pad_table[] = {&op_def<Pad>, &op_def<Tile>, &op_def<TileGradient>};

}  // namespace

std::span<const OpDef* const> pad_ops() { return pad_table; }

Tensor pad(const Operand& x, const Operand& pads, std::string_view mode, const Operand& value,
           const Operand& axes) {
  return dispatch<Pad>({Word(mode)}, x, pads, value, axes);
}
Tensor tile(const Operand& x, const Operand& repeats) { return dispatch<Tile>({}, x, repeats); }

}  // namespace tandem
