#pragma once
// What gradients of indexing ops share.

#include "tandem/operand.h"

namespace tandem {

/// Zeros of `shape` with each slice of `gradient` added at its index along `axis`, in the order of the
/// indices: the gradient of gather.
Tensor gather_gradient(const Operand& gradient, const Operand& indices, const Operand& shape, int64_t axis);

}  // namespace tandem
