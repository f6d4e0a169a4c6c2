#pragma once
// Linear algebra beyond products. All take floating dtypes and matrices in the last two dimensions, with any
// batch dimensions before them; they compute in float64 and are differentiable. Errors of all: no matrices.

#include "tandem/operand.h"

namespace tandem {

/// The determinants of square matrices, ONNX Det. Differentiable at singular matrices too.
Tensor det(const Operand& x);

namespace linalg {

/// The determinants of square matrices.
Tensor det(const Operand& x);
/// What slogdet() gives.
struct SLogDetResult {
  Tensor sign, logabsdet;
};
/// The determinants' signs and the logarithms of their sizes, which neither over- nor underflow.
SLogDetResult slogdet(const Operand& x);
/// The inverses of square matrices. Errors: a singular matrix.
Tensor inverse(const Operand& x);
/// x with a x = b, for matrices b or vectors (one, or one a matrix); batches broadcast. Errors: a singular
/// matrix, shapes that do not belong together.
Tensor solve(const Operand& a, const Operand& b);
/// The lower triangular L with L L' = the symmetric part of x; with `upper` L'. Errors: a matrix that is not
/// positive definite.
Tensor cholesky(const Operand& x, bool upper = false);
/// What qr() gives: x = q r.
struct QrResult {
  Tensor q, r;
};
/// Orthonormal columns q and an upper triangular r, reduced to the smaller size.
QrResult qr(const Operand& x);
/// What svd() gives: x = u diag(s) vh.
struct SvdResult {
  Tensor u, s, vh;
};
/// The singular value decomposition, reduced to the smaller size; largest values first.
SvdResult svd(const Operand& x);
/// The singular values alone.
Tensor svdvals(const Operand& x);

}  // namespace linalg

}  // namespace tandem
