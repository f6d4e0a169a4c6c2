// Reductions: row programs whose row is the reduced axes.

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Builder;
using kernel::Value;

struct ReduceAttributes {
  bool keepdims = true;
  bool noop_with_empty_axes = false;
  static constexpr auto fields() {
    return std::tuple{field("keepdims", &ReduceAttributes::keepdims),
                      field("noop_with_empty_axes", &ReduceAttributes::noop_with_empty_axes)};
  }
};

/// The axes a reduction works on, sorted; all of them by default. False while they are unknown.
bool reduced_axes(const InferContext& c, const ReduceAttributes& a, Dims& axes) {
  Integers given;
  const int rank = c.rank(0);
  if (c.has(1) && !c.constant(1, given)) return false;
  if (given.empty()) {
    if (!a.noop_with_empty_axes)
      for (int i = 0; i < rank; ++i) axes.push_back(i);
    return true;
  }
  bool chosen[max_rank] = {};
  for (int64_t axis : given) {
    bool& seen = chosen[InferContext::normalize_axis(axis, rank)];
    TD_CHECK(!seen, "axis {} is listed twice", axis);
    seen = true;
  }
  for (int i = 0; i < rank; ++i)
    if (chosen[i]) axes.push_back(i);
  return true;
}

/// `gradient` of a reduction spread over the input's shape again.
Tensor spread(const Gradient& g, const ReduceAttributes& a, const Tensor& gradient) {
  if (a.keepdims || gradient.rank() == g.x().rank()) return gradient;
  const Operand operand(g.x()), axes(g.has(1) ? g.x(1) : Tensor());
  const Operand* list[] = {&operand, &axes};
  SmallVector<Argument, 8> arguments;
  for (const Operand* o : list) {
    Argument argument;
    argument.operand = o;
    argument.tensor = o->is_tensor() ? o->tensor_impl() : nullptr;
    arguments.push_back(argument);
  }
  const Mode* mode = current_mode();
  InferContext c(*find_op("ReduceSum"), arguments, mode ? const_cast<Mode*>(mode)->known_values() : nullptr);
  Dims reduced;
  TD_CHECK(reduced_axes(c, a, reduced), "the axes must be known when the gradient is built");
  Shape shape = g.x().shape();
  for (int64_t axis : reduced) shape[static_cast<int>(axis)] = 1;
  return reshape(gradient, shape);
}

/// Schema and inference that all reductions share.
struct Reduction {
  using Attributes = ReduceAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data", types::numeric}, {"axes", types::index, 1, InputDef::optional | InputDef::parameter}}};
  static constexpr int since = 18;
  static void infer(InferContext& c, const Attributes& a) {
    Dims axes;
    const Shape& in = c.shape(0);
    Shape shape;
    if (!reduced_axes(c, a, axes)) {
      TD_CHECK(
          a.keepdims,
          "the axes are not known while tracing, and without keepdims the result's rank depends on them");
      for (int i = 0; i < in.rank(); ++i) shape.push_back(c.fresh_symbol());
    } else {
      for (int i = 0; i < in.rank(); ++i) {
        if (std::find(axes.begin(), axes.end(), i) == axes.end())
          shape.push_back(in[i]);
        else if (a.keepdims)
          shape.push_back(1);
      }
    }
    c.output(c.dtype(0), shape);
  }
  static Dims row_axes(const InferContext& c, const Attributes& a) {
    Dims axes;
    reduced_axes(c, a, axes);
    return axes;
  }
};

struct ReduceSum : Reduction {
  static constexpr std::string_view name = "ReduceSum";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_sum(k.input(0)), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {expand(spread(g, a, g.dy()), g.x().shape()), {}};
  }
  static std::vector<Sample> samples();
};

/// The gradient of broadcasting: sums until the shape is the one asked for.
struct SumTo {
  static constexpr std::string_view name = "SumTo", domain = "ai.tandem";
  static constexpr std::array<InputDef, 2> inputs{
      {{"data", types::numeric}, {"shape", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) {
    Integers sizes;
    const Shape& in = c.shape(0);
    Shape shape;
    TD_CHECK(c.constant(1, sizes), "the shape must be known, at least as symbolic dimensions");
    for (int64_t d : sizes) shape.push_back(d);
    const int lead = in.rank() - shape.rank();
    bool fits = lead >= 0;
    for (int i = 0; fits && i < shape.rank(); ++i)
      fits = shape[i] == 1 || shape[i] == in[lead + i] || shape[i] < 0 || in[lead + i] < 0;
    TD_CHECK(fits, "shape {} cannot be summed to {}", in, shape);
    c.output(c.dtype(0), shape);
  }
  static Dims row_axes(const InferContext& c, const NoAttributes&) {
    const Shape& in = c.shape(0);
    const Shape& out = c.outputs()[0].shape;
    const int lead = in.rank() - out.rank();
    Dims axes;
    for (int i = 0; i < in.rank(); ++i)
      if (i < lead || (out[i - lead] == 1 && in[i] != 1)) axes.push_back(i);
    return axes;
  }
  static void rows(Builder& k, const NoAttributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_sum(k.input(0)), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g) { return {expand(g.dy(), g.x().shape()), {}}; }
  static std::vector<Sample> samples();
};

Tensor ramp(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = 0.25f * static_cast<float>((i * 7) % 11) - 1;
  return from_vector(std::move(v), shape);
}

std::vector<Sample> ReduceSum::samples() {
  const Attributes keep{}, drop{.keepdims = false};
  const auto box = [](const Attributes& a) { return AttributeBox(attribute_type<Attributes>, &a); };
  const Tensor axes_1({1}, DType::i64), axes_02({0, -1}, DType::i64);
  return {{{ramp({3, 4}), {}}, box(keep)},
          {{ramp({3, 4}), axes_1}, box(drop)},
          {{ramp({2, 3, 4}), axes_02}, box(drop)},
          {{ramp({2, 3, 4}), axes_02}, box(keep)},
          {{ramp({0, 4}), Tensor({0}, DType::i64)}, box(drop)}};
}

std::vector<Sample> SumTo::samples() {
  return {{{ramp({2, 3, 4}), Tensor({3, 1}, DType::i64)}, {}},
          {{ramp({2, 3}), Tensor({2, 3}, DType::i64)}, {}}};
}

constexpr const OpDef* table[] = {&op_def<ReduceSum>, &op_def<SumTo>};

}  // namespace

std::span<const OpDef* const> reduce_ops() { return table; }

Tensor reduce_sum(const Operand& x, const Operand& axes, bool keepdims) {
  return dispatch<ReduceSum>({.keepdims = keepdims}, x, axes);
}
Tensor sum(const Operand& x, const Operand& axes, bool keepdims) { return reduce_sum(x, axes, keepdims); }
Tensor sum_to(const Operand& x, const Operand& shape) { return dispatch<SumTo>({}, x, shape); }

}  // namespace tandem
