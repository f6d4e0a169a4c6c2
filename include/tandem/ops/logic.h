#pragma once
// Comparisons, logic, bits, and selection. All broadcast.

#include <string_view>

#include "tandem/operand.h"

namespace tandem {

/// Element-wise a == b as bool, ONNX Equal. All dtypes; NaN equals nothing.
Tensor equal(const Operand& a, const Operand& b);
/// Element-wise a != b as bool. All dtypes; NaN differs from everything.
Tensor not_equal(const Operand& a, const Operand& b);
/// Element-wise a < b as bool, ONNX Less. Numeric dtypes; false where a NaN is compared, as the next three.
Tensor less(const Operand& a, const Operand& b);
/// Element-wise a <= b as bool, ONNX LessOrEqual. Numeric dtypes.
Tensor less_or_equal(const Operand& a, const Operand& b);
/// Element-wise a > b as bool, ONNX Greater. Numeric dtypes.
Tensor greater(const Operand& a, const Operand& b);
/// Element-wise a >= b as bool, ONNX GreaterOrEqual. Numeric dtypes.
Tensor greater_or_equal(const Operand& a, const Operand& b);
/// Takes from `a` where the condition holds, else from `b`, ONNX Where. All three broadcast.
Tensor where(const Operand& condition, const Operand& a, const Operand& b);

/// Both hold, ONNX And. bool.
Tensor logical_and(const Operand& a, const Operand& b);
/// One of them holds or both, ONNX Or. bool.
Tensor logical_or(const Operand& a, const Operand& b);
/// Exactly one of them holds, ONNX Xor. bool.
Tensor logical_xor(const Operand& a, const Operand& b);
/// The opposite, ONNX Not. bool.
Tensor logical_not(const Operand& x);

/// The bits that both have, ONNX BitwiseAnd. Integers.
Tensor bitwise_and(const Operand& a, const Operand& b);
/// The bits that one of them has or both, ONNX BitwiseOr. Integers.
Tensor bitwise_or(const Operand& a, const Operand& b);
/// The bits that exactly one of them has, ONNX BitwiseXor. Integers.
Tensor bitwise_xor(const Operand& a, const Operand& b);
/// Every bit turned over, ONNX BitwiseNot. Integers.
Tensor bitwise_not(const Operand& x);
/// Moves the bits of unsigned integers by `amount`, ONNX BitShift; `direction` is "LEFT" or "RIGHT".
/// `td::bit_shift(x, 2, "LEFT")`. Amounts of the width and above give 0.
Tensor bit_shift(const Operand& x, const Operand& amount, std::string_view direction);

/// Whether each element is a NaN, ONNX IsNaN. Floating dtypes.
Tensor is_nan(const Operand& x);
/// Whether each element is an infinity of the signs asked for, ONNX IsInf. Floating dtypes.
Tensor is_inf(const Operand& x, bool detect_negative = true, bool detect_positive = true);

/// Element by element, as equal and its kin: the result is a tensor of bool, `td::where(x > 0, x, 0)`.
Tensor operator==(const Operand& a, const Operand& b);
Tensor operator!=(const Operand& a, const Operand& b);
Tensor operator<(const Operand& a, const Operand& b);
Tensor operator<=(const Operand& a, const Operand& b);
Tensor operator>(const Operand& a, const Operand& b);
Tensor operator>=(const Operand& a, const Operand& b);

/// Logic on bool, bits on integers: `td::where((x > 0) & ~(x > 6), x, 0)`.
Tensor operator&(const Operand& a, const Operand& b);
Tensor operator|(const Operand& a, const Operand& b);
Tensor operator^(const Operand& a, const Operand& b);
Tensor operator~(const Operand& x);

}  // namespace tandem
