#pragma once
// Layers that change images at random in training: (batch, height, width, channels), or (batch, channels,
// height, width) where data_format says "channels_first". Each image has numbers of its own.

#include "tandem/nn/layer.h"

namespace tandem::nn {

/// How far a change may go: `0.2` is from -0.2 to 0.2, `{0.1, 0.3}` from 0.1 to 0.3.
class Factor {
 public:
  template <class T>
  requires(std::is_arithmetic_v<T>) Factor(T most)
      : low_(-static_cast<double>(most)), high_(static_cast<double>(most)) {}
  Factor(double low, double high) : low_(low), high_(high) {}
  double low() const { return low_; }
  double high() const { return high_; }

 private:
  double low_, high_;
};

/// Options of the layers below.
struct AugmentationOptions {
  std::string data_format = "channels_last";
  std::optional<uint64_t> seed = {};  ///< as in NoiseOptions
  std::string name = {};
};

/// Mirrors images, each with probability one half: mode "horizontal", "vertical" or
/// "horizontal_and_vertical".
class RandomFlip : public Layer {
 public:
  explicit RandomFlip(std::string mode = "horizontal_and_vertical", AugmentationOptions options = {},
                      Location where = here());
};

/// Cuts a random part out of the batch's images, the same part of all; outside training the middle. Errors:
/// images smaller than that.
class RandomCrop : public Layer {
 public:
  RandomCrop(int64_t height, int64_t width, AugmentationOptions options = {}, Location where = here());
};

/// Options of the layers that move images.
struct RandomMoveOptions {
  std::string fill_mode = "reflect";       ///< beyond the edges: or "nearest", "constant" (zeros)
  std::string interpolation = "bilinear";  ///< or "nearest"
  std::string data_format = "channels_last";
  std::optional<uint64_t> seed = {};  ///< as in NoiseOptions
  std::string name = {};
};

/// Turns images by a share of a full turn, against the clock where it is positive. `nn::RandomRotation(0.1)`
class RandomRotation : public Layer {
 public:
  explicit RandomRotation(Factor factor, RandomMoveOptions options = {}, Location where = here());
};

/// Shows 1 + factor times as much: negative factors zoom in. Without a width factor the height's serves both.
class RandomZoom : public Layer {
 public:
  explicit RandomZoom(Factor height_factor, std::optional<Factor> width_factor = {},
                      RandomMoveOptions options = {}, Location where = here());
};

/// Moves images by shares of their height and width, down and right where they are positive.
class RandomTranslation : public Layer {
 public:
  RandomTranslation(Factor height_factor, Factor width_factor, RandomMoveOptions options = {},
                    Location where = here());
};

/// Options of RandomContrast and RandomBrightness.
struct RandomLightOptions {
  double low = 0, high = 255;  ///< what values can be
  std::string data_format = "channels_last";
  std::optional<uint64_t> seed = {};  ///< as in NoiseOptions
  std::string name = {};
};

/// (x - mean) * (1 + factor) + mean, with each image's and channel's mean.
class RandomContrast : public Layer {
 public:
  explicit RandomContrast(Factor factor, RandomLightOptions options = {}, Location where = here());
};

/// x + factor * (high - low).
class RandomBrightness : public Layer {
 public:
  explicit RandomBrightness(Factor factor, RandomLightOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
