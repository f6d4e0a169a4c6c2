#pragma once
// New tensors.

#include "tandem/operand.h"

namespace tandem {

/// All zeros.
Tensor zeros(const Operand& shape, DType dtype = DType::f32);
/// All ones.
Tensor ones(const Operand& shape, DType dtype = DType::f32);
/// Every element `value`, in the given dtype, ONNX ConstantOfShape. `td::full({2, 3}, 0.5)`
Tensor full(const Operand& shape, const Operand& value, DType dtype = DType::f32);
/// Zeros of x's shape and dtype.
Tensor zeros_like(const Operand& x);
/// Ones of x's shape and dtype.
Tensor ones_like(const Operand& x);

}  // namespace tandem
