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

/// How often b went into a, from the remainder r: a whole number.
Tensor times(const Tensor& a, const Tensor& b, const Tensor& r) { return round((a - r) / b); }

struct Mod : Elementwise {
  static constexpr std::string_view name = "Mod";
  static constexpr int since = 13;
  struct Attributes {
    bool fmod = false;
    static constexpr auto fields() { return std::tuple{field("fmod", &Attributes::fmod)}; }
  };
  static DType result(const InferContext& c, const Attributes& a) {
    TD_CHECK(a.fmod || !is_floating(c.dtype(0)),
             "dtype {} needs fmod = true, the remainder with the dividend's sign; for the divisor's sign "
             "there is td::floor_mod",
             c.dtype(0));
    return c.dtype(0);
  }
  static Value expression(const Attributes& a, Value x, Value y) {
    return a.fmod ? kernel::fmod(x, y) : modulo(x, y);
  }
  static Tensors gradient(const Gradient& g, const Attributes&) {
    return {g.dy(), g.needs(1) ? -g.dy() * times(g.x(0), g.x(1), g.y()) : Tensor()};
  }
  static std::vector<Sample> samples() {
    const Attributes c{.fmod = true};
    const AttributeBox fmod(attribute_type<Attributes>, &c);
    const Tensor divisors({3.f, 3.f, -2.5f, 2.5f}), whole({3, 3, -3, 2});
    return {{{Tensor({7.25f, -7.25f, 4.f, -0.5f}), divisors}, fmod},
            {{Tensor({{7.25f}, {-1.f}}), divisors}, fmod},
            {{Tensor({7, -7, 4, -1}), whole}, fmod},
            {{Tensor({7, -7, 4, -1}), whole}, {}},
            {{Tensor({{7}, {-1}}), whole}, {}}};
  }
};

struct FloorMod : Elementwise {
  static constexpr std::string_view name = "FloorMod", domain = "ai.tandem";
  static Value expression(Value x, Value y) { return modulo(x, y); }
  static Tensors gradient(const Gradient& g) {
    return {g.dy(), g.needs(1) ? -g.dy() * times(g.x(0), g.x(1), g.y()) : Tensor()};
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    if (!is_floating(in[0].dtype())) return {mod(in[0], in[1])};
    const Tensor r = fmod(in[0], in[1]);
    return {where((r != 0) & ((r < 0) ^ (in[1] < 0)), r + in[1], r)};
  }
  static std::vector<Sample> samples() {
    const Tensor divisors({3.f, 3.f, -2.5f, 2.5f});
    return {{{Tensor({7.25f, -7.25f, 4.f, -0.5f}), divisors}, {}},
            {{Tensor({{7.25f}, {-1.f}}), divisors}, {}},
            {{Tensor({7, -7, 4, -1}), Tensor({3, 3, -3, 2})}, {}}};
  }
};

constexpr const OpDef* binary_table[] = {&op_def<Add>, &op_def<Sub>, &op_def<Mul>,     &op_def<Div>,
                                         &op_def<Pow>, &op_def<Mod>, &op_def<FloorMod>};

}  // namespace

std::span<const OpDef* const> binary_ops() { return binary_table; }

Tensor add(const Operand& a, const Operand& b) { return dispatch<Add>({}, a, b); }
Tensor sub(const Operand& a, const Operand& b) { return dispatch<Sub>({}, a, b); }
Tensor mul(const Operand& a, const Operand& b) { return dispatch<Mul>({}, a, b); }
Tensor div(const Operand& a, const Operand& b) { return dispatch<Div>({}, a, b); }
Tensor pow(const Operand& base, const Operand& exponent) { return dispatch<Pow>({}, base, exponent); }
Tensor mod(const Operand& a, const Operand& b, bool fmod) { return dispatch<Mod>({fmod}, a, b); }
Tensor fmod(const Operand& a, const Operand& b) { return dispatch<Mod>({.fmod = true}, a, b); }
Tensor floor_mod(const Operand& a, const Operand& b) { return dispatch<FloorMod>({}, a, b); }

Tensor operator+(const Operand& a, const Operand& b) { return dispatch<Add>({}, a, b); }
Tensor operator-(const Operand& a, const Operand& b) { return dispatch<Sub>({}, a, b); }
Tensor operator*(const Operand& a, const Operand& b) { return dispatch<Mul>({}, a, b); }
Tensor operator/(const Operand& a, const Operand& b) { return dispatch<Div>({}, a, b); }

Tensor& operator+=(Tensor& a, const Operand& b) { return a = a + b; }
Tensor& operator-=(Tensor& a, const Operand& b) { return a = a - b; }
Tensor& operator*=(Tensor& a, const Operand& b) { return a = a * b; }
Tensor& operator/=(Tensor& a, const Operand& b) { return a = a / b; }

}  // namespace tandem
