// Element-wise activations.

#include "tandem/ops/activation.h"

#include <numbers>

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"

namespace tandem {

namespace {

using kernel::Value;

struct Activation : Elementwise {
  static constexpr TypeSet types = types::floating;
};

/// An activation with one attribute, alpha.
template <class Op>
struct AlphaAttributes {
  float alpha = Op::default_alpha;
  static constexpr auto fields() { return std::tuple{field("alpha", &AlphaAttributes::alpha)}; }
};

Value zero_like(Value x) { return constant_like(x, 0); }
Value where_positive(Value x, Value a, Value b) { return select(greater(x, zero_like(x)), a, b); }

struct Relu : Activation {
  static constexpr std::string_view name = "Relu";
  static constexpr int since = 14;
  static constexpr TypeSet types = types::is_signed;
  static constexpr uint32_t traits = idempotent;
  static Value expression(Value x) { return kernel::maximum(x, zero_like(x)); }
  static Tensors gradient(const Gradient& g) { return {where(g.y() > 0, g.dy(), 0)}; }
};

struct LeakyRelu : Activation {
  static constexpr std::string_view name = "LeakyRelu";
  static constexpr int since = 16;
  static constexpr float default_alpha = 0.01f;
  using Attributes = AlphaAttributes<LeakyRelu>;
  static Value expression(const Attributes& a, Value x) { return where_positive(x, x, x * a.alpha); }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where(g.x() > 0, g.dy(), g.dy() * a.alpha)};
  }
};

struct PRelu : Activation {
  static constexpr std::string_view name = "PRelu";
  static constexpr int since = 16;
  static constexpr TypeSet types = types::floating | type_bit(DType::u32) | type_bit(DType::i32) |
                                   type_bit(DType::u64) | type_bit(DType::i64);
  static constexpr std::array<InputDef, 2> inputs{{{"X", types}, {"slope", types}}};
  static DType result(const InferContext& c, const NoAttributes&) {
    TD_CHECK(broadcast_shapes(c.shape(0), c.shape(1), &c).rank() == c.rank(0),
             "slopes of shape {} do not broadcast to the input's shape {}", c.shape(1), c.shape(0));
    return c.dtype(0);
  }
  static Value expression(Value x, Value slope) { return select(less(x, zero_like(x)), slope * x, x); }
  static Tensors gradient(const Gradient& g) {
    const Tensor dy = g.dy(), positive = g.x(0) > 0;
    return {g.needs(0) ? where(positive, dy, dy * g.x(1)) : Tensor(),
            g.needs(1) ? where(positive, 0, dy * g.x(0)) : Tensor()};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, -2.f, 0.5f}, {-0.25f, 3.f, -1.f}});
    return {{{x, Tensor({0.25f, 0.5f, -0.125f})}, {}}, {{x, Tensor(0.25f)}, {}}, {{x, x * 2}, {}}};
  }
};

struct Elu : Activation {
  static constexpr std::string_view name = "Elu";
  static constexpr int since = 22;
  static constexpr float default_alpha = 1;
  using Attributes = AlphaAttributes<Elu>;
  static Value expression(const Attributes& a, Value x) {
    return where_positive(x, x, expm1(kernel::minimum(x, zero_like(x))) * a.alpha);
  }
  // alpha * exp(x) is y + alpha, which cannot overflow where it is not chosen.
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where(g.x() > 0, g.dy(), g.dy() * (g.y() + a.alpha))};
  }
};

struct Celu : Activation {
  static constexpr std::string_view name = "Celu";
  static constexpr int since = 12;
  static constexpr float default_alpha = 1;
  using Attributes = AlphaAttributes<Celu>;
  static Value expression(const Attributes& a, Value x) {
    return where_positive(x, x, expm1(kernel::minimum(x, zero_like(x)) / a.alpha) * a.alpha);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where(g.x() > 0, g.dy(), g.dy() * (g.y() / a.alpha + 1))};
  }
};

struct Selu : Activation {
  static constexpr std::string_view name = "Selu";
  static constexpr int since = 22;
  struct Attributes {
    float alpha = 1.67326319217681884765625f, gamma = 1.05070102214813232421875f;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("gamma", &Attributes::gamma)};
    }
  };
  static Value expression(const Attributes& a, Value x) {
    return where_positive(x, x, expm1(kernel::minimum(x, zero_like(x))) * a.alpha) * a.gamma;
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const double scale = static_cast<double>(a.alpha) * a.gamma;
    return {where(g.x() > 0, g.dy() * a.gamma, g.dy() * (g.y() + scale))};
  }
};

struct ThresholdedRelu : Activation {
  static constexpr std::string_view name = "ThresholdedRelu";
  static constexpr int since = 22;
  static constexpr float default_alpha = 1;
  using Attributes = AlphaAttributes<ThresholdedRelu>;
  static Value expression(const Attributes& a, Value x) {
    return select(greater(x, constant_like(x, a.alpha)), x, zero_like(x));
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where(g.x() > a.alpha, g.dy(), 0)};
  }
};

struct HardSigmoid : Activation {
  static constexpr std::string_view name = "HardSigmoid";
  static constexpr int since = 22;
  static constexpr double low = -4, high = 4;
  struct Attributes {
    float alpha = 0.2f, beta = 0.5f;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("beta", &Attributes::beta)};
    }
  };
  static Value expression(const Attributes& a, Value x) {
    const Value line = x * a.alpha + a.beta;
    return kernel::maximum(kernel::minimum(line, constant_like(x, 1)), zero_like(x));
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where((g.y() > 0) & (g.y() < 1), g.dy() * a.alpha, 0)};
  }
};

struct HardSwish : Activation {
  static constexpr std::string_view name = "HardSwish";
  static constexpr int since = 22;
  static constexpr double low = -4, high = 4;
  static Value expression(Value x) {
    return x * kernel::maximum(kernel::minimum(x / 6 + 0.5, constant_like(x, 1)), zero_like(x));
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor& x = g.x();
    return {where(x >= 3, g.dy(), where(x > -3, g.dy() * (x / 3 + 0.5), 0))};
  }
};

struct Sigmoid : Activation {
  static constexpr std::string_view name = "Sigmoid";
  static constexpr int since = 13;
  static Value expression(Value x) { return sigmoid(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * g.y() * (1 - g.y())}; }
};

struct Softplus : Activation {
  static constexpr std::string_view name = "Softplus";
  static constexpr int since = 22;
  static Value expression(Value x) { return softplus(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * sigmoid(g.x())}; }
};

struct Softsign : Activation {
  static constexpr std::string_view name = "Softsign";
  static constexpr int since = 22;
  static Value expression(Value x) { return x / (abs(x) + 1); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / square(abs(g.x()) + 1)}; }
};

struct Swish : Activation {
  static constexpr std::string_view name = "Swish";
  static constexpr int since = 24;
  static constexpr float default_alpha = 1;
  using Attributes = AlphaAttributes<Swish>;
  static Value expression(const Attributes& a, Value x) {
    return x * sigmoid(a.alpha == 1 ? x : x * a.alpha);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return {in[0] * sigmoid(in[0] * a.alpha)};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor scaled = g.x() * a.alpha, s = sigmoid(scaled);
    return {g.dy() * (s * (1 + scaled * (1 - s)))};
  }
};

struct Mish : Activation {
  static constexpr std::string_view name = "Mish";
  static constexpr int since = 22;
  static Value expression(Value x) { return x * tanh(softplus(x)); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {in[0] * tanh(softplus(in[0]))};
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor t = tanh(softplus(g.x()));
    return {g.dy() * (t + g.x() * sigmoid(g.x()) * (1 - square(t)))};
  }
};

struct Gelu : Activation {
  static constexpr std::string_view name = "Gelu";
  static constexpr int since = 20;
  struct Attributes {
    Word approximate = "none";
    static constexpr auto fields() { return std::tuple{field("approximate", &Attributes::approximate)}; }
  };
  static constexpr double slope = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;  // sqrt(2 / pi)
  static constexpr double cubic = 0.044715;

  static DType result(const InferContext& c, const Attributes& a) {
    TD_CHECK(a.approximate == "none" || a.approximate == "tanh",
             "approximation \"{}\" is unknown; allowed are \"none\" and \"tanh\"",
             std::string_view(a.approximate));
    return c.dtype(0);
  }
  static Value expression(const Attributes& a, Value x) {
    if (a.approximate == "none") return x * 0.5 * (erf(x * (std::numbers::sqrt2 / 2)) + 1);
    return x * 0.5 * (tanh((x * x * x * cubic + x) * slope) + 1);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor& x = in[0];
    if (a.approximate == "none") return {x * 0.5 * (erf(x * (std::numbers::sqrt2 / 2)) + 1)};
    return {x * 0.5 * (tanh((x * x * x * cubic + x) * slope) + 1)};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor& x = g.x();
    if (a.approximate == "none") {
      const Tensor below = 0.5 * (1 + erf(x * (std::numbers::sqrt2 / 2)));
      const Tensor density = exp(square(x) * -0.5) * (slope / 2);
      return {g.dy() * (below + x * density)};
    }
    const Tensor squared = square(x);
    const Tensor t = tanh(x * (1 + squared * cubic) * slope);
    return {g.dy() * (0.5 * (1 + t) + 0.5 * x * (1 - square(t)) * (1 + 3 * cubic * squared) * slope)};
  }
  static std::vector<Sample> samples() {
    const Attributes tanh_form{.approximate = "tanh"};
    std::vector<Sample> all;
    for (const Tensor& x : {Tensor({-3.f, -0.5f, 0.f, 1.f, 4.f}), Tensor({{0.25f}, {-1.5f}})}) {
      all.push_back({{x}, {}});
      all.push_back({{x}, AttributeBox(attribute_type<Attributes>, &tanh_form)});
    }
    return all;
  }
};

struct Shrink : Activation {
  static constexpr std::string_view name = "Shrink";
  static constexpr int since = 9;
  static constexpr TypeSet types = types::numeric;
  struct Attributes {
    float bias = 0, lambd = 0.5f;
    static constexpr auto fields() {
      return std::tuple{field("bias", &Attributes::bias), field("lambd", &Attributes::lambd)};
    }
  };
  static Value expression(const Attributes& a, Value x) {
    if (is_integer(x.type))  // the bounds are fractions
      return convert(expression(a, convert(x, DType::f64)), x.type);
    return select(less(x, constant_like(x, -a.lambd)), x + a.bias,
                  select(greater(x, constant_like(x, a.lambd)), x - a.bias, zero_like(x)));
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {where(abs(g.x()) > a.lambd, g.dy(), 0)};
  }
};

constexpr const OpDef* activation_table[] = {
    &op_def<Relu>,     &op_def<LeakyRelu>,       &op_def<PRelu>,       &op_def<Elu>,       &op_def<Celu>,
    &op_def<Selu>,     &op_def<ThresholdedRelu>, &op_def<HardSigmoid>, &op_def<HardSwish>, &op_def<Sigmoid>,
    &op_def<Softplus>, &op_def<Softsign>,        &op_def<Swish>,       &op_def<Mish>,      &op_def<Gelu>,
    &op_def<Shrink>};

}  // namespace

std::span<const OpDef* const> activation_ops() { return activation_table; }

Tensor relu(const Operand& x) { return dispatch<Relu>({}, x); }
Tensor leaky_relu(const Operand& x, float alpha) { return dispatch<LeakyRelu>({alpha}, x); }
Tensor prelu(const Operand& x, const Operand& slope) { return dispatch<PRelu>({}, x, slope); }
Tensor elu(const Operand& x, float alpha) { return dispatch<Elu>({alpha}, x); }
Tensor celu(const Operand& x, float alpha) { return dispatch<Celu>({alpha}, x); }
Tensor selu(const Operand& x) { return dispatch<Selu>({}, x); }
Tensor selu(const Operand& x, float alpha, float gamma) { return dispatch<Selu>({alpha, gamma}, x); }
Tensor thresholded_relu(const Operand& x, float alpha) { return dispatch<ThresholdedRelu>({alpha}, x); }
Tensor hard_sigmoid(const Operand& x, float alpha, float beta) {
  return dispatch<HardSigmoid>({alpha, beta}, x);
}
Tensor hard_swish(const Operand& x) { return dispatch<HardSwish>({}, x); }
Tensor sigmoid(const Operand& x) { return dispatch<Sigmoid>({}, x); }
Tensor softplus(const Operand& x) { return dispatch<Softplus>({}, x); }
Tensor softsign(const Operand& x) { return dispatch<Softsign>({}, x); }
Tensor swish(const Operand& x, float alpha) { return dispatch<Swish>({alpha}, x); }
Tensor mish(const Operand& x) { return dispatch<Mish>({}, x); }
Tensor gelu(const Operand& x, std::string_view approximate) { return dispatch<Gelu>({approximate}, x); }
Tensor shrink(const Operand& x, float bias, float lambd) { return dispatch<Shrink>({bias, lambd}, x); }

}  // namespace tandem
