// Element-wise functions of one tensor, but for trigonometry and activations.

#include <numbers>

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Value;

struct Neg : Elementwise {
  static constexpr std::string_view name = "Neg";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::is_signed;
  static constexpr uint32_t traits = involution;
  static Value expression(Value x) { return -x; }
  static Tensors gradient(const Gradient& g) { return {-g.dy()}; }
};

struct Abs : Elementwise {
  static constexpr std::string_view name = "Abs";
  static constexpr int since = 13;
  static constexpr uint32_t traits = idempotent;
  static Value expression(Value x) { return abs(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * sign(g.x())}; }
};

struct Exp : Elementwise {
  static constexpr std::string_view name = "Exp";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static Value expression(Value x) { return exp(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * g.y()}; }
};

struct Expm1 : Elementwise {
  static constexpr std::string_view name = "Expm1", domain = "ai.tandem";
  static constexpr TypeSet types = types::floating;
  static Value expression(Value x) { return expm1(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * exp(g.x())}; }
  // Near 0, where exp(x) - 1 cancels: with t = tanh(x / 2) it is 2t / (1 - t).
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor& x = in[0];
    const Tensor near = abs(x) < 0.5;
    const Tensor t = tanh(where(near, x, 0) * 0.5);
    return {where(near, 2 * t / (1 - t), exp(x) - 1)};
  }
};

struct Log : Elementwise {
  static constexpr std::string_view name = "Log";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static constexpr double low = 0.5, high = 3;
  static Value expression(Value x) { return log(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / g.x()}; }
};

struct Log1p : Elementwise {
  static constexpr std::string_view name = "Log1p", domain = "ai.tandem";
  static constexpr TypeSet types = types::floating;
  static constexpr double low = -0.75, high = 3;
  static Value expression(Value x) { return log1p(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / (1 + g.x())}; }
  // Near 0, where 1 + x rounds: log(1 + x) = 2 atanh(x / (2 + x)).
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor& x = in[0];
    const Tensor near = abs(x) < 0.5;
    const Tensor small = where(near, x, 0);
    return {where(near, 2 * atanh(small / (2 + small)), log(1 + x))};
  }
};

struct Sqrt : Elementwise {
  static constexpr std::string_view name = "Sqrt";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static constexpr double low = 0.25, high = 3;
  static Value expression(Value x) { return sqrt(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / (2 * g.y())}; }
};

struct Reciprocal : Elementwise {
  static constexpr std::string_view name = "Reciprocal";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static constexpr double low = 0.5, high = 3;
  static Value expression(Value x) { return reciprocal(x); }
  static Tensors gradient(const Gradient& g) { return {-g.dy() * g.y() * g.y()}; }
};

struct Erf : Elementwise {
  static constexpr std::string_view name = "Erf";
  static constexpr int since = 13;
  static Value expression(Value x) {
    return is_floating(x.type) ? erf(x) : convert(erf(convert(x, DType::f64)), x.type);
  }
  static Tensors gradient(const Gradient& g) {
    return {g.dy() * exp(-square(g.x())) * (2 * std::numbers::inv_sqrtpi)};
  }
};

/// Steps: flat almost everywhere.
struct Step : Elementwise {
  static constexpr TypeSet types = types::floating;
  static constexpr uint32_t traits = idempotent;
  static Tensors gradient(const Gradient& g) { return {zeros_like(g.x())}; }
};

struct Sign : Step {
  static constexpr std::string_view name = "Sign";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::numeric;
  static Value expression(Value x) { return sign(x); }
};

struct Floor : Step {
  static constexpr std::string_view name = "Floor";
  static constexpr int since = 13;
  static Value expression(Value x) { return floor(x); }
};

struct Ceil : Step {
  static constexpr std::string_view name = "Ceil";
  static constexpr int since = 13;
  static Value expression(Value x) { return ceil(x); }
};

struct Round : Step {
  static constexpr std::string_view name = "Round";
  static constexpr int since = 22;
  static Value expression(Value x) { return round(x); }
};

struct Cast : Elementwise {
  static constexpr std::string_view name = "Cast";
  static constexpr int since = 28;
  static constexpr uint32_t traits = converts;
  static constexpr TypeSet types = types::all;
  struct Attributes {
    DType to = DType::f32;
    static constexpr auto fields() { return std::tuple{field("to", &Attributes::to)}; }
  };
  static DType result(const InferContext&, const Attributes& a) { return a.to; }
  static Value expression(const Attributes& a, Value x) {
    const bool narrow = a.to == DType::f16 || a.to == DType::bf16;  // rounded when stored
    return convert(x, narrow ? DType::f32 : a.to);
  }
  static Tensors gradient(const Gradient& g) {
    return {is_floating(g.y().dtype()) ? cast(g.dy(), g.x().dtype()) : Tensor()};
  }
};

constexpr const OpDef* unary_table[] = {&op_def<Neg>,   &op_def<Abs>,   &op_def<Exp>,   &op_def<Expm1>,
                                        &op_def<Log>,   &op_def<Log1p>, &op_def<Sqrt>,  &op_def<Reciprocal>,
                                        &op_def<Erf>,   &op_def<Sign>,  &op_def<Floor>, &op_def<Ceil>,
                                        &op_def<Round>, &op_def<Cast>};

}  // namespace

std::span<const OpDef* const> unary_ops() { return unary_table; }

Tensor neg(const Operand& x) { return dispatch<Neg>({}, x); }
Tensor operator-(const Operand& x) { return dispatch<Neg>({}, x); }
Tensor abs(const Operand& x) { return dispatch<Abs>({}, x); }
Tensor exp(const Operand& x) { return dispatch<Exp>({}, x); }
Tensor expm1(const Operand& x) { return dispatch<Expm1>({}, x); }
Tensor log(const Operand& x) { return dispatch<Log>({}, x); }
Tensor log1p(const Operand& x) { return dispatch<Log1p>({}, x); }
Tensor sqrt(const Operand& x) { return dispatch<Sqrt>({}, x); }
Tensor rsqrt(const Operand& x) {
  const CallSite site(x);
  return reciprocal(sqrt(x));
}
Tensor square(const Operand& x) { return mul(x, x); }
Tensor reciprocal(const Operand& x) { return dispatch<Reciprocal>({}, x); }
Tensor erf(const Operand& x) { return dispatch<Erf>({}, x); }
Tensor sign(const Operand& x) { return dispatch<Sign>({}, x); }
Tensor floor(const Operand& x) { return dispatch<Floor>({}, x); }
Tensor ceil(const Operand& x) { return dispatch<Ceil>({}, x); }
Tensor round(const Operand& x) { return dispatch<Round>({}, x); }
Tensor cast(const Operand& x, DType dtype) {
  if (x.is_tensor() && x.tensor_impl()->dtype == dtype) return Tensor::share(x.tensor_impl());
  return dispatch<Cast>({dtype}, x);
}

}  // namespace tandem
