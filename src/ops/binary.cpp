// Element-wise arithmetic of two tensors.

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"

namespace tandem {

namespace {

using kernel::Value;

struct Add : Elementwise {
  static constexpr std::string_view name = "Add";
  static constexpr int since = 14;
  static constexpr uint32_t traits = commutative;
  static Value expression(Value a, Value b) { return a + b; }
  static Tensors gradient(const Gradient& g) { return {g.dy(), g.dy()}; }
};

struct Sub : Elementwise {
  static constexpr std::string_view name = "Sub";
  static constexpr int since = 14;
  static Value expression(Value a, Value b) { return a - b; }
  static Tensors gradient(const Gradient& g) { return {g.dy(), g.needs(1) ? -g.dy() : Tensor()}; }
};

struct Mul : Elementwise {
  static constexpr std::string_view name = "Mul";
  static constexpr int since = 14;
  static constexpr uint32_t traits = commutative;
  static Value expression(Value a, Value b) { return a * b; }
  static Tensors gradient(const Gradient& g) {
    return {g.needs(0) ? g.dy() * g.x(1) : Tensor(), g.needs(1) ? g.dy() * g.x(0) : Tensor()};
  }
};

struct Div : Elementwise {
  static constexpr std::string_view name = "Div";
  static constexpr int since = 14;
  static constexpr double low = 1, high = 3;  // away from a zero divisor
  static Value expression(Value a, Value b) { return a / b; }
  static Tensors gradient(const Gradient& g) {
    return {g.needs(0) ? g.dy() / g.x(1) : Tensor(), g.needs(1) ? -g.dy() * g.y() / g.x(1) : Tensor()};
  }
};

struct Pow : Elementwise {
  static constexpr std::string_view name = "Pow";
  static constexpr int since = 15;
  static constexpr double low = 0.5, high = 2;
  static constexpr std::array<InputDef, 2> inputs{
      {{"X", types::numeric}, {"Y", types::numeric, 0, InputDef::mixed}}};
  // Exponents of another dtype are converted to the base's, but for a fractional power of integers.
  static Value expression(Value x, Value y) {
    if (x.type == y.type) return pow(x, y);
    if (is_integer(x.type) && is_floating(y.type))
      return convert(pow(convert(x, DType::f64), convert(y, DType::f64)), x.type);
    return pow(x, convert(y, x.type));
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor& x = g.x(0);
    const Tensor& y = g.x(1);
    Tensors result{{}, {}};
    if (g.needs(0)) result[0] = g.dy() * y * pow(x, y - 1);
    // At x = 0 the logarithm is -inf while the derivative is 0 for positive exponents.
    if (g.needs(1)) result[1] = where(equal(x, 0), zeros_like(g.y()), g.dy() * g.y() * log(x));
    return result;
  }
};

constexpr const OpDef* table[] = {&op_def<Add>, &op_def<Sub>, &op_def<Mul>, &op_def<Div>, &op_def<Pow>};

}  // namespace

std::span<const OpDef* const> binary_ops() { return table; }

Tensor add(const Operand& a, const Operand& b) { return dispatch<Add>({}, a, b); }
Tensor sub(const Operand& a, const Operand& b) { return dispatch<Sub>({}, a, b); }
Tensor mul(const Operand& a, const Operand& b) { return dispatch<Mul>({}, a, b); }
Tensor div(const Operand& a, const Operand& b) { return dispatch<Div>({}, a, b); }
Tensor pow(const Operand& base, const Operand& exponent) { return dispatch<Pow>({}, base, exponent); }

Tensor operator+(const Operand& a, const Operand& b) { return dispatch<Add>({}, a, b); }
Tensor operator-(const Operand& a, const Operand& b) { return dispatch<Sub>({}, a, b); }
Tensor operator*(const Operand& a, const Operand& b) { return dispatch<Mul>({}, a, b); }
Tensor operator/(const Operand& a, const Operand& b) { return dispatch<Div>({}, a, b); }

Tensor& operator+=(Tensor& a, const Operand& b) { return a = a + b; }
Tensor& operator-=(Tensor& a, const Operand& b) { return a = a - b; }
Tensor& operator*=(Tensor& a, const Operand& b) { return a = a * b; }
Tensor& operator/=(Tensor& a, const Operand& b) { return a = a / b; }

}  // namespace tandem
