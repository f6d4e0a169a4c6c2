// Adding, dropping and moving dimensions, and what is composed of that.

#include <algorithm>

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

/// Marks the listed axes of `rank` dimensions; each at most once.
void mark_axes(const Integers& axes, int rank, bool (&marked)[max_rank]) {
  for (int64_t axis : axes) {
    bool& seen = marked[InferContext::normalize_axis(axis, rank)];
    TD_CHECK(!seen, "axis {} is listed twice", axis);
    seen = true;
  }
}

struct Squeeze {
  static constexpr std::string_view name = "Squeeze";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data"}, {"axes", types::i64, 1, InputDef::optional_parameter}}};
  /// Which dimensions go.
  static void dropped(const InferContext& c, const Shape& in, bool (&drop)[max_rank]) {
    std::fill_n(drop, max_rank, false);
    if (!c.has(1)) {
      TD_CHECK(in.is_static(),
               "without axes every dimension of size 1 would go, but shape {} has sizes that are not known "
               "while tracing; give the axes",
               in);
      for (int i = 0; i < in.rank(); ++i) drop[i] = in[i] == 1;
      return;
    }
    Integers axes;
    TD_CHECK(c.constant(1, axes), "the axes must be known while tracing");
    mark_axes(axes, in.rank(), drop);
    for (int i = 0; i < in.rank(); ++i)
      TD_CHECK(!drop[i] || in[i] == 1 || in[i] < 0,
               "dimension {} of shape {} has size {}; only sizes of 1 can be dropped", i, in, in[i]);
  }
  static void infer(InferContext& c) {
    const Shape& in = c.shape(0);
    bool drop[max_rank];
    dropped(c, in, drop);
    Shape shape;
    for (int i = 0; i < in.rank(); ++i)
      if (!drop[i]) shape.push_back(in[i]);
    c.output(c.dtype(0), shape);
  }
  static bool view(const InferContext& c, const NoAttributes&, const View& in, const Shape&,
                   ViewResult& result) {
    bool drop[max_rank];
    dropped(c, in.shape, drop);
    for (int i = 0; i < in.shape.rank(); ++i)
      if (!drop[i]) result.strides.push_back(in.strides[i]);
    return true;
  }
  static Tensors gradient(const Gradient& g) {
    Tensors result{reshape(g.dy(), g.x().shape())};
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x({{{1.f, 2.f, 3.f}}, {{4.f, 5.f, 6.f}}});
    return {{.inputs = {x}, .unknown_sizes = false},
            {{x, Tensor({1}, DType::i64)}, {}},
            {{transpose(x), Tensor({-2}, DType::i64)}, {}},
            {{zeros({1, 0, 1}), Tensor({0, 2}, DType::i64)}, {}},
            {.inputs = {Tensor({{true, false}})}, .unknown_sizes = false}};
  }
};

struct Unsqueeze {
  static constexpr std::string_view name = "Unsqueeze";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 2> inputs{{{"data"}, {"axes", types::i64, 1, InputDef::parameter}}};
  /// Which dimensions of the result are new.
  static int added(const InferContext& c, int rank, bool (&fresh)[max_rank]) {
    std::fill_n(fresh, max_rank, false);
    Integers axes;
    TD_CHECK(c.constant(1, axes), "the axes must be known while tracing");
    const int result = rank + axes.size();
    TD_CHECK(result <= max_rank, "the result would have {} dimensions; at most {} are supported", result,
             max_rank);
    mark_axes(axes, result, fresh);
    return result;
  }
  static void infer(InferContext& c) {
    const Shape& in = c.shape(0);
    bool fresh[max_rank];
    const int rank = added(c, in.rank(), fresh);
    Shape shape;
    int next = 0;
    for (int i = 0; i < rank; ++i) shape.push_back(fresh[i] ? 1 : in[next++]);
    c.output(c.dtype(0), shape);
  }
  static bool view(const InferContext& c, const NoAttributes&, const View& in, const Shape& out,
                   ViewResult& result) {
    bool fresh[max_rank];
    added(c, in.shape.rank(), fresh);
    int next = 0;
    for (int i = 0; i < out.rank(); ++i) result.strides.push_back(fresh[i] ? 0 : in.strides[next++]);
    return true;
  }
  static Tensors gradient(const Gradient& g) { return {reshape(g.dy(), g.x().shape()), {}}; }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
    return {{{x, Tensor({0, -1}, DType::i64)}, {}},
            {{transpose(x), Tensor({1}, DType::i64)}, {}},
            {{Tensor(2.f), Tensor({0}, DType::i64)}, {}},
            {{zeros({0, 2}), Tensor({2}, DType::i64)}, {}},
            {{Tensor({true, false}), Tensor({0}, DType::i64)}, {}}};
  }
};

struct Size : NotDifferentiable {
  static constexpr std::string_view name = "Size";
  static constexpr int since = 25;
  static constexpr uint32_t traits = strided | shape_only;
  static constexpr std::array<InputDef, 1> inputs{{{"data"}}};
  static void infer(InferContext& c) { c.output(DType::i64, {}); }
  static void kernel(const KernelContext& k) { *k.out<int64_t>(0) = k.inputs[0].shape.element_count(); }
  static std::vector<Sample> samples() {
    return {{{Tensor({{1.f, 2.f}})}, {}}, {{zeros({0, 3})}, {}}, {{Tensor(true)}, {}}};
  }
};

constexpr const OpDef* dimension_table[] = {&op_def<Squeeze>, &op_def<Unsqueeze>, &op_def<Size>};

/// An operand's tensor, for composite functions that ask for shapes.
struct CompositeCall {
  CallSite site;
  Tensor x;
  explicit CompositeCall(const Operand& operand) : site(operand), x(to_tensor(operand)) {}
};

}  // namespace

std::span<const OpDef* const> dimension_ops() { return dimension_table; }

Tensor squeeze(const Operand& x, const Operand& axes) { return dispatch<Squeeze>({}, x, axes); }
Tensor unsqueeze(const Operand& x, const Operand& axes) { return dispatch<Unsqueeze>({}, x, axes); }
Tensor size_of(const Operand& x) { return dispatch<Size>({}, x); }

Tensor swapaxes(const Operand& x, int64_t first, int64_t second) {
  return detail::named("swapaxes", x.location(), [&] {
    const CompositeCall c(x);
    const int rank = c.x.rank();
    Dims order;
    for (int i = 0; i < rank; ++i) order.push_back(i);
    std::swap(order[InferContext::normalize_axis(first, rank)],
              order[InferContext::normalize_axis(second, rank)]);
    return transpose(c.x, order);
  });
}

Tensor moveaxis(const Operand& x, int64_t from, int64_t to) {
  return detail::named("moveaxis", x.location(), [&] {
    const CompositeCall c(x);
    const int rank = c.x.rank();
    const int source = InferContext::normalize_axis(from, rank),
              target = InferContext::normalize_axis(to, rank);
    Dims order;
    for (int i = 0; i < rank; ++i)
      if (i != source) order.push_back(i);
    order.insert(target, source);
    return transpose(c.x, order);
  });
}

Tensor stack(const std::vector<Tensor>& parts, int64_t axis, Location where) {
  const CallSite site(where);
  std::vector<Tensor> lifted;
  for (const Tensor& t : parts) lifted.push_back(unsqueeze(t, {axis}));
  return concat(lifted, axis, where);
}

std::vector<Tensor> unstack(const Operand& x, int64_t axis) {
  return detail::named("unstack", x.location(), [&] {
    const CompositeCall c(x);
    const int at = InferContext::normalize_axis(axis, c.x.rank());
    const int64_t count = c.x.shape().codes()[at];
    TD_CHECK(count >= 0, "the size of axis {} of shape {} is not known while tracing", at, c.x.shape());
    std::vector<Tensor> parts;
    if (count == 0) return parts;
    for (const Tensor& part : split(c.x, count, at)) parts.push_back(squeeze(part, {at}));
    return parts;
  });
}

Tensor flip(const Operand& x, const Operand& axes) {
  return detail::named("flip", x.location(), [&] {
    const CompositeCall c(x);
    const int rank = c.x.rank();
    Dims chosen;
    if (!axes.present()) {
      for (int i = 0; i < rank; ++i) chosen.push_back(i);
    } else if (axes.is_number()) {
      chosen.push_back(axes.integer());
    } else {
      TD_CHECK(axes.kind() == Operand::Kind::list, "the axes are a tensor; give them as a list");
      for (int i = 0; i < axes.list_size(); ++i) chosen.push_back(axes.list()[i]);
    }
    if (chosen.empty()) return identity(c.x);
    const int n = chosen.size();
    return slice(c.x, Dims::filled(n, -1), Dims::filled(n, INT64_MIN), chosen, Dims::filled(n, -1));
  });
}

Tensor roll(const Operand& x, int64_t shift, int64_t axis) {
  return detail::named("roll", x.location(), [&] {
    const CompositeCall c(x);
    const int at = InferContext::normalize_axis(axis, c.x.rank());
    const int64_t size = c.x.shape().codes()[at];
    if (size == 0) return identity(c.x);
    Tensor moved;
    if (size > 0) {
      const int64_t cut = size - ((shift % size) + size) % size;
      moved = concat({slice(c.x, {cut}, {INT64_MAX}, {at}), slice(c.x, {int64_t{0}}, {cut}, {at})}, at);
    } else {
      // The same cut, computed when the size is known. An integer quotient rounds toward zero.
      const Tensor n = maximum(shape_of(c.x, at, at + 1), 1);
      const Tensor rest = shift - (shift / n) * n;
      const Tensor cut = n - (rest + n) + ((rest + n) / n) * n;
      moved = concat({slice(c.x, cut, {INT64_MAX}, {at}), slice(c.x, {int64_t{0}}, cut, {at})}, at);
    }
    return reshape(moved, c.x.shape());
  });
}

}  // namespace tandem
