// Writing by index: ScatterElements, ScatterND.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

enum class Combination { none, add, mul, max, min };

Combination parse_reduction(const Word& word) {
  if (word == "none") return Combination::none;
  if (word == "add") return Combination::add;
  if (word == "mul") return Combination::mul;
  if (word == "max") return Combination::max;
  TD_CHECK(word == "min",
           "reduction \"{}\" is unknown; expected \"none\", \"add\", \"mul\", \"max\" or \"min\"",
           std::string_view(word));
  return Combination::min;
}

/// a and b as the op of that name combines them: integers wrap, bool counts 0 and 1, NaN wins, -0 < +0.
template <class T>
T combine(Combination reduction, T a, T b) {
  if constexpr (std::is_same_v<T, bool>) {
    const bool either = reduction == Combination::add || reduction == Combination::max;
    return either ? a || b : a && b;
  } else if constexpr (std::is_integral_v<T>) {
    using Wide = std::make_unsigned_t<std::common_type_t<T, int>>;  // wraps without undefined behaviour
    switch (reduction) {
      case Combination::add:
        return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
      case Combination::mul:
        return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
      case Combination::max:
        return std::max(a, b);
      default:
        return std::min(a, b);
    }
  } else {
    const auto x = static_cast<Computed<T>>(a), y = static_cast<Computed<T>>(b);
    switch (reduction) {
      case Combination::add:
        return T(x + y);
      case Combination::mul:
        return T(x * y);
      default:
        break;
    }
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) ? a : b;
    const bool a_below = x < y || (x == y && std::signbit(x));
    return a_below == (reduction == Combination::min) ? a : b;
  }
}

/// The gradients of data and updates, given how to scatter into a tensor and how to gather at the indices.
template <class Scatter, class Collect>
void scatter_gradient(const Gradient& g, Combination reduction, Scatter&& scatter, Collect&& collect,
                      Tensors& result) {
  const Tensor dy = g.dy();
  const Tensor &data = g.x(0), &updates = g.x(2), &y = g.y();
  const DType dtype = dy.dtype();
  switch (reduction) {
    case Combination::none:
      if (g.needs(0)) result[0] = scatter(dy, zeros_like(updates), "none");
      if (g.needs(2)) result[2] = collect(dy);
      return;
    case Combination::add:
      if (g.needs(0)) result[0] = dy;
      if (g.needs(2)) result[2] = collect(dy);
      return;
    case Combination::mul: {
      // The product of the other factors, which a zero among them must not turn into 0/0: the product of all
      // that are not zero, and how many are.
      const Tensor data_zero = equal(data, 0), updates_zero = equal(updates, 0);
      const Tensor factors = scatter(where(data_zero, ones_like(data), data),
                                     where(updates_zero, ones_like(updates), updates), "mul");
      const Tensor zero_count = scatter(cast(data_zero, dtype), cast(updates_zero, dtype), "add");
      auto others = [](const Tensor& own, const Tensor& own_zero, const Tensor& product,
                       const Tensor& count) {
        const Tensor none = zeros_like(product);
        return where(own_zero, where(equal(count, 1), product, none),
                     where(equal(count, 0), product / where(own_zero, ones_like(own), own), none));
      };
      if (g.needs(0)) result[0] = dy * others(data, data_zero, factors, zero_count);
      if (g.needs(2))
        result[2] = collect(dy) * others(updates, updates_zero, collect(factors), collect(zero_count));
      return;
    }
    default: {
      // Ties share the gradient equally.
      const Tensor data_wins = equal(data, y), updates_win = equal(updates, collect(y));
      const Tensor share = dy / scatter(cast(data_wins, dtype), cast(updates_win, dtype), "add");
      if (g.needs(0)) result[0] = where(data_wins, share, zeros_like(share));
      if (g.needs(2)) result[2] = where(updates_win, collect(share), zeros_like(updates));
    }
  }
}

/// What is scattered into begins as a copy of x.
void begin_with(const KernelContext& k, const View& x) {
  const size_t bytes = static_cast<size_t>(x.shape.element_count()) * size_of(x.dtype);
  if (bytes > 0) std::memcpy(k.outputs[0].data, x.data, bytes);  // nothing may have no address
}

// ---- ScatterElements

struct ScatterElements {
  static constexpr std::string_view name = "ScatterElements";
  static constexpr int since = 18;
  struct Attributes {
    int64_t axis = 0;
    Word reduction = "none";
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("reduction", &Attributes::reduction)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"data"}, {"indices", types::index, 1, InputDef::no_gradient}, {"updates"}}};
  static void infer(InferContext& c, const Attributes& a) {
    parse_reduction(a.reduction);
    const Shape &x = c.shape(0), &indices = c.shape(1), &updates = c.shape(2);
    const int axis = InferContext::normalize_axis(a.axis, x.rank());
    bool fits = x.rank() == indices.rank();
    for (int i = 0; fits && i < x.rank(); ++i)
      fits = i == axis || indices[i] < 0 || x[i] < 0 || indices[i] <= x[i];
    TD_CHECK(fits, "indices of shape {} reach beyond shape {} outside axis {}", indices, x, axis);
    bool same = indices.rank() == updates.rank();
    for (int i = 0; same && i < x.rank(); ++i)
      same = indices[i] == updates[i] || indices[i] < 0 || updates[i] < 0;
    TD_CHECK(same, "indices have shape {}, updates {}; they must be equal", indices, updates);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &indices = k.inputs[1];
    const int axis = InferContext::normalize_axis(a.axis, x.shape.rank());
    const Combination reduction = parse_reduction(a.reduction);
    begin_with(k, x);
    Strides strides = contiguous_strides(x.shape);
    const int64_t step = strides[axis];
    strides[axis] = 0;
    auto each = [&](auto&& f) {
      for_each_offset(indices.shape, strides, [&](int64_t i, int64_t offset) {
        f(i, offset + normalize_index(integer_at(indices, i), x.shape[axis], axis) * step);
      });
    };
    if (reduction == Combination::none)
      with_carrier(x.dtype, [&]<class T>(T) {
        each([&, to = k.out<T>(0), from = k.in<T>(2)](int64_t i, int64_t at) { to[at] = from[i]; });
      });
    else
      with_element(x.dtype, [&]<class T>(T) {
        each([&, to = k.out<T>(0), from = k.in<T>(2)](int64_t i, int64_t at) {
          to[at] = combine(reduction, to[at], from[i]);
        });
      });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Tensors result{{}, {}, {}};
    const Tensor& indices = g.x(1);
    scatter_gradient(
        g, parse_reduction(a.reduction),
        [&](const Tensor& data, const Tensor& updates, std::string_view how) {
          return scatter_elements(data, indices, updates, a.axis, how);
        },
        [&](const Tensor& whole) { return gather_elements(whole, indices, a.axis); }, result);
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({3, 4}), updates({{1.f, -0.5f, 3.f, 0.5f}, {2.f, 1.f, -1.f, 1.5f}});
    const Tensor different({{0, 2, -1, 1}, {2, 0, 1, 0}}, DType::i64);
    const Tensor equal_ones({{0, 2, -1, 1}, {0, 2, 1, -2}}, DType::i64);
    return {
        {{x, different, updates}, {}},
        {{x, equal_ones, updates}, boxed(Attributes{0, "add"})},
        {{x, equal_ones, updates}, boxed(Attributes{0, "mul"})},
        {{x, equal_ones, updates}, boxed(Attributes{0, "max"})},
        {{x, equal_ones, updates}, boxed(Attributes{0, "min"})},
        {{transpose(x), Tensor({{2}, {0}}), Tensor({{5.f}, {6.f}})}, boxed(Attributes{-1, "none"})},
        {{x, zeros({0, 4}, DType::i64), zeros({0, 4})}, {}},
        {{cast(x, DType::i32), equal_ones, cast(updates, DType::i32)}, boxed(Attributes{0, "mul"}), false},
        {{cast(x, DType::boolean), equal_ones, cast(updates, DType::boolean)},
         boxed(Attributes{0, "add"}),
         false}};
  }
};

// ---- ScatterND

struct ScatterND {
  static constexpr std::string_view name = "ScatterND";
  static constexpr int since = 18;
  struct Attributes {
    Word reduction = "none";
    static constexpr auto fields() { return std::tuple{field("reduction", &Attributes::reduction)}; }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"data"}, {"indices", types::i64, 1, InputDef::no_gradient}, {"updates"}}};
  static void infer(InferContext& c, const Attributes& a) {
    parse_reduction(a.reduction);
    const Shape &x = c.shape(0), &indices = c.shape(1), &updates = c.shape(2);
    TD_CHECK(x.rank() > 0 && indices.rank() > 0, "shapes {} and {}: both need at least one dimension", x,
             indices);
    TD_CHECK(indices.back() >= 0, "the length of the coordinates must be known while tracing");
    const int64_t length = indices.back();
    TD_CHECK(length <= x.rank(), "coordinates of length {} do not fit the {} dimensions of shape {}", length,
             x.rank(), x);
    Shape expected;
    for (int i = 0; i + 1 < indices.rank(); ++i) expected.push_back(indices[i]);
    for (int i = static_cast<int>(length); i < x.rank(); ++i) expected.push_back(x[i]);
    bool same = expected.rank() == updates.rank();
    for (int i = 0; same && i < expected.rank(); ++i)
      same = expected[i] == updates[i] || expected[i] < 0 || updates[i] < 0;
    TD_CHECK(same, "updates have shape {}; indices of shape {} into shape {} need {}", updates, indices, x,
             expected);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &indices = k.inputs[1];
    const Combination reduction = parse_reduction(a.reduction);
    begin_with(k, x);
    const int length = static_cast<int>(indices.shape.back());
    const int64_t points = product(indices.shape, 0, indices.shape.rank() - 1);
    const int64_t block = product(x.shape, length, x.shape.rank());
    const Strides strides = contiguous_strides(x.shape);
    auto each = [&](auto&& f) {
      for (int64_t p = 0; p < points; ++p) {
        int64_t offset = 0;
        for (int i = 0; i < length; ++i)
          offset += strides[i] * normalize_index(integer_at(indices, p * length + i), x.shape[i], i);
        f(p * block, offset);
      }
    };
    if (reduction == Combination::none)
      with_carrier(x.dtype, [&]<class T>(T) {
        each([&, to = k.out<T>(0), from = k.in<T>(2)](int64_t source, int64_t at) {
          std::copy_n(from + source, block, to + at);
        });
      });
    else
      with_element(x.dtype, [&]<class T>(T) {
        each([&, to = k.out<T>(0), from = k.in<T>(2)](int64_t source, int64_t at) {
          for (int64_t i = 0; i < block; ++i) to[at + i] = combine(reduction, to[at + i], from[source + i]);
        });
      });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Tensors result{{}, {}, {}};
    const Tensor& indices = g.x(1);
    scatter_gradient(
        g, parse_reduction(a.reduction),
        [&](const Tensor& data, const Tensor& updates, std::string_view how) {
          return scatter_nd(data, indices, updates, how);
        },
        [&](const Tensor& whole) { return gather_nd(whole, indices); }, result);
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({3, 4}), rows({{2}, {0}}, DType::i64),
                 updates({{1.f, -0.5f, 3.f, 0.5f}, {2.f, 1.f, -1.f, 1.5f}});
    const Tensor points({{0, 1}, {-1, 2}, {0, 1}}, DType::i64), values({1.f, 2.f, -3.f});
    std::vector<Sample> all{
        {{x, rows, updates}, {}},
        {{x, points, values}, boxed(Attributes{"add"})},
        {{x, points, values}, boxed(Attributes{"mul"})},
        {{x, points, values}, boxed(Attributes{"max"})},
        {{transpose(x), points, values}, boxed(Attributes{"min"})},
        {{x, zeros({0, 2}, DType::i64), zeros({0})}, {}},
        {{cast(x, DType::i64), points, cast(values, DType::i64)}, boxed(Attributes{"mul"}), false},
        {{cast(x, DType::boolean), rows, cast(updates, DType::boolean)}, {}}};
    // The rank depends on the coordinates' length.
    for (Sample& s : all) s.unknown_sizes = s.inputs[1].shape().codes().back() == 1;
    return all;
  }
};

constexpr const OpDef* scatter_table[] = {&op_def<ScatterElements>, &op_def<ScatterND>};

}  // namespace

std::span<const OpDef* const> scatter_ops() { return scatter_table; }

Tensor scatter_elements(const Operand& x, const Operand& indices, const Operand& updates, int64_t axis,
                        std::string_view reduction) {
  return dispatch<ScatterElements>({axis, Word(reduction)}, x, indices, updates);
}
Tensor scatter_nd(const Operand& x, const Operand& indices, const Operand& updates,
                  std::string_view reduction) {
  const Tensor wide = wide_indices(indices);
  return dispatch<ScatterND>({Word(reduction)}, x, wide.defined() ? Operand(wide, x.location()) : indices,
                             updates);
}

}  // namespace tandem
