#pragma once
// Matrix products.

#include <cstdint>

#include "tandem/dtype.h"

namespace tandem::runtime {

/// One operand: element strides of its rows and columns.
struct Matrix {
  const void* data;
  int64_t row_stride, column_stride;
};

/// c[m,n] = a[m,k] * b[k,n]; c is contiguous row-major and must not overlap the operands.
/// f32, f64, f16, bf16 (computed in f32, rounded once) and all integers (wrapping). k = 0 gives zeros.
/// Each floating element is one chain of fused multiply-adds over k, in order: its bits depend on neither
/// strides nor threads.
void matmul(DType dtype, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, void* c);

}  // namespace tandem::runtime
