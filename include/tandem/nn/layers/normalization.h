#pragma once
// Normalization layers.

#include "tandem/nn/layer.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// Options of BatchNormalization.
struct BatchNormalizationOptions {
  int64_t axis = -1;  ///< the channels
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;  ///< adds beta
  bool scale = true;   ///< multiplies by gamma
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Initializer moving_mean_initializer = "zeros";
  Initializer moving_variance_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::string name = {};
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta, each but x one number a channel. In training mean
/// and variance are those of the batch, and the moving ones, which all other calls use, become momentum * old
/// + (1
/// - momentum) * batch's. Masked positions do not count; frozen, the layer uses the moving ones in training
/// too. Floating dtypes; statistics of narrow ones are computed in float32.
/// `h = nn::BatchNormalization()(h);`
class BatchNormalization : public Layer {
 public:
  explicit BatchNormalization(BatchNormalizationOptions options = {}, Location where = here());
};

/// Options of LayerNormalization.
struct LayerNormalizationOptions {
  Axes axis = -1;
  double epsilon = 1e-3;
  bool center = true;  ///< adds beta
  bool scale = true;   ///< multiplies by gamma
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::string name = {};
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta with the mean and variance over `axis` of each
/// example; gamma and beta have a number for each position along these axes. Floating dtypes.
class LayerNormalization : public Layer {
 public:
  explicit LayerNormalization(LayerNormalizationOptions options = {}, Location where = here());
};

/// Options of GroupNormalization.
struct GroupNormalizationOptions {
  int64_t groups = 32;  ///< of channels; -1: each channel for itself
  int64_t axis = -1;    ///< the channels
  double epsilon = 1e-3;
  bool center = true;  ///< adds beta
  bool scale = true;   ///< multiplies by gamma
  Initializer beta_initializer = "zeros";
  Initializer gamma_initializer = "ones";
  Regularizer beta_regularizer = {};
  Regularizer gamma_regularizer = {};
  Constraint beta_constraint = {};
  Constraint gamma_constraint = {};
  std::string name = {};
};

/// The same with the mean and variance of each example and group of channels; gamma and beta have a number a
/// channel. Floating dtypes. Errors: channels that cannot be cut into so many groups.
class GroupNormalization : public Layer {
 public:
  explicit GroupNormalization(GroupNormalizationOptions options = {}, Location where = here());
};

/// Options of RMSNormalization.
struct RMSNormalizationOptions {
  Axes axis = -1;
  double epsilon = 1e-6;
  std::string name = {};
};

/// x / sqrt(mean(x * x) + epsilon) * scale, the mean over `axis` of each example. Floating dtypes.
class RMSNormalization : public Layer {
 public:
  explicit RMSNormalization(RMSNormalizationOptions options = {}, Location where = here());
};

/// Options of UnitNormalization.
struct UnitNormalizationOptions {
  Axes axis = -1;
  std::string name = {};
};

/// x divided by its Euclidean length over `axis`; lengths below 1e-6 count as that. Floating dtypes.
class UnitNormalization : public Layer {
 public:
  explicit UnitNormalization(UnitNormalizationOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
