#pragma once
// Activations.

#include "tandem/operand.h"

namespace tandem {

/// exp(x) / sum(exp(x)) along `axis`, ONNX Softmax, without overflow. Floating dtypes.
/// `td::softmax(x, -1)`. Errors: an axis out of range.
Tensor softmax(const Operand& x, int64_t axis = -1);

}  // namespace tandem
