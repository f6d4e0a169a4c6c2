#pragma once
// Activations. All take floating dtypes unless they say more.

#include <string_view>

#include "tandem/operand.h"

namespace tandem {

/// max(x, 0), ONNX Relu. Signed dtypes.
Tensor relu(const Operand& x);
/// x where it is positive, else alpha * x, ONNX LeakyRelu.
Tensor leaky_relu(const Operand& x, float alpha = 0.01f);
/// x where it is not negative, else slope * x, ONNX PRelu. `slope` broadcasts to x's shape.
Tensor prelu(const Operand& x, const Operand& slope);
/// x where it is positive, else alpha * (exp(x) - 1), ONNX Elu.
Tensor elu(const Operand& x, float alpha = 1);
/// x where it is positive, else alpha * (exp(x / alpha) - 1), ONNX Celu.
Tensor celu(const Operand& x, float alpha = 1);
/// The self-normalizing gamma * elu(x, alpha) of Klambauer et al. 2017, ONNX Selu.
Tensor selu(const Operand& x);
/// selu with other constants.
Tensor selu(const Operand& x, float alpha, float gamma);
/// x where it is above alpha, else 0, ONNX ThresholdedRelu.
Tensor thresholded_relu(const Operand& x, float alpha = 1);
/// alpha * x + beta, limited to 0 and 1, ONNX HardSigmoid.
Tensor hard_sigmoid(const Operand& x, float alpha = 0.2f, float beta = 0.5f);
/// x * min(max(x / 6 + 0.5, 0), 1), ONNX HardSwish.
Tensor hard_swish(const Operand& x);
/// 1 / (1 + exp(-x)), ONNX Sigmoid.
Tensor sigmoid(const Operand& x);
/// log(1 + exp(x)) without overflow, ONNX Softplus.
Tensor softplus(const Operand& x);
/// x / (1 + |x|), ONNX Softsign.
Tensor softsign(const Operand& x);
/// x * sigmoid(alpha * x), ONNX Swish; also known as silu.
Tensor swish(const Operand& x, float alpha = 1);
/// x * tanh(softplus(x)), ONNX Mish.
Tensor mish(const Operand& x);
/// x times the normal distribution's share below x, ONNX Gelu. `approximate` is "none" (by erf) or "tanh".
Tensor gelu(const Operand& x, std::string_view approximate = "none");
/// Moves x by `bias` toward zero where |x| > lambd, else 0, ONNX Shrink. Numeric dtypes.
Tensor shrink(const Operand& x, float bias = 0, float lambd = 0.5f);

/// exp(x) / sum(exp(x)) along `axis`, ONNX Softmax, without overflow. Floating dtypes.
/// `td::softmax(x, -1)`. Errors: an axis out of range.
Tensor softmax(const Operand& x, int64_t axis = -1);
/// log(softmax(x)) along `axis`, ONNX LogSoftmax, accurate where softmax underflows.
Tensor log_softmax(const Operand& x, int64_t axis = -1);
/// 1 at the first largest element along `axis`, else 0, ONNX Hardmax. The gradient is zero.
Tensor hardmax(const Operand& x, int64_t axis = -1);

}  // namespace tandem
