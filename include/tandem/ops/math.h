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
/// Natural logarithm, ONNX Log. Floating dtypes; negative numbers give NaN.
Tensor log(const Operand& x);
/// Element-wise maximum, ONNX Max, of two tensors; IEEE 754-2019 maximum: NaN wins, -0 < +0.
Tensor maximum(const Operand& a, const Operand& b);

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
