#pragma once
// What gradients of averages share.

#include "tandem/tensor.h"

namespace tandem {

/// v divided by the number of elements of x that went into one of y, also while sizes are unknown.
Tensor divided_by_count(const Tensor& v, const Tensor& x, const Tensor& y);

}  // namespace tandem
