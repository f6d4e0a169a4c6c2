#pragma once
// Matrix products: oneDNN for large f32 ones, native kernels for the rest.

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
/// The algorithm depends on (dtype, m, n, k) alone, never on strides or threads, and so do the bits.
void matmul(DType dtype, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, void* c);

}  // namespace tandem::runtime
