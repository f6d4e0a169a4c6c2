// The rewrite rules, one row each.
//
// A row says for which dtypes of its first value x not one bit of the result changes (`exact`: NaN,
// infinities, signed zeros and denormals included, a NaN's payload aside), and for which some bits may
// (`fast`). Dtypes in neither set are left alone. Shapes need no care here: the engine in match.cpp keeps the
// result's shape, and leaves a node in place whose failure a row would lose.

#include "compiler/rules.h"

#include <cmath>

namespace tandem {

namespace {

// ---- how rows are written

Term value(int index) { return {Term::Kind::any, index}; }
Term constant(int index) { return {Term::Kind::constant, index}; }
Term optional(int index) { return {Term::Kind::optional, index}; }
Term number(double n) { return {Term::Kind::number, 0, n}; }
Term term(std::string_view op, std::vector<Term> inputs) {
  return {Term::Kind::op, 0, 0, find_op(op), std::move(inputs)};
}

Term operator+(const Term& a, const Term& b) { return term("Add", {a, b}); }
Term operator-(const Term& a, const Term& b) { return term("Sub", {a, b}); }
Term operator*(const Term& a, const Term& b) { return term("Mul", {a, b}); }
Term operator/(const Term& a, const Term& b) { return term("Div", {a, b}); }
Term operator-(const Term& a) { return term("Neg", {a}); }
Term operator<(const Term& a, const Term& b) { return term("Less", {a, b}); }
Term operator<=(const Term& a, const Term& b) { return term("LessOrEqual", {a, b}); }
Term operator>(const Term& a, const Term& b) { return term("Greater", {a, b}); }
Term operator>=(const Term& a, const Term& b) { return term("GreaterOrEqual", {a, b}); }
Term operator==(const Term& a, const Term& b) { return term("Equal", {a, b}); }
Term operator&&(const Term& a, const Term& b) { return term("And", {a, b}); }
Term operator||(const Term& a, const Term& b) { return term("Or", {a, b}); }
Term operator!(const Term& a) { return term("Not", {a}); }
Term pow(const Term& x, const Term& y) { return term("Pow", {x, y}); }
Term abs(const Term& x) { return term("Abs", {x}); }
Term sqrt(const Term& x) { return term("Sqrt", {x}); }
Term reciprocal(const Term& x) { return term("Reciprocal", {x}); }
Term max(const Term& a, const Term& b) { return term("Max", {a, b}); }
Term min(const Term& a, const Term& b) { return term("Min", {a, b}); }
Term where(const Term& c, const Term& a, const Term& b) { return term("Where", {c, a, b}); }
Term reduce_max(const Term& x, const Term& axes) { return term("ReduceMax", {x, axes}); }
Term reduce_min(const Term& x, const Term& axes) { return term("ReduceMin", {x, axes}); }

using types::boolean;
using types::floating;
using types::integer;
using types::is_signed;
using types::numeric;
constexpr TypeSet none = 0;
constexpr TypeSet signed_integer = integer & is_signed;
// Re-association would round f16 and bf16 at other places.
constexpr TypeSet wide = type_bit(DType::f32) | type_bit(DType::f64);

// ---- guards

/// Constant i is a power of two whose reciprocal the dtype has, too: dividing by it is multiplying by that.
template <int i>
bool has_exact_reciprocal(const Match& m) {
  double c = 0;
  int exponent = 0;
  if (!m.number(i, c) || std::abs(std::frexp(c, &exponent)) != 0.5) return false;
  // c is 2^k: 2^-k must be finite, and no smaller than the least denormal.
  const int k = exponent - 1;
  switch (m.spec(0).dtype) {
    case DType::f16:
      return k >= -15 && k <= 15;
    case DType::f64:
      return k >= -1023 && k <= 1023;
    default:
      return k >= -127 && k <= 127;
  }
}

/// Constants 1 and 2 are powers of two, at least 1, and so is their product.
bool scale_up_exactly(const Match& m) {
  double a = 0, b = 0;
  int exponent_a = 0, exponent_b = 0;
  if (!m.number(1, a) || !m.number(2, b)) return false;
  if (a < 1 || b < 1 || std::frexp(a, &exponent_a) != 0.5 || std::frexp(b, &exponent_b) != 0.5) return false;
  const int k = exponent_a + exponent_b - 2;
  return k <= (m.spec(0).dtype == DType::f16 ? 15 : m.spec(0).dtype == DType::f64 ? 1023 : 127);
}

/// Constants 1 and 2 together are no larger than one of them.
bool constants_fit(const Match& m) {
  const Shape &a = m.spec(1).shape, &b = m.spec(2).shape;
  return broadcasts_to(a, b) || broadcasts_to(b, a);
}

/// The exponent, of constant-like kind, takes the base's arithmetic: an integer base has an integer exponent.
bool whole_power(const Match& m) {
  const Node& n = m.rebuild.node(m.root);
  return is_floating(m.spec(0).dtype) || m.rebuild.spec(n.inputs[1]).dtype == m.spec(0).dtype;
}

/// Value 0 has elements whatever its axes: no maximum is over nothing.
bool has_elements(const Match& m) {
  for (int64_t d : m.spec(0).shape)
    if (d <= 0) return false;
  return true;
}

std::vector<Rule> make_rules() {
  const Term x = value(0), y = value(1), z = value(2), w = value(3);
  const Term c1 = constant(1), c2 = constant(2), axes = optional(1);
  const Term zero = number(0), minus_zero = number(-0.0), one = number(1);
  return {
      // neutral and absorbing elements
      {"add_minus_zero", x + minus_zero, x, numeric},
      {"add_zero", x + zero, x, integer, floating},
      {"sub_zero", x - zero, x, numeric},
      {"sub_minus_zero", x - minus_zero, x, none, floating},
      {"minus_zero_sub", minus_zero - x, -x, is_signed},
      {"zero_sub", zero - x, -x, signed_integer, floating},
      {"mul_one", x * one, x, numeric},
      {"div_one", x / one, x, numeric},
      {"mul_minus_one", x * number(-1), -x, is_signed},
      {"div_minus_one", x / number(-1), -x, floating},
      {"mul_zero", x * zero, zero, integer, floating},
      {"zero_div", zero / x, zero, none, floating},
      {"sub_self", x - x, zero, integer, floating},
      {"div_self", x / x, one, none, floating},
      {"one_div", one / x, reciprocal(x), floating},
      {"div_power_of_two", x / c1, x * (one / c1), floating, none, has_exact_reciprocal<1>},
      {"or_true", x || number(1), number(1), boolean},
      {"or_false", x || number(0), x, boolean},
      {"and_true", x && number(1), x, boolean},
      {"and_false", x && number(0), number(0), boolean},
      {"or_self", x || x, x, boolean},
      {"and_self", x && x, x, boolean},
      {"max_self", max(x, x), x, numeric},
      {"min_self", min(x, x), x, numeric},

      // comparisons: a NaN is neither less, equal nor greater
      {"less_self", x < x, number(0), numeric},
      {"less_or_equal_self", x <= x, number(1), integer, floating},
      {"equal_self", x == x, number(1), integer | boolean, floating},
      {"greater", x > y, y < x, numeric},
      {"greater_or_equal", x >= y, y <= x, numeric},
      {"not_less", !(x < y), y <= x, integer},
      {"not_less_or_equal", !(x <= y), y < x, integer},
      {"where_same", where(y, x, x), x},
      {"where_true", where(number(1), x, y), x},
      {"where_false", where(number(0), y, x), x},
      {"where_not", where(!x, y, z), where(x, z, y)},

      // signs
      {"neg_sub_neg", (-x) - (-y), y - x, is_signed},
      {"sub_neg", x - (-y), x + y, is_signed},
      {"add_neg", x + (-y), x - y, is_signed},
      {"neg_sub", -(x - y), y - x, signed_integer, floating},
      {"mul_neg_neg", (-x) * (-y), x * y, is_signed},
      {"div_neg_neg", (-x) / (-y), x / y, floating},
      {"mul_neg_constant", (-x) * c1, x * (-c1), is_signed},
      {"div_neg_constant", (-x) / c1, x / (-c1), floating},
      {"neg_mul_constant", -(x * c1), x * (-c1), is_signed, none, nullptr, true},
      {"neg_div_constant", -(x / c1), x / (-c1), floating, none, nullptr, true},
      {"abs_neg", abs(-x), abs(x), is_signed},
      {"reduce_max_neg", reduce_max(-x, axes), -reduce_min(x, axes), floating, none, nullptr, true},
      {"reduce_min_neg", reduce_min(-x, axes), -reduce_max(x, axes), floating, none, nullptr, true},

      // sums and products. n * x has the bits of x + x + ... up to n = 5, for every x of every dtype
      {"add_thrice", (x + x) + x, number(3) * x, numeric},
      {"add_to_double", number(2) * x + x, number(3) * x, numeric},
      {"add_to_triple", number(3) * x + x, number(4) * x, numeric},
      {"add_to_quadruple", number(4) * x + x, number(5) * x, numeric},
      {"factor", x * y + x * z, x * (y + z), integer, floating},
      {"factor_difference", x * y - x * z, x * (y - z), integer, floating},
      {"factor_quotient", y / x + z / x, (y + z) / x, none, floating},
      {"multiple_plus_one", x * c1 + x, x * (c1 + one), integer, wide},
      {"add_add", (x + c1) + c2, x + (c1 + c2), integer, wide, constants_fit},
      {"add_sub", (x + c1) - c2, x + (c1 - c2), integer, wide, constants_fit},
      {"sub_add", (x - c1) + c2, x + (c2 - c1), integer, wide, constants_fit},
      {"sub_sub", (x - c1) - c2, x - (c1 + c2), integer, wide, constants_fit},
      {"constant_sub_add", (c1 - x) + c2, (c1 + c2) - x, integer, wide, constants_fit},
      {"constant_sub_sub", (c1 - x) - c2, (c1 - c2) - x, integer, wide, constants_fit},
      {"sub_of_add", c2 - (x + c1), (c2 - c1) - x, integer, wide, constants_fit},
      {"sub_of_sub", c2 - (x - c1), (c2 + c1) - x, integer, wide, constants_fit},
      {"sub_of_constant_sub", c2 - (c1 - x), (c2 - c1) + x, integer, wide, constants_fit},
      {"scale_up", (x * c1) * c2, x * (c1 * c2), floating, none, scale_up_exactly},
      {"mul_mul", (x * c1) * c2, x * (c1 * c2), integer, wide, constants_fit},
      {"mul_div", (x * c1) / c2, x * (c1 / c2), none, wide, constants_fit},
      {"div_div", (x / y) / z, x / (y * z), none, wide},
      {"div_constant", x / c1, x * (one / c1), none, floating},
      {"div_of_div", x / (y / z), (x * z) / y, none, wide},

      // powers. pow itself takes x, x * x and 1 / x for the exponents 1, 2 and -1
      {"pow_zero", pow(x, zero), one, numeric, none, whole_power},
      {"pow_one", pow(x, one), x, numeric, none, whole_power},
      {"pow_two", pow(x, number(2)), x * x, numeric, none, whole_power},
      {"pow_minus_one", pow(x, number(-1)), reciprocal(x), floating},
      {"pow_three", pow(x, number(3)), x * (x * x), integer, floating, whole_power, false, 1},
      {"pow_half", pow(x, number(0.5)), sqrt(x), none, floating},
      {"pow_minus_half", pow(x, number(-0.5)), reciprocal(sqrt(x)), none, floating, nullptr, false, 1},

      // functions
      {"log1p", term("Log", {one + x}), term("Log1p", {x}), none, floating},
      {"expm1", term("Exp", {x}) - one, term("Expm1", {x}), none, floating},
      {"reciprocal_reciprocal", reciprocal(reciprocal(x)), x, none, floating},
      {"log_softmax", term("Log", {term("Softmax", {x})}), term("LogSoftmax", {x}), none, floating, nullptr,
       true},

      // f(max(x)) for max(f(x)), f growing: it works on fewer elements
      {"reduce_max_relu", reduce_max(term("Relu", {x}), axes), term("Relu", {reduce_max(x, axes)}), floating,
       none, has_elements, true},
      {"reduce_max_floor", reduce_max(term("Floor", {x}), axes), term("Floor", {reduce_max(x, axes)}),
       floating, none, nullptr, true},
      {"reduce_max_ceil", reduce_max(term("Ceil", {x}), axes), term("Ceil", {reduce_max(x, axes)}), floating,
       none, nullptr, true},
      {"reduce_max_round", reduce_max(term("Round", {x}), axes), term("Round", {reduce_max(x, axes)}),
       floating, none, nullptr, true},
      {"reduce_min_relu", reduce_min(term("Relu", {x}), axes), term("Relu", {reduce_min(x, axes)}), floating,
       none, has_elements, true},
      {"reduce_min_floor", reduce_min(term("Floor", {x}), axes), term("Floor", {reduce_min(x, axes)}),
       floating, none, nullptr, true},
      {"reduce_min_ceil", reduce_min(term("Ceil", {x}), axes), term("Ceil", {reduce_min(x, axes)}), floating,
       none, nullptr, true},
      {"reduce_min_round", reduce_min(term("Round", {x}), axes), term("Round", {reduce_min(x, axes)}),
       floating, none, nullptr, true},
  };
}

}  // namespace

std::span<const Rule> all_rules() {
  static const std::vector<Rule> rules = make_rules();
  return rules;
}

}  // namespace tandem
