// Ops that pick or mark elements by position or size: OneHot, TopK, Trilu.

#include <algorithm>
#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

// ---- OneHot

struct OneHot {
  static constexpr std::string_view name = "OneHot";
  static constexpr int since = 28;
  struct Attributes {
    int64_t axis = -1;
    static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"indices", types::numeric, 0, InputDef::no_gradient},
       {"depth", types::numeric, 1, InputDef::parameter | InputDef::no_gradient},
       {"values", types::all, 2}}};
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const int axis = InferContext::normalize_axis(a.axis, shape.rank() + 1);
    TD_CHECK(c.shape(1).element_count() == 1, "depth has shape {}; it must be one number", c.shape(1));
    const Shape& values = c.shape(2);
    TD_CHECK(values.rank() == 1 && (values[0] == 2 || values[0] < 0),
             "values have shape {}; they must be (2,): off and on", values);
    Integers depth;
    if (!c.constant(1, depth)) depth.push_back(c.fresh_symbol());
    TD_CHECK(depth[0] >= 0 || is_symbol(depth[0]), "depth {} is negative", depth[0]);
    shape.insert(axis, depth[0]);
    c.output(c.dtype(2), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &indices = k.inputs[0], &y = k.outputs[0];
    const int axis = InferContext::normalize_axis(a.axis, y.shape.rank());
    const int64_t depth = y.shape[axis], inner = product(y.shape, axis + 1, y.shape.rank());
    const int64_t count = indices.shape.element_count();
    with_carrier(y.dtype, [&]<class T>(T) {
      const T off = k.in<T>(2)[0], on = k.in<T>(2)[1];
      T* to = k.out<T>(0);
      std::fill_n(to, count * depth, off);
      with_element(indices.dtype, [&]<class I>(I) {
        for (int64_t i = 0; i < count; ++i) {
          const auto given = static_cast<Computed<I>>(k.in<I>(0)[i]);
          // Beyond the range, or NaN: all off.
          if constexpr (std::is_floating_point_v<Computed<I>>) {
            if (!(given > -9.0e18f && given < 9.0e18f)) continue;
          } else if constexpr (std::is_same_v<I, uint64_t>) {
            if (given > static_cast<uint64_t>(INT64_MAX)) continue;
          }
          auto at = static_cast<int64_t>(given);
          if (at < 0) at += depth;
          if (at >= 0 && at < depth) to[(i / inner * depth + at) * inner + i % inner] = on;
        }
      });
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    const Tensor on = one_hot_values(g.x(0), g.x(1), Tensor({false, true}), a.axis);
    const Tensor none = zeros_like(dy);
    return {{}, {}, stack({sum(where(on, none, dy)), sum(where(on, dy, none))})};
  }
  static std::vector<Sample> samples() {
    const Tensor indices({{0, 2}, {-1, 7}}, DType::i64), values({-0.5f, 2.f});
    return {{{indices, Tensor(3, DType::i64), values}, {}},
            {{transpose(indices), Tensor({3}, DType::i64), values}, boxed(Attributes{0})},
            {{Tensor({1.f, 0.f, -5.f}), Tensor(2.f), values}, boxed(Attributes{1})},
            {{zeros({0}, DType::i32), Tensor(4), values}, {}},
            {{indices, Tensor(3, DType::i64), Tensor({0, 1})}, {}},
            {{indices, Tensor(3, DType::i64), Tensor({false, true})}, {}}};
  }
};

// ---- TopK

struct TopK {
  static constexpr std::string_view name = "TopK";
  static constexpr int since = 24;
  static constexpr int outputs = 2;
  struct Attributes {
    int64_t axis = -1;
    bool largest = true, sorted = true;
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("largest", &Attributes::largest),
                        field("sorted", &Attributes::sorted)};
    }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"X", types::numeric}, {"K", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    const int axis = InferContext::normalize_axis(a.axis, shape.rank());
    Integers given;
    if (!c.constant(1, given)) {
      shape[axis] = c.fresh_symbol();
    } else {
      TD_CHECK(given.size() == 1, "k has {} entries; it must be one number", given.size());
      const int64_t k = given[0];
      TD_CHECK(is_symbol(k) || (k >= 0 && (shape[axis] < 0 || k <= shape[axis])),
               "k is {}, but axis {} of shape {} has {} entries", k, axis, c.shape(0), shape[axis]);
      shape[axis] = k;
    }
    c.output(c.dtype(0), shape);
    c.output(DType::i64, shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      if constexpr (!std::is_same_v<T, bool>) select<T>(k, a);
    });
  }
  template <class T>
  static void select(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &y = k.outputs[0];
    const int axis = InferContext::normalize_axis(a.axis, x.shape.rank());
    const int64_t size = x.shape[axis], kept = y.shape[axis];
    const int64_t inner = product(x.shape, axis + 1, x.shape.rank()),
                  rows = product(x.shape, 0, axis) * inner;
    if (kept == 0 || rows == 0) return;
    const bool largest = a.largest;
    runtime::parallel_for(rows, std::max<int64_t>(1, 4096 / size), [&](int64_t begin, int64_t end) {
      const Tensor scratch = detail::empty_tensor(DType::i64, {size});
      auto* order = detail::mutable_data<int64_t>(scratch);
      for (int64_t row = begin; row < end; ++row) {
        const T* from = k.in<T>(0) + row / inner * size * inner + row % inner;
        for (int64_t i = 0; i < size; ++i) order[i] = i;
        const auto before = [&](int64_t i, int64_t j) {
          const T u = from[i * inner], v = from[j * inner];
          if (largest ? sorts_before(v, u) : sorts_before(u, v)) return true;
          if (largest ? sorts_before(u, v) : sorts_before(v, u)) return false;
          return i < j;
        };
        if (kept < size / 8) {
          std::partial_sort(order, order + kept, order + size, before);
        } else {
          if (kept < size) std::nth_element(order, order + kept - 1, order + size, before);
          std::sort(order, order + kept, before);
        }
        const int64_t to = row / inner * kept * inner + row % inner;
        for (int64_t i = 0; i < kept; ++i) {
          k.out<T>(0)[to + i * inner] = from[order[i] * inner];
          k.out<int64_t>(1)[to + i * inner] = order[i];
        }
      }
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {scatter_elements(zeros_like(g.x()), g.y(1), g.dy(), a.axis), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({3, 4}), two({2}, DType::i64);
    return {{{x, two}, {}},
            {{transpose(x), two}, boxed(Attributes{.axis = 0})},
            {{x, Tensor({3}, DType::i64)}, boxed(Attributes{.axis = 0, .largest = false})},
            {{Tensor({1.f, NAN, 1.f, -0.f, 0.f, -INFINITY}), Tensor({6}, DType::i64)}, {}, false},
            {{Tensor({1.f, NAN, 1.f, -0.f, 0.f, -INFINITY}), Tensor({4}, DType::i64)},
             boxed(Attributes{.largest = false}),
             false},
            {{zeros({0, 4}), two}, {}},
            {{x, Tensor({0}, DType::i64)}, {}},
            {{Tensor({3, 1, 3, 2}), Tensor({3}, DType::i64)}, {}, false},
            {{cast(x, DType::f16), two}, {}, false}};
  }
};

// ---- Trilu

struct Trilu {
  static constexpr std::string_view name = "Trilu";
  static constexpr int since = 14;
  struct Attributes {
    bool upper = true;
    static constexpr auto fields() { return std::tuple{field("upper", &Attributes::upper)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"k", types::i64, 1, InputDef::optional | InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes&) {
    TD_CHECK(c.rank(0) >= 2, "shape {} has no last two dimensions", c.shape(0));
    if (c.has(1))
      TD_CHECK(c.shape(1).element_count() == 1, "k has shape {}; it must be one number", c.shape(1));
    c.output(c.dtype(0), c.shape(0));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& shape = k.outputs[0].shape;
    const int64_t columns = shape.back(), rows = shape[shape.rank() - 2];
    const int64_t lines = product(shape, 0, shape.rank() - 1);
    // Diagonals beyond the corners are all alike; cutting them off keeps the sums below from overflowing.
    const int64_t diagonal = k.has(1) ? std::clamp(integer_at(k.inputs[1], 0), -rows, columns) : 0;
    with_carrier(k.outputs[0].dtype, [&]<class T>(T) {
      const T* from = k.in<T>(0);
      T* to = k.out<T>(0);
      for (int64_t line = 0; line < lines; ++line, from += columns, to += columns) {
        // The first column of the upper part.
        const int64_t cut = std::clamp<int64_t>(line % rows + diagonal + (a.upper ? 0 : 1), 0, columns);
        for (int64_t column = 0; column < columns; ++column)
          to[column] = (column >= cut) == a.upper ? from[column] : T{};
      }
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Operand k = g.has(1) ? Operand(g.x(1)) : Operand();
    return {a.upper ? triu(g.dy(), k) : tril(g.dy(), k), {}};
  }
  static std::vector<Sample> samples() {
    const Attributes lower{false};
    return {{{ramp({3, 4})}, {}},
            {{ramp({3, 4})}, boxed(lower)},
            {{ramp({2, 4, 3}), Tensor(-1, DType::i64)}, {}},
            {{transpose(ramp({3, 4})), Tensor(1, DType::i64)}, boxed(lower)},
            {{zeros({0, 3})}, {}},
            {{cast(ramp({3, 3}), DType::i32), Tensor(INT64_MAX)}, boxed(lower)},
            {{ones({3, 3}, DType::boolean)}, {}}};
  }
};

constexpr const OpDef* select_table[] = {&op_def<OneHot>, &op_def<TopK>, &op_def<Trilu>};

}  // namespace

std::span<const OpDef* const> select_ops() { return select_table; }

Tensor one_hot(const Operand& indices, const Operand& depth, int64_t axis, DType dtype) {
  return one_hot_values(indices, depth, Tensor({0, 1}, dtype), axis);
}
Tensor one_hot_values(const Operand& indices, const Operand& depth, const Operand& values, int64_t axis) {
  return dispatch<OneHot>({axis}, indices, depth, values);
}
TopKResult topk(const Operand& x, const Operand& k, int64_t axis, bool largest) {
  // ONNX wants a list of one.
  const Operand list = k.is_number() ? Operand({k.integer()}, k.location()) : k;
  Tensors result = dispatch_all<TopK>({.axis = axis, .largest = largest}, x, list);
  return {result[0], result[1]};
}
Tensor triu(const Operand& x, const Operand& k) { return dispatch<Trilu>({true}, x, k); }
Tensor tril(const Operand& x, const Operand& k) { return dispatch<Trilu>({false}, x, k); }

}  // namespace tandem
