// Circular and hyperbolic functions and their inverses.

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/math.h"

namespace tandem {

namespace {

using kernel::Value;

struct Circular : Elementwise {
  static constexpr int since = 22;
  static constexpr TypeSet types = types::floating;
};

struct Sin : Circular {
  static constexpr std::string_view name = "Sin";
  static Value expression(Value x) { return sin(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * cos(g.x())}; }
};

struct Cos : Circular {
  static constexpr std::string_view name = "Cos";
  static Value expression(Value x) { return cos(x); }
  static Tensors gradient(const Gradient& g) { return {-g.dy() * sin(g.x())}; }
};

struct Tan : Circular {
  static constexpr std::string_view name = "Tan";
  static constexpr double low = -1.25, high = 1.25;  // away from the poles
  static Value expression(Value x) { return tan(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * (1 + square(g.y()))}; }
};

struct Asin : Circular {
  static constexpr std::string_view name = "Asin";
  static constexpr double low = -0.875, high = 0.875;
  static Value expression(Value x) { return asin(x); }
  // (1 - x)(1 + x) keeps the digits that 1 - x * x loses near the ends.
  static Tensors gradient(const Gradient& g) { return {g.dy() * rsqrt((1 - g.x()) * (1 + g.x()))}; }
};

struct Acos : Circular {
  static constexpr std::string_view name = "Acos";
  static constexpr double low = -0.875, high = 0.875;
  static Value expression(Value x) { return acos(x); }
  static Tensors gradient(const Gradient& g) { return {-g.dy() * rsqrt((1 - g.x()) * (1 + g.x()))}; }
};

struct Atan : Circular {
  static constexpr std::string_view name = "Atan";
  static Value expression(Value x) { return atan(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / (1 + square(g.x()))}; }
};

struct Sinh : Circular {
  static constexpr std::string_view name = "Sinh";
  static Value expression(Value x) { return sinh(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * cosh(g.x())}; }
};

struct Cosh : Circular {
  static constexpr std::string_view name = "Cosh";
  static Value expression(Value x) { return cosh(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * sinh(g.x())}; }
};

struct Tanh : Circular {
  static constexpr std::string_view name = "Tanh";
  static constexpr int since = 13;
  static Value expression(Value x) { return tanh(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * (1 - square(g.y()))}; }
};

struct Asinh : Circular {
  static constexpr std::string_view name = "Asinh";
  static Value expression(Value x) { return asinh(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * rsqrt(1 + square(g.x()))}; }
};

struct Acosh : Circular {
  static constexpr std::string_view name = "Acosh";
  static constexpr double low = 1.25, high = 3;
  static Value expression(Value x) { return acosh(x); }
  // One root of (x - 1)(x + 1) would be real for x < -1, where acosh is not.
  static Tensors gradient(const Gradient& g) { return {g.dy() * (rsqrt(g.x() - 1) * rsqrt(g.x() + 1))}; }
};

struct Atanh : Circular {
  static constexpr std::string_view name = "Atanh";
  static constexpr double low = -0.875, high = 0.875;
  static Value expression(Value x) { return atanh(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / ((1 - g.x()) * (1 + g.x()))}; }
};

constexpr const OpDef* trigonometry_table[] = {&op_def<Sin>,  &op_def<Cos>,   &op_def<Tan>,   &op_def<Asin>,
                                               &op_def<Acos>, &op_def<Atan>,  &op_def<Sinh>,  &op_def<Cosh>,
                                               &op_def<Tanh>, &op_def<Asinh>, &op_def<Acosh>, &op_def<Atanh>};

}  // namespace

std::span<const OpDef* const> trigonometry_ops() { return trigonometry_table; }

Tensor sin(const Operand& x) { return dispatch<Sin>({}, x); }
Tensor cos(const Operand& x) { return dispatch<Cos>({}, x); }
Tensor tan(const Operand& x) { return dispatch<Tan>({}, x); }
Tensor asin(const Operand& x) { return dispatch<Asin>({}, x); }
Tensor acos(const Operand& x) { return dispatch<Acos>({}, x); }
Tensor atan(const Operand& x) { return dispatch<Atan>({}, x); }
Tensor sinh(const Operand& x) { return dispatch<Sinh>({}, x); }
Tensor cosh(const Operand& x) { return dispatch<Cosh>({}, x); }
Tensor tanh(const Operand& x) { return dispatch<Tanh>({}, x); }
Tensor asinh(const Operand& x) { return dispatch<Asinh>({}, x); }
Tensor acosh(const Operand& x) { return dispatch<Acosh>({}, x); }
Tensor atanh(const Operand& x) { return dispatch<Atanh>({}, x); }

}  // namespace tandem
