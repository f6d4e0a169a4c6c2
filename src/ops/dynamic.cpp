// Ops whose result's shape depends on values: NonZero, Unique, Compress.

#include <algorithm>
#include <numeric>

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/indexing.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

Tensor from_positions(const std::vector<int64_t>& positions) {
  return from_span<int64_t>(positions, {static_cast<int64_t>(positions.size())});
}

/// A trace knows nothing of such a size; evaluating at once never asks.
int64_t unknown_size(const InferContext& c) { return c.fresh_symbol(); }

// ---- NonZero

struct NonZero : NotDifferentiable {
  static constexpr std::string_view name = "NonZero";
  static constexpr int since = 13;
  static constexpr uint32_t traits = dynamic_shape;
  static constexpr std::array<InputDef, 1> inputs{{{"X"}}};
  static void infer(InferContext& c) { c.output(DType::i64, {c.rank(0), unknown_size(c)}); }
  static void run_tensors(const NoAttributes&, std::span<const Tensor> in, std::span<Tensor> out) {
    const Tensor x = in[0].contiguous();
    std::vector<int64_t> found;
    with_element(x.dtype(), [&]<class T>(T) {
      const T* p = x.data<T>();
      for (int64_t i = 0; i < x.size(); ++i)
        if (static_cast<Computed<T>>(p[i]) != Computed<T>{}) found.push_back(i);  // NaN is not zero
    });
    const auto count = static_cast<int64_t>(found.size());
    out[0] = detail::empty_tensor(DType::i64, {x.rank(), count});
    auto* to = detail::mutable_data<int64_t>(out[0]);
    const Shape sizes = x.shape().codes();
    const Strides strides = contiguous_strides(sizes);
    for (int d = 0; d < x.rank(); ++d)
      for (int64_t i = 0; i < count; ++i)
        to[d * count + i] = found[static_cast<size_t>(i)] / strides[d] % sizes[d];
  }
  static std::vector<Sample> samples() {
    return {{{Tensor({{0.f, 2.f, -0.f}, {NAN, 0.f, 1.f}})}, {}},
            {{transpose(Tensor({{0, 2, 3}, {1, 0, 0}}))}, {}},
            {{Tensor({true, false, true})}, {}},
            {{zeros({0, 2})}, {}},
            {{Tensor(3.f)}, {}}};
  }
};

// ---- Unique

struct Unique {
  static constexpr std::string_view name = "Unique";
  static constexpr int since = 11;
  static constexpr uint32_t traits = dynamic_shape;
  static constexpr int outputs = 4;
  struct Attributes {
    std::optional<int64_t> axis;
    bool sorted = true;
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("sorted", &Attributes::sorted)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X"}}};
  static void infer(InferContext& c, const Attributes& a) {
    const int64_t count = unknown_size(c);
    Shape shape{count};
    int64_t inverse = c.shape(0).element_count();
    if (a.axis) {
      shape = c.shape(0);
      const int axis = InferContext::normalize_axis(*a.axis, shape.rank());
      inverse = shape[axis];
      shape[axis] = count;
    } else if (inverse < 0) {
      inverse = c.rank(0) == 1 ? c.shape(0)[0] : unknown_size(c);
    }
    c.output(c.dtype(0), shape);
    c.output(DType::i64, {count});
    c.output(DType::i64, {inverse});
    c.output(DType::i64, {count});
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    Tensor x = in[0].contiguous();
    const int axis = a.axis ? InferContext::normalize_axis(*a.axis, x.rank()) : 0;
    if (!a.axis) x = reshape(x, {-1});
    with_element(x.dtype(), [&]<class T>(T) { find<T>(x, axis, a.sorted, out); });
    out[0] = gather(x, out[1], axis);
  }
  /// -1, 0 or 1 as slice i sorts before, equals or sorts after slice j.
  template <class T>
  struct Comparison {
    const T* data;
    int64_t outer, size, inner;
    int operator()(int64_t i, int64_t j) const {
      for (int64_t o = 0; o < outer; ++o)
        for (int64_t k = 0; k < inner; ++k) {
          const T u = data[(o * size + i) * inner + k], v = data[(o * size + j) * inner + k];
          if (sorts_before(u, v)) return -1;
          if (sorts_before(v, u)) return 1;
        }
      return 0;
    }
  };
  template <class T>
  static void find(const Tensor& x, int axis, bool sorted, std::span<Tensor> out) {
    const Shape& shape = x.shape().codes();
    const int64_t size = shape[axis];
    const Comparison<T> compare{x.data<T>(), product(shape, 0, axis), size,
                                product(shape, axis + 1, shape.rank())};
    std::vector<int64_t> order(static_cast<size_t>(size));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return compare(i, j) < 0; });
    std::vector<int64_t> first, inverse(order.size()), counts;
    for (size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || compare(order[i - 1], order[i]) != 0) {
        first.push_back(order[i]);
        counts.push_back(0);
      }
      inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(first.size()) - 1;
      ++counts.back();
    }
    if (!sorted) {
      // In order of first appearance.
      std::vector<int64_t> by_appearance(first.size()), rank(first.size());
      std::iota(by_appearance.begin(), by_appearance.end(), 0);
      std::sort(by_appearance.begin(), by_appearance.end(), [&](int64_t i, int64_t j) {
        return first[static_cast<size_t>(i)] < first[static_cast<size_t>(j)];
      });
      std::vector<int64_t> moved_first, moved_counts;
      for (size_t i = 0; i < by_appearance.size(); ++i) {
        const auto from = static_cast<size_t>(by_appearance[i]);
        rank[from] = static_cast<int64_t>(i);
        moved_first.push_back(first[from]);
        moved_counts.push_back(counts[from]);
      }
      first = std::move(moved_first);
      counts = std::move(moved_counts);
      for (int64_t& i : inverse) i = rank[static_cast<size_t>(i)];
    }
    out[1] = from_positions(first);
    out[2] = from_positions(inverse);
    out[3] = from_positions(counts);
  }
  // Each value stands for the first of its kind.
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor& x = g.x();
    if (a.axis) return {gather_gradient(g.dy(), g.y(1), x.shape(), *a.axis)};
    return {reshape(gather_gradient(g.dy(), g.y(1), size_of(x), 0), x.shape())};
  }
  static std::vector<Sample> samples() {
    const Attributes appearing{{}, false}, rows{0, true}, columns{-1, false};
    const Tensor x({{2.f, 1.f, 2.f}, {2.f, 1.f, 2.f}, {0.f, 3.f, 0.f}}), different({{3.f, 1.f}, {2.f, 5.f}});
    return {{{different}, {}},
            {{different}, boxed(appearing)},
            {{different}, boxed(rows)},
            {{x}, {}, false},
            {{x}, boxed(appearing), false},
            {{x}, boxed(rows), false},
            {{transpose(x)}, boxed(columns), false},
            {{Tensor({NAN, 1.f, -0.f, NAN, 0.f})}, {}, false},
            {{zeros({0})}, {}},
            {{zeros({0, 2})}, boxed(rows)},
            {{Tensor({3, 1, 3})}, {}, false},
            {{Tensor({true, false, true})}, {}, false}};
  }
};

// ---- Compress

struct Compress {
  static constexpr std::string_view name = "Compress";
  static constexpr int since = 11;
  static constexpr uint32_t traits = dynamic_shape | moves_only;
  struct Attributes {
    std::optional<int64_t> axis;
    static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"condition", types::boolean, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    check(c.shape(0), c.shape(1), a);
    Shape shape{unknown_size(c)};
    if (a.axis) {
      const int axis = InferContext::normalize_axis(*a.axis, c.rank(0));
      const int64_t count = shape[0];
      shape = c.shape(0);
      shape[axis] = count;
    }
    c.output(c.dtype(0), shape);
  }
  static void check(const Shape& x, const Shape& condition, const Attributes& a) {
    TD_CHECK(condition.rank() == 1, "the condition has shape {}; it must have one dimension", condition);
    const int64_t size = a.axis ? x[InferContext::normalize_axis(*a.axis, x.rank())] : x.element_count();
    TD_CHECK(size < 0 || condition[0] < 0 || condition[0] <= size,
             "the condition has {} entries, more than the {} to choose from", condition[0], size);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    check(in[0].shape().codes(), in[1].shape().codes(), a);
    const Tensor condition = in[1].contiguous();
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < condition.size(); ++i)
      if (condition.data<bool>()[i]) chosen.push_back(i);
    const Tensor x = a.axis ? in[0] : reshape(in[0], Shape{in[0].size()});
    out[0] = gather(x, from_positions(chosen), a.axis.value_or(0));
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor chosen = squeeze(nonzero(g.x(1)), {0});
    if (a.axis) return {gather_gradient(g.dy(), chosen, g.x().shape(), *a.axis), {}};
    return {reshape(gather_gradient(g.dy(), chosen, size_of(g.x()), 0), g.x().shape()), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}});
    return {{{x, Tensor({false, true, true})}, boxed(Attributes{0})},
            {{x, Tensor({false, true, true, false, true})}, {}},
            {{transpose(x), Tensor({true, false})}, boxed(Attributes{-1})},
            {{x, Tensor({false, false})}, boxed(Attributes{1})},
            {{zeros({0, 2}), Tensor({true})}, boxed(Attributes{1})},
            {{cast(x, DType::i32), Tensor({true})}, boxed(Attributes{0})},
            {{cast(x, DType::boolean), Tensor({true})}, boxed(Attributes{0})}};
  }
};

constexpr const OpDef* dynamic_table[] = {&op_def<NonZero>, &op_def<Unique>, &op_def<Compress>};

}  // namespace

std::span<const OpDef* const> dynamic_ops() { return dynamic_table; }

Tensor nonzero(const Operand& x) { return dispatch<NonZero>({}, x); }
UniqueResult unique(const Operand& x, std::optional<int64_t> axis, bool sorted) {
  Tensors result = dispatch_all<Unique>({axis, sorted}, x);
  return {result[0], result[1], result[2], result[3]};
}
Tensor compress(const Operand& x, const Operand& condition, std::optional<int64_t> axis) {
  return dispatch<Compress>({axis}, x, condition);
}

Tensor boolean_mask(const Operand& x, const Operand& mask) {
  return tandem::detail::named("boolean_mask", x.location(), [&] {
    const CallSite site(x);
    const Tensor data = to_tensor(x), chosen = to_tensor(mask);
    const int rank = chosen.rank();
    bool fits = rank >= 1 && rank <= data.rank();
    for (int i = 0; fits && i < rank; ++i)
      fits = chosen.shape().codes()[i] == data.shape().codes()[i] || chosen.shape().codes()[i] < 0 ||
             data.shape().codes()[i] < 0;
    TD_CHECK(fits, "the mask has shape {}, which does not begin shape {}", chosen.shape(), data.shape());
    if (rank == 1) return compress(data, chosen, 0);
    Shape rows{-1};
    for (int i = rank; i < data.rank(); ++i) rows.push_back(data.shape().codes()[i]);
    bool empty = false;
    for (int64_t d : data.shape().codes()) empty = empty || d == 0;
    if (empty) rows[0] = chosen.shape().codes().element_count();
    return compress(reshape(data, rows), reshape(chosen, {-1}), 0);
  });
}

}  // namespace tandem
