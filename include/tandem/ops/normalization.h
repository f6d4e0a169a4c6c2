#pragma once
// Normalization: over axes, over the batch, over parts of each image.

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

/// (x - mean) / sqrt(variance + epsilon) * scale + bias, each but x one number a channel (dimension 1), ONNX
/// BatchNormalization. Floating dtypes.
Tensor batch_normalization(const Operand& x, const Operand& scale, const Operand& bias, const Operand& mean,
                           const Operand& variance, float epsilon = 1e-5f);
/// What batch_normalization_training() gives.
struct BatchNormalizationResult {
  Tensor y;
  Tensor running_mean, running_variance;  ///< momentum times those given and the rest those of x
};
/// The same with the mean and the variance of x over all dimensions but the channels.
BatchNormalizationResult batch_normalization_training(const Operand& x, const Operand& scale,
                                                      const Operand& bias, const Operand& mean,
                                                      const Operand& variance, float epsilon = 1e-5f,
                                                      float momentum = 0.9f);
/// The same with the mean and the variance of each image and channel, ONNX InstanceNormalization.
Tensor instance_normalization(const Operand& x, const Operand& scale, const Operand& bias,
                              float epsilon = 1e-5f);
/// The same with those of each image and each of `groups` groups of channels, ONNX GroupNormalization.
/// Errors: channels that cannot be cut into so many groups.
Tensor group_normalization(const Operand& x, const Operand& scale, const Operand& bias, int64_t groups,
                           float epsilon = 1e-5f);
/// x / (bias + alpha / size * s)^beta, s the sum of squares over `size` neighbouring channels, ONNX LRN.
Tensor local_response_normalization(const Operand& x, int64_t size, float alpha = 1e-4f, float beta = 0.75f,
                                    float bias = 1);

}  // namespace tandem
