#pragma once
// Dense linear algebra on one small row-major matrix of doubles. No allocation; results depend on the values
// alone.

#include <cstdint>

namespace tandem::runtime {

/// L and U of a row-permuted (n, n) matrix, in its place, by partial pivoting: of equal pivots the first.
/// `rows[i]` is the row that came to place i. Returns the permutation's sign; a zero pivot stays where it is.
int lu_factor(double* a, int64_t n, int64_t* rows);
/// Whether no pivot is zero.
bool lu_is_regular(const double* lu, int64_t n);
/// Solves for k right sides, (n, k), into x.
void lu_solve(const double* lu, const int64_t* rows, int64_t n, const double* b, int64_t k, double* x);

/// The matrix of cofactors, the determinant's derivative, also where the determinant is zero. `a` is
/// overwritten; `work` holds n * n, `places` 2 * n.
void cofactors(double* a, int64_t n, double* result, double* work, int64_t* places);

/// The lower factor L of a symmetric positive definite matrix = L L', in its place, with zeros above. Returns
/// how many leading minors are positive: n on success.
int64_t cholesky_factor(double* a, int64_t n);

/// Householder's Q and R of an (m, n) matrix `a`, which is overwritten: q is (m, k) and r (k, n). The signs
/// are LAPACK's. `work` holds m.
void qr_factor(double* a, int64_t m, int64_t n, int64_t k, double* q, double* r, double* work);

/// Singular values, largest first, of an (m, n) matrix with m >= n by one-sided Jacobi rotations: a becomes
/// U, v (n, n) gets the right vectors in its columns. Columns of zero singular values in U are filled up to
/// an orthonormal set.
void svd_factor(double* a, int64_t m, int64_t n, double* s, double* v);

}  // namespace tandem::runtime
