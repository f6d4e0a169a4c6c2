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
/// Every element `value`, in x's shape and dtype.
Tensor full_like(const Operand& x, const Operand& value);
/// Zeros of x's shape and dtype.
Tensor zeros_like(const Operand& x);
/// Ones of x's shape and dtype.
Tensor ones_like(const Operand& x);
/// start, start + step, ... up to, not including, `stop`, ONNX Range. int64 for integers, float32 otherwise,
/// the tensors' dtype where one is given as a tensor; `dtype` overrides. `td::arange(2, 10, 3)` is [2 5 8].
Tensor arange(const Operand& start, const Operand& stop, const Operand& step = 1,
              std::optional<DType> dtype = {});
/// 0, 1, ... stop - 1.
Tensor arange(const Operand& stop, std::optional<DType> dtype = {});
/// `count` numbers at equal distances from `start` to, and including, `stop`.
Tensor linspace(double start, double stop, int64_t count, DType dtype = DType::f32, Location where = here());
/// Ones on the k-th diagonal (above the main one for k > 0), zeros elsewhere; square without `columns`.
Tensor eye(const Operand& rows, const Operand& columns = nullptr, int64_t k = 0, DType dtype = DType::f32);
/// The same in the shape of a matrix x, and its dtype unless one is given, ONNX EyeLike.
Tensor eye_like(const Operand& x, int64_t k = 0, std::optional<DType> dtype = {});

}  // namespace tandem
