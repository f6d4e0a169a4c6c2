#pragma once
// How far apart two results are.

#include <cstdint>

#include "tandem/tensor.h"

namespace tandem {

/// The largest distance between elements of two tensors of equal dtype and shape, counted in representable
/// values ("units in the last place"); 0 exactly when all bits are equal, but for the payloads of NaNs.
/// A NaN against a number, like everything else beyond its range, is INT64_MAX; -0 and +0 are 1 apart.
int64_t largest_ulp_distance(const Tensor& a, const Tensor& b);

}  // namespace tandem
