#pragma once
// Element-wise mathematics. Arguments broadcast as in NumPy; tensors of different dtypes are an error,
// numbers take the tensor's dtype.

#include "tandem/operand.h"

namespace tandem {

/// Element-wise sum, ONNX Add. Numeric dtypes; integers wrap. `td::add({1, 2}, 3)`
Tensor add(const Operand& a, const Operand& b);
/// Element-wise difference, ONNX Sub. Numeric dtypes; integers wrap.
Tensor sub(const Operand& a, const Operand& b);
/// Element-wise product, ONNX Mul. Numeric dtypes; integers wrap.
Tensor mul(const Operand& a, const Operand& b);
/// Element-wise quotient, ONNX Div. Integers truncate toward zero; error: a zero integer divisor.
Tensor div(const Operand& a, const Operand& b);
/// Negation, ONNX Neg. Signed dtypes.
Tensor neg(const Operand& x);
/// Power, ONNX Pow: IEEE pow's special cases; the result has the base's dtype. `td::pow(x, 2)`
Tensor pow(const Operand& base, const Operand& exponent);
/// e to the power x, ONNX Exp. Floating dtypes.
Tensor exp(const Operand& x);
/// exp(x) - 1, accurate near 0. Floating dtypes.
Tensor expm1(const Operand& x);
/// Natural logarithm, ONNX Log. Floating dtypes; negative numbers give NaN.
Tensor log(const Operand& x);
/// log(1 + x), accurate near 0. Floating dtypes.
Tensor log1p(const Operand& x);
/// The error function, ONNX Erf. Numeric dtypes; integers truncate the result.
Tensor erf(const Operand& x);
/// Absolute value, ONNX Abs. Numeric dtypes.
Tensor abs(const Operand& x);
/// -1, 0 or 1 by the sign, ONNX Sign. Numeric dtypes; NaN stays NaN.
Tensor sign(const Operand& x);
/// Square root, ONNX Sqrt. Floating dtypes; negative numbers give NaN.
Tensor sqrt(const Operand& x);
/// 1 / sqrt(x). Floating dtypes.
Tensor rsqrt(const Operand& x);
/// x * x. Numeric dtypes; integers wrap.
Tensor square(const Operand& x);
/// 1 / x, ONNX Reciprocal. Floating dtypes.
Tensor reciprocal(const Operand& x);
/// The largest whole number not above x, ONNX Floor. Floating dtypes; the gradient is zero.
Tensor floor(const Operand& x);
/// The smallest whole number not below x, ONNX Ceil. Floating dtypes; the gradient is zero.
Tensor ceil(const Operand& x);
/// The nearest whole number, halves to the even one, ONNX Round. Floating dtypes; the gradient is zero.
Tensor round(const Operand& x);

/// Remainder of a / b, ONNX Mod: with the divisor's sign (integers only), or, with `fmod`, with the
/// dividend's as C's fmod. `td::mod(x, 3)`. Errors: floating dtypes without `fmod`, a zero integer divisor.
Tensor mod(const Operand& a, const Operand& b, bool fmod = false);
/// Remainder of a / b with the dividend's sign, as C's fmod and %. Numeric dtypes.
Tensor fmod(const Operand& a, const Operand& b);
/// Remainder of a / b with the divisor's sign, as Python's %. Numeric dtypes.
Tensor floor_mod(const Operand& a, const Operand& b);

/// Element-wise maximum, ONNX Max; IEEE 754-2019 maximum: NaN wins, -0 < +0. Numeric dtypes.
Tensor maximum(const Operand& a, const Operand& b);
/// Element-wise maximum of any number of tensors.
Tensor maximum(const std::vector<Tensor>& tensors, Location where = here());
/// Element-wise minimum, ONNX Min; IEEE 754-2019 minimum: NaN wins, -0 < +0. Numeric dtypes.
Tensor minimum(const Operand& a, const Operand& b);
/// Element-wise minimum of any number of tensors.
Tensor minimum(const std::vector<Tensor>& tensors, Location where = here());
/// Element-wise sum of any number of tensors, ONNX Sum. Floating dtypes. `td::add_n({a, b, c})`
Tensor add_n(const std::vector<Tensor>& tensors, Location where = here());
/// Element-wise mean of any number of tensors, ONNX Mean. Floating dtypes.
Tensor mean_n(const std::vector<Tensor>& tensors, Location where = here());
/// min(max(x, low), high), ONNX Clip; either bound may be left out. Numeric dtypes; bounds broadcast.
/// `td::clip(x, 0, 6)`, `td::clip(x, nullptr, 1)`. The gradient passes where low <= x <= high.
Tensor clip(const Operand& x, const Operand& low = nullptr, const Operand& high = nullptr);

/// Sine of an angle in radians, ONNX Sin. Floating dtypes, as all that follow.
Tensor sin(const Operand& x);
/// Cosine, ONNX Cos.
Tensor cos(const Operand& x);
/// Tangent, ONNX Tan.
Tensor tan(const Operand& x);
/// Inverse sine, ONNX Asin; NaN outside -1 to 1.
Tensor asin(const Operand& x);
/// Inverse cosine, ONNX Acos; NaN outside -1 to 1.
Tensor acos(const Operand& x);
/// Inverse tangent, ONNX Atan.
Tensor atan(const Operand& x);
/// Hyperbolic sine, ONNX Sinh.
Tensor sinh(const Operand& x);
/// Hyperbolic cosine, ONNX Cosh.
Tensor cosh(const Operand& x);
/// Hyperbolic tangent, ONNX Tanh.
Tensor tanh(const Operand& x);
/// Inverse hyperbolic sine, ONNX Asinh.
Tensor asinh(const Operand& x);
/// Inverse hyperbolic cosine, ONNX Acosh; NaN below 1.
Tensor acosh(const Operand& x);
/// Inverse hyperbolic tangent, ONNX Atanh; NaN outside -1 to 1.
Tensor atanh(const Operand& x);

/// Add, Sub, Mul, Div and Neg, element by element; the shapes broadcast, a number takes the tensor's dtype.
Tensor operator+(const Operand& a, const Operand& b);
Tensor operator-(const Operand& a, const Operand& b);
Tensor operator*(const Operand& a, const Operand& b);
Tensor operator/(const Operand& a, const Operand& b);
Tensor operator-(const Operand& x);

/// Rebinds: `x += y` is `x = x + y`; other handles of the old value keep it.
Tensor& operator+=(Tensor& a, const Operand& b);
Tensor& operator-=(Tensor& a, const Operand& b);
Tensor& operator*=(Tensor& a, const Operand& b);
Tensor& operator/=(Tensor& a, const Operand& b);

}  // namespace tandem
