// Reductions: row programs whose row is the reduced axes.

#include <algorithm>

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "ops/reduction.h"
#include "ops/samples.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
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
  const Operand operand(g.x()), axes = g.has(1) ? Operand(g.x(1)) : Operand();
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
  TD_CHECK(reduced_axes(c, a, reduced), "the axes must be known while tracing a gradient");
  Shape shape = g.x().shape().codes();
  for (int64_t axis : reduced) shape[static_cast<int>(axis)] = 1;
  return reshape(gradient, shape);
}

/// Schema and inference that all reductions share.
struct Reduction {
  using Attributes = ReduceAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data", types::numeric}, {"axes", types::index, 1, InputDef::optional_parameter}}};
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

Operand axes_of(const Gradient& g) { return g.has(1) ? Operand(g.x(1)) : Operand(); }

/// Positive and without ties.
Tensor distinct(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = 0.5f + 0.125f * static_cast<float>((i * 7) % 29);
  return from_vector(std::move(v), shape);
}

std::vector<Sample> reduction_samples(Tensor (*make)(const Shape&), bool empty = true) {
  using Attributes = ReduceAttributes;
  const Attributes keep{}, drop{.keepdims = false}, nothing{.noop_with_empty_axes = true};
  const auto box = [](const Attributes& a) { return AttributeBox(attribute_type<Attributes>, &a); };
  const Tensor axes_1({1}, DType::i64), axes_02({0, -1}, DType::i64);
  std::vector<Sample> samples{{{make({3, 4}), {}}, box(keep)},
                              {{make({3, 4}), axes_1}, box(drop)},
                              {{make({2, 3, 4}), axes_02}, box(drop)},
                              {{make({2, 3, 4}), axes_02}, box(keep)},
                              {{make({2, 3, 4}), Tensor({1}, DType::i32)}, box(drop)},
                              {{make({}), {}}, box(drop)},
                              {{make({3, 0}), Tensor({0}, DType::i64)}, box(keep)},
                              {{make({2, 3}), {}}, box(nothing)}};
  if (empty) samples.push_back({{make({0, 4}), Tensor({0}, DType::i64)}, box(drop), false});
  return samples;
}

/// Sums and means: integers as ONNX has them, and in their own dtype.
struct ReduceSum : Reduction {
  static constexpr std::string_view name = "ReduceSum";
  static constexpr uint32_t traits = keeps_single;
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_sum(k.input(0)), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {expand(spread(g, a, g.dy()), g.x().shape()), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(ramp); }
};

struct ReduceMean : Reduction {
  static constexpr std::string_view name = "ReduceMean";
  static constexpr uint32_t traits = keeps_single;
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value total = kernel::reduce_sum(k.input(0));
    k.output(total / row_count(k, total.type), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor share = divided_by_count(g.dy(), g.x(), g.y());
    return {expand(spread(g, a, share), g.x().shape()), {}};
  }
  // Integers have no mean of nothing.
  static std::vector<Sample> samples() { return reduction_samples(ramp, false); }
};

struct Extremum : Reduction {
  static constexpr int since = 20;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data", types::all}, {"axes", types::index, 1, InputDef::optional_parameter}}};
  // Ties share the gradient equally.
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor chosen = cast(equal(g.x(), spread(g, a, g.y())), g.y().dtype());
    Attributes keep = a;
    keep.keepdims = true;
    const Tensor ties = dispatch<ReduceSum>(keep, Operand(chosen), axes_of(g));
    return {chosen * (spread(g, a, g.dy()) / ties), {}};
  }
};

struct ReduceMax : Extremum {
  static constexpr std::string_view name = "ReduceMax";
  static constexpr uint32_t traits = keeps_single;
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_maximum(k.input(0)), outputs[0].dtype);
  }
  static std::vector<Sample> samples() { return reduction_samples(distinct); }
};

struct ReduceMin : Extremum {
  static constexpr std::string_view name = "ReduceMin";
  static constexpr uint32_t traits = keeps_single;
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_minimum(k.input(0)), outputs[0].dtype);
  }
  static std::vector<Sample> samples() { return reduction_samples(distinct); }
};

struct ReduceProd : Reduction {
  static constexpr std::string_view name = "ReduceProd";
  static constexpr uint32_t traits = keeps_single;
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_product(k.input(0)), outputs[0].dtype);
  }
  // The product of the others. Where zeros occur, y / x is not it: a single zero gets the product of the
  // rest, and with two zeros nothing gets anything.
  // (Where zeros are, the gradient of this gradient lacks the terms that would pass through them.)
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Attributes keep = a;
    keep.keepdims = true;
    const Tensor zero = equal(g.x(), 0);
    const Tensor zeros = dispatch<ReduceSum>(keep, Operand(cast(zero, DType::i32)), axes_of(g));
    const Tensor rest = where(zero, 1, g.x());
    const Tensor product = dispatch<ReduceProd>(keep, Operand(rest), axes_of(g));
    const Tensor others = where(equal(zeros, cast(zero, DType::i32)), product / rest, 0);
    return {spread(g, a, g.dy()) * others, {}};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all = reduction_samples(distinct);
    const Tensor zeros({{1.5f, 0.f, 2.f}, {0.f, 3.f, 0.f}, {1.f, 2.f, 3.f}});
    all.push_back({{zeros, Tensor({1}, DType::i64)}, {}, true, false});
    return all;
  }
};

/// What only floats can hold is computed for integers in double precision, then truncated.
Value real(Value x) { return is_floating(x.type) ? x : convert(x, DType::f64); }

struct ReduceL1 : Reduction {
  static constexpr std::string_view name = "ReduceL1";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(kernel::reduce_sum(abs(k.input(0))), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {sign(g.x()) * spread(g, a, g.dy()), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(distinct); }
};

struct ReduceL2 : Reduction {
  static constexpr std::string_view name = "ReduceL2";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = real(k.input(0));
    k.output(sqrt(kernel::reduce_sum(x * x)), outputs[0].dtype);
  }
  // At the origin, where all directions are equal, it is zero.
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor factor = g.dy() / where(equal(g.y(), 0), 1, g.y());
    return {g.x() * spread(g, a, factor), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(distinct); }
};

struct ReduceSumSquare : Reduction {
  static constexpr std::string_view name = "ReduceSumSquare";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0);
    k.output(kernel::reduce_sum(x * x), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {2 * g.x() * spread(g, a, g.dy()), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(ramp); }
};

struct ReduceLogSum : Reduction {
  static constexpr std::string_view name = "ReduceLogSum";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    k.output(log(kernel::reduce_sum(real(k.input(0)))), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor total = dispatch<ReduceSum>(a, Operand(g.x()), axes_of(g));
    return {expand(spread(g, a, g.dy() / total), g.x().shape()), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(distinct); }
};

struct ReduceLogSumExp : Reduction {
  static constexpr std::string_view name = "ReduceLogSumExp";
  // Shifted by the largest, which an infinity cannot be subtracted from itself for.
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = real(k.input(0)), largest = kernel::reduce_maximum(x);
    const Value shift = select(is_inf(largest), constant_like(largest, 0), largest);
    k.output(log(kernel::reduce_sum(exp(x - shift))) + shift, outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {exp(g.x() - spread(g, a, g.y())) * spread(g, a, g.dy()), {}};
  }
  static std::vector<Sample> samples() { return reduction_samples(ramp); }
};

/// The gradient of broadcasting: sums until the shape is the one asked for.
struct SumTo {
  static constexpr std::string_view name = "SumTo", domain = "ai.tandem";
  static constexpr uint32_t traits = keeps_single;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data", types::numeric}, {"shape", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) {
    Integers sizes;
    const Shape& in = c.shape(0);
    Shape shape;
    TD_CHECK(c.constant(1, sizes), "the shape must be known while tracing, at least as symbolic dimensions");
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
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&);
  static Tensors gradient(const Gradient& g) { return {expand(g.dy(), g.x().shape()), {}}; }
  static std::vector<Sample> samples();
};

Tensors SumTo::decomposition(std::span<const Tensor> in, const NoAttributes&) {
  const Operand x(in[0]), shape(in[1]);
  const Argument arguments[] = {{.operand = &x, .tensor = in[0].impl(), .dtype = in[0].dtype()},
                                {.operand = &shape, .tensor = in[1].impl(), .dtype = in[1].dtype()}};
  Mode* mode = current_mode();
  InferContext c(op_def<SumTo>, arguments, mode ? mode->known_values() : nullptr);
  infer(c);
  const Dims axes = row_axes(c, {});
  return {reshape(axes.size() == 0 ? in[0] : reduce_sum(in[0], axes, true), in[1])};
}

std::vector<Sample> SumTo::samples() {
  return {{{ramp({2, 3, 4}), Tensor({3, 1}, DType::i64)}, {}},
          {{ramp({2, 3}), Tensor({2, 3}, DType::i64)}, {}}};
}

constexpr const OpDef* reduce_table[] = {
    &op_def<ReduceSum>,       &op_def<ReduceMean>,      &op_def<ReduceMax>, &op_def<ReduceMin>,
    &op_def<ReduceProd>,      &op_def<ReduceL1>,        &op_def<ReduceL2>,  &op_def<ReduceLogSum>,
    &op_def<ReduceLogSumExp>, &op_def<ReduceSumSquare>, &op_def<SumTo>};

}  // namespace

std::span<const OpDef* const> reduce_ops() { return reduce_table; }

Tensor divided_by_count(const Tensor& v, const Tensor& x, const Tensor& y) {
  if (x.shape().is_static() && y.shape().is_static())
    return v / (x.shape().codes().element_count() / std::max<int64_t>(1, y.shape().codes().element_count()));
  const auto count = [](const Tensor& t) { return reduce_prod(shape_of(t)); };
  return v / cast(count(x) / maximum(count(y), 1), v.dtype());
}

#define REDUCTION(function, Op)                                           \
  Tensor function(const Operand& x, const Operand& axes, bool keepdims) { \
    return dispatch<Op>({.keepdims = keepdims}, x, axes);                 \
  }
REDUCTION(reduce_sum, ReduceSum)
REDUCTION(sum, ReduceSum)
REDUCTION(reduce_mean, ReduceMean)
REDUCTION(mean, ReduceMean)
REDUCTION(reduce_max, ReduceMax)
REDUCTION(amax, ReduceMax)
REDUCTION(reduce_min, ReduceMin)
REDUCTION(amin, ReduceMin)
REDUCTION(reduce_prod, ReduceProd)
REDUCTION(prod, ReduceProd)
REDUCTION(reduce_l1, ReduceL1)
REDUCTION(reduce_l2, ReduceL2)
REDUCTION(reduce_sum_square, ReduceSumSquare)
REDUCTION(reduce_log_sum, ReduceLogSum)
REDUCTION(reduce_log_sum_exp, ReduceLogSumExp)
#undef REDUCTION

Tensor reduce_all(const Operand& x, const Operand& axes, bool keepdims) {
  const CallSite site(x);
  return reduce_min(cast(x, DType::boolean), axes, keepdims);
}
Tensor reduce_any(const Operand& x, const Operand& axes, bool keepdims) {
  const CallSite site(x);
  return reduce_max(cast(x, DType::boolean), axes, keepdims);
}

Tensor sum_to(const Operand& x, const Operand& shape) { return dispatch<SumTo>({}, x, shape); }

Tensor variance(const Operand& x, const Operand& axes, bool keepdims, double correction) {
  const CallSite site(x);
  const Tensor t = to_tensor(x);
  const Tensor deviations = t - mean(t, axes, true);
  if (correction == 0) return mean(square(deviations), axes, keepdims);
  const Tensor counts = reduce_sum(ones_like(t), axes, keepdims);
  return reduce_sum_square(deviations, axes, keepdims) / maximum(counts - correction, 0);
}
Tensor standard_deviation(const Operand& x, const Operand& axes, bool keepdims, double correction) {
  const CallSite site(x);
  return sqrt(variance(x, axes, keepdims, correction));
}

}  // namespace tandem
