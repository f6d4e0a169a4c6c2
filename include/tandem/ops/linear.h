#pragma once
// Matrix products.

#include <string>
#include <vector>

#include "tandem/operand.h"

namespace tandem {

/// Matrix product as NumPy's matmul, ONNX MatMul: the last two dimensions multiply, those before broadcast;
/// vectors count as a row or a column. Numeric dtypes. Errors: inner sizes that differ.
Tensor matmul(const Operand& a, const Operand& b);
/// alpha * a b + beta * c with a and b transposed on request, ONNX Gemm; `c` broadcasts and may be left out.
/// Floating dtypes and 32- and 64-bit integers. Errors: a or b is no matrix, inner sizes that differ.
Tensor gemm(const Operand& a, const Operand& b, const Operand& c = nullptr, float alpha = 1, float beta = 1,
            bool transpose_a = false, bool transpose_b = false);

/// Sums of products by Einstein's convention, ONNX Einsum: a letter names each dimension, "..." those that
/// broadcast; letters that the result lacks are summed over. Without "->" the result has the letters that
/// occur once. Numeric dtypes. `td::einsum("bij,bjk->bik", {a, b})`. Errors: an equation that does not fit.
Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands, Location where = here());

}  // namespace tandem
