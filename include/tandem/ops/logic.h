#pragma once
// Comparisons and selection.

#include "tandem/operand.h"

namespace tandem {

/// Element-wise a == b as bool, ONNX Equal. All dtypes; NaN equals nothing.
Tensor equal(const Operand& a, const Operand& b);
/// Takes from `a` where the condition holds, else from `b`, ONNX Where. All three broadcast.
Tensor where(const Operand& condition, const Operand& a, const Operand& b);

}  // namespace tandem
