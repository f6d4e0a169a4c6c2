#pragma once
// Normalization.

#include <array>
#include <vector>

#include "tandem/operand.h"

namespace tandem {

/// (x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis` on, ONNX
/// LayerNormalization. Floating dtypes; statistics are computed in float32, or in float64 for float64.
/// Errors: an axis out of range, a scale or bias that does not broadcast to x.
Tensor layer_normalization(const Operand& x, const Operand& scale, const Operand& bias = nullptr,
                           int64_t axis = -1, float epsilon = 1e-5f);
/// The same, with each row's mean and 1 / sqrt(variance + epsilon).
std::array<Tensor, 3> layer_normalization_statistics(const Operand& x, const Operand& scale,
                                                     const Operand& bias = nullptr, int64_t axis = -1,
                                                     float epsilon = 1e-5f);
/// x / sqrt(mean(x * x) + epsilon) * scale over the axes from `axis` on, ONNX RMSNormalization. Floating
/// dtypes; the result has the scale's.
Tensor rms_normalization(const Operand& x, const Operand& scale, int64_t axis = -1, float epsilon = 1e-5f);
/// x divided by its length along `axis`: the sum of magnitudes for p = 1, the Euclidean length for p = 2,
/// ONNX LpNormalization. Zeros stay zeros. Floating dtypes.
Tensor lp_normalization(const Operand& x, int64_t axis = -1, int64_t p = 2);
/// (x - mean) / standard deviation over `axes`, all but the channels by default, ONNX
/// MeanVarianceNormalization. Floating dtypes.
Tensor mean_variance_normalization(const Operand& x, const std::vector<int64_t>& axes = {0, 2, 3});

}  // namespace tandem
