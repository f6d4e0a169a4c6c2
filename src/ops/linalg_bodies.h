#pragma once
// Linear algebra written with standard ops, for files that other runtimes read. Sizes are known; all compute
// in float64.

#include <array>
#include <utility>

#include "tandem/tensor.h"

namespace tandem::linalg_bodies {

/// x with a x = b by Gauss and Jordan's elimination with partial pivoting.
Tensor solve(const Tensor& a, const Tensor& b);
Tensor inverse(const Tensor& x);
/// From the determinants of all minors.
Tensor cofactors(const Tensor& x);
/// The lower factor of the symmetric part.
Tensor cholesky(const Tensor& x);
/// Householder's Q and R, reduced.
std::pair<Tensor, Tensor> qr(const Tensor& x);
/// U, the singular values and V' by sweeps of Jacobi's rotations, reduced.
std::array<Tensor, 3> svd(const Tensor& x);

}  // namespace tandem::linalg_bodies
