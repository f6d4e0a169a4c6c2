#pragma once
// Layers that disturb their input in training and are the identity otherwise.

#include "tandem/nn/layer.h"

namespace tandem::nn {

/// Options of the layers below.
struct NoiseOptions {
  /// Numbers of its own, in a variable "seed_state" of the layer. Default: those of td::random::generator().
  std::optional<uint64_t> seed = {};
  std::string name = {};
};

/// Options of Dropout.
struct DropoutOptions {
  /// The shape of the mask, which is broadcast to the input; -1 is the input's size. Default: the input's.
  Shape noise_shape = {};
  std::optional<uint64_t> seed = {};  ///< as in NoiseOptions
  std::string name = {};
};

/// In training a share `rate` of the elements becomes 0 at random and the others are scaled by 1 / (1 -
/// rate). Each call takes the generator's next numbers. Floating dtypes. Errors: a rate outside 0 to 1. `h =
/// nn::Dropout(0.5)(h);`
class Dropout : public Layer {
 public:
  explicit Dropout(double rate, DropoutOptions options = {}, Location where = here());
};

/// Options of the spatial dropouts.
struct SpatialDropoutOptions {
  std::string data_format = "channels_last";
  std::optional<uint64_t> seed = {};  ///< as in NoiseOptions
  std::string name = {};
};
/// Dropout of whole channels of (batch, steps, channels).
class SpatialDropout1D : public Layer {
 public:
  explicit SpatialDropout1D(double rate, SpatialDropoutOptions options = {}, Location where = here());
};
/// Dropout of whole channels of images.
class SpatialDropout2D : public Layer {
 public:
  explicit SpatialDropout2D(double rate, SpatialDropoutOptions options = {}, Location where = here());
};
/// Dropout of whole channels of volumes.
class SpatialDropout3D : public Layer {
 public:
  explicit SpatialDropout3D(double rate, SpatialDropoutOptions options = {}, Location where = here());
};

/// In training multiplies by normally distributed numbers around 1, of variance rate / (1 - rate). Errors: a
/// rate that is not at least 0 and below 1.
class GaussianDropout : public Layer {
 public:
  explicit GaussianDropout(double rate, NoiseOptions options = {}, Location where = here());
};
/// In training adds normally distributed numbers around 0. Errors: a negative deviation.
class GaussianNoise : public Layer {
 public:
  explicit GaussianNoise(double stddev, NoiseOptions options = {}, Location where = here());
};
/// Dropout that keeps mean and variance of what selu gives. Errors: a rate outside 0 to 1.
class AlphaDropout : public Layer {
 public:
  explicit AlphaDropout(double rate, DropoutOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
