// Normalization: of rows, one row program each; of lengths and channels, composed.

#include "tandem/ops/normalization.h"

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/reduction.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Builder;
using kernel::Value;

// ONNX's numbers for the dtypes that statistics may have.
constexpr int64_t onnx_float = 1, onnx_half = 10, onnx_double = 11, onnx_bfloat = 16;

struct NormalizationAttributes {
  int64_t axis = -1;
  float epsilon = 1e-5f;
  int64_t stash_type = onnx_float;
  static constexpr auto fields() {
    return std::tuple{field("axis", &NormalizationAttributes::axis),
                      field("epsilon", &NormalizationAttributes::epsilon),
                      field("stash_type", &NormalizationAttributes::stash_type)};
  }

  DType stash() const {
    switch (stash_type) {
      case onnx_float:
        return DType::f32;
      case onnx_half:
        return DType::f16;
      case onnx_double:
        return DType::f64;
      case onnx_bfloat:
        return DType::bf16;
      default:
        fail(
            "stash_type {} is no dtype for statistics; allowed are 1 (float32), 10 (float16), 11 (float64) "
            "and "
            "16 (bfloat16)",
            stash_type);
    }
  }
  /// What statistics are computed in, before they are stored in the stash type.
  DType computed() const { return stash() == DType::f64 ? DType::f64 : DType::f32; }
};

/// Inference and axes that both share: the axes from `axis` on form a row.
struct Normalization {
  using Attributes = NormalizationAttributes;
  static Dims row_axes(const InferContext& c, const Attributes& a) { return axes(a, c.rank(0)); }
  static Dims axes(const Attributes& a, int rank) {
    Dims result;
    for (int i = InferContext::normalize_axis(a.axis, rank); i < rank; ++i) result.push_back(i);
    return result;
  }
  static Shape statistics_shape(const InferContext& c, const Attributes& a) {
    Shape shape = c.shape(0);
    for (int64_t axis : axes(a, shape.rank())) shape[static_cast<int>(axis)] = 1;
    return shape;
  }
  static void check_broadcast(const InferContext& c, int i) {
    const Shape& x = c.shape(0);
    const Shape& s = c.shape(i);
    bool fits = s.rank() <= x.rank();
    for (int k = 1; fits && k <= s.rank(); ++k) {
      const int64_t own = s[s.rank() - k], size = x[x.rank() - k];
      fits = own == 1 || own == size || own < 0 || size < 0;
    }
    TD_CHECK(fits, "{} of shape {} does not broadcast to the input's shape {}", c.op().inputs[i].name, s, x);
  }
  static AttributeBox box(const Attributes& a) { return AttributeBox(attribute_type<Attributes>, &a); }
};

struct LayerNormalization : Normalization {
  static constexpr std::string_view name = "LayerNormalization";
  static constexpr int since = 17, outputs = 3;
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating}, {"Scale", types::floating}, {"B", types::floating, 0, InputDef::optional}}};

  static void infer(InferContext& c, const Attributes& a) {
    const Shape statistics = statistics_shape(c, a);
    check_broadcast(c, 1);
    if (c.has(2)) check_broadcast(c, 2);
    c.output(c.dtype(0), c.shape(0));
    c.output(a.stash(), statistics);
    c.output(a.stash(), statistics);
  }
  static void rows(Builder& k, const Attributes& a, std::span<const Spec> outputs) {
    const bool has_bias = k.input_count() > 2;
    const Value scale = k.input(1), x = convert(k.input(0), a.computed());
    const Value count = row_count(k, x.type);
    const Value mean = kernel::reduce_sum(x) / count, distance = x - mean;
    const Value inverse = 1.0 / sqrt(kernel::reduce_sum(distance * distance) / count + a.epsilon);
    const Value y = convert(distance * inverse, scale.type) * scale;
    k.output(has_bias ? y + k.input(2) : y, outputs[0].dtype);
    k.output(mean, outputs[1].dtype);
    k.output(inverse, outputs[2].dtype);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Dims rows = axes(a, in[0].rank());
    const Tensor x = cast(in[0], a.computed());
    const Tensor mean = reduce_mean(x, rows, true), distance = x - mean;
    const Tensor inverse = rsqrt(reduce_mean(square(distance), rows, true) + a.epsilon);
    Tensor y = cast(distance * inverse, in[0].dtype()) * in[1];
    if (in.size() > 2 && in[2].defined()) y = y + in[2];
    return {y, cast(mean, a.stash()), cast(inverse, a.stash())};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor &x = g.x(0), &scale = g.x(1), dy = g.dy();
    const Dims rows = axes(a, x.rank());
    const DType type = a.computed();
    const Tensor inverse = cast(g.y(2), type), normalized = (cast(x, type) - cast(g.y(1), type)) * inverse;
    Tensors result{{}, {}, {}};
    if (g.needs(0)) {
      const Tensor d = cast(dy, type) * cast(scale, type);
      Tensor dx = d - reduce_mean(d, rows, true) - normalized * reduce_mean(d * normalized, rows, true);
      // What reaches the statistics themselves, as in a second derivative.
      if (g.has_dy(2)) dx = dx - normalized * inverse * divided_by_count(cast(g.dy(2), type), x, g.y(2));
      dx = dx * inverse;
      if (g.has_dy(1)) dx = dx + divided_by_count(cast(g.dy(1), type), x, g.y(1));
      result[0] = cast(dx, x.dtype());
    }
    if (g.needs(1)) result[1] = sum_to(dy * cast(normalized, dy.dtype()), scale.shape());
    if (g.needs(2)) result[2] = sum_to(dy, g.x(2).shape());
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x({{{1.f, 2.5f, -1.f}, {0.5f, -2.f, 3.f}}, {{4.f, 1.f, -2.f}, {0.25f, 3.f, -0.5f}}});
    const Tensor scale({0.5f, 2.f, -1.f}), bias({1.f, 0.f, -2.f}),
        matrix({{1.f, 2.f, 3.f}, {0.5f, -1.f, 1.f}});
    return {{{x, scale, bias}, box({.stash_type = onnx_double})},
            {{x, scale}, box({.stash_type = onnx_double})},
            {{x, matrix, matrix}, box({.axis = 1, .epsilon = 0.25f, .stash_type = onnx_double})},
            {{x, Tensor(1.5f), bias}, box({.axis = -3, .stash_type = onnx_double})},
            {{zeros({0, 3}), scale, bias}, box({.stash_type = onnx_double})},
            {{x, scale, bias}, {}, false},
            {{x, scale, bias}, box({.stash_type = onnx_bfloat}), false}};
  }
};

struct RMSNormalization : Normalization {
  static constexpr std::string_view name = "RMSNormalization";
  static constexpr int since = 23;
  static constexpr std::array<InputDef, 2> inputs{{{"X", types::floating}, {"scale", types::floating, 1}}};

  static void infer(InferContext& c, const Attributes& a) {
    statistics_shape(c, a);  // for the axis
    check_broadcast(c, 1);
    a.stash();
    c.output(c.dtype(1), c.shape(0));
  }
  static void rows(Builder& k, const Attributes& a, std::span<const Spec> outputs) {
    const Value scale = k.input(1), x = convert(k.input(0), a.computed());
    const Value inverse = 1.0 / sqrt(kernel::reduce_sum(x * x) / row_count(k, x.type) + a.epsilon);
    k.output(convert(x * inverse, scale.type) * scale, outputs[0].dtype);
  }
  static Tensor inverse_length(const Tensor& x, const Dims& rows, float epsilon) {
    return rsqrt(reduce_mean(square(x), rows, true) + epsilon);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor x = cast(in[0], a.computed());
    return {cast(x * inverse_length(x, axes(a, x.rank()), a.epsilon), in[1].dtype()) * in[1]};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor &scale = g.x(1), dy = g.dy();
    const Dims rows = axes(a, g.x().rank());
    const DType type = a.computed();
    const Tensor x = cast(g.x(), type), inverse = inverse_length(x, rows, a.epsilon),
                 normalized = x * inverse;
    Tensors result{{}, {}};
    if (g.needs(0)) {
      const Tensor d = cast(dy, type) * cast(scale, type);
      const Tensor dx = (d - normalized * reduce_mean(d * normalized, rows, true)) * inverse;
      result[0] = cast(dx, g.x().dtype());
    }
    if (g.needs(1)) result[1] = sum_to(dy * cast(normalized, dy.dtype()), scale.shape());
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x({{{1.f, 2.5f, -1.f}, {0.5f, -2.f, 3.f}}, {{4.f, 1.f, -2.f}, {0.25f, 3.f, -0.5f}}});
    const Tensor scale({0.5f, 2.f, -1.f}), matrix({{1.f, 2.f, 3.f}, {0.5f, -1.f, 1.f}});
    return {{{x, scale}, box({.stash_type = onnx_double})},
            {{x, matrix}, box({.axis = 1, .epsilon = 0.25f, .stash_type = onnx_double})},
            {{x, Tensor(1.5f)}, box({.axis = 0, .stash_type = onnx_double})},
            {{zeros({0, 3}), scale}, box({.stash_type = onnx_double})},
            {{x, scale}, {}, false}};
  }
};

struct LpNormalization : Composite {
  static constexpr std::string_view name = "LpNormalization";
  static constexpr int since = 22;
  struct Attributes {
    int64_t axis = -1, p = 2;
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("p", &Attributes::p)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    InferContext::normalize_axis(a.axis, c.rank(0));
    TD_CHECK(a.p == 1 || a.p == 2, "p is {}; allowed are 1 and 2", a.p);
    c.output(c.dtype(0), c.shape(0));
  }
  // Where all is zero, so is the result.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor length = a.p == 1 ? reduce_l1(in[0], a.axis, true) : reduce_l2(in[0], a.axis, true);
    return {in[0] / where(equal(length, 0), 1, length)};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.5f, -1.f}, {0.5f, -2.f, 3.f}});
    return {{{x}, {}},
            {{x}, boxed(Attributes{0, 1})},
            {{x}, boxed(Attributes{-1, 1})},
            {{Tensor({{0.f, 0.f}, {3.f, 4.f}})}, {}, false},
            {{zeros({2, 0})}, {}}};
  }
};

struct MeanVarianceNormalization : Composite {
  static constexpr std::string_view name = "MeanVarianceNormalization";
  static constexpr int since = 13;
  struct Attributes {
    std::vector<int64_t> axes = {0, 2, 3};
    static constexpr auto fields() { return std::tuple{field("axes", &Attributes::axes)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    for (int64_t axis : a.axes) InferContext::normalize_axis(axis, c.rank(0));
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor distance = in[0] - reduce_mean(in[0], a.axes, true);
    return {distance / (sqrt(reduce_mean(square(distance), a.axes, true)) + 1e-9)};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.5f, -1.f}, {0.5f, -2.f, 3.f}});
    return {{{reshape(x, {1, 3, 2, 1})}, {}},
            {{x}, boxed(Attributes{{-1}})},
            {{x}, boxed(Attributes{{}})},
            {{zeros({0, 3})}, boxed(Attributes{{1}})}};
  }
};

constexpr const OpDef* normalization_table[] = {&op_def<LayerNormalization>, &op_def<RMSNormalization>,
                                                &op_def<LpNormalization>, &op_def<MeanVarianceNormalization>};

/// Statistics in double precision for those who compute in it; ONNX's default would lose half the digits.
NormalizationAttributes attributes_for(const Operand& x, int64_t axis, float epsilon) {
  const bool is_double =
      x.is_tensor() ? x.tensor_impl()->dtype == DType::f64 : to_tensor(x).dtype() == DType::f64;
  return {axis, epsilon, is_double ? onnx_double : onnx_float};
}

}  // namespace

std::span<const OpDef* const> normalization_ops() { return normalization_table; }

Tensor layer_normalization(const Operand& x, const Operand& scale, const Operand& bias, int64_t axis,
                           float epsilon) {
  return layer_normalization_statistics(x, scale, bias, axis, epsilon)[0];
}
std::array<Tensor, 3> layer_normalization_statistics(const Operand& x, const Operand& scale,
                                                     const Operand& bias, int64_t axis, float epsilon) {
  Tensors y = dispatch_all<LayerNormalization>(attributes_for(x, axis, epsilon), x, scale, bias);
  return {y[0], y[1], y[2]};
}
Tensor rms_normalization(const Operand& x, const Operand& scale, int64_t axis, float epsilon) {
  return dispatch<RMSNormalization>(attributes_for(x, axis, epsilon), x, scale);
}
Tensor lp_normalization(const Operand& x, int64_t axis, int64_t p) {
  return dispatch<LpNormalization>({axis, p}, x);
}
Tensor mean_variance_normalization(const Operand& x, const std::vector<int64_t>& axes) {
  return dispatch<MeanVarianceNormalization>({axes}, x);
}

}  // namespace tandem
