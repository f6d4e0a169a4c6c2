#pragma once
// Matrix products.

#include "tandem/operand.h"

namespace tandem {

/// Matrix product as NumPy's matmul, ONNX MatMul: the last two dimensions multiply, those before broadcast;
/// vectors count as a row or a column. Numeric dtypes. Errors: inner sizes that differ.
Tensor matmul(const Operand& a, const Operand& b);

}  // namespace tandem
