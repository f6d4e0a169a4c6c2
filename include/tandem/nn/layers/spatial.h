#pragma once
// Layers that add, cut off or repeat elements of space. Inputs are (batch, sizes..., channels), or (batch,
// channels, sizes...) where data_format says "channels_first".

#include <vector>

#include "tandem/nn/layer.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// How much is added to, or cut off, each side: `1` everywhere, `{1, 2}` one number a dimension for both of
/// its sides (with a single dimension: before and after), `{{1, 2}, {0, 1}}` before and after each dimension.
class Borders {
 public:
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Borders(T number)
      : numbers_{static_cast<int64_t>(number)} {}
  Borders(std::initializer_list<int64_t> numbers) : numbers_(numbers) {}
  Borders(std::initializer_list<std::pair<int64_t, int64_t>> sides) : sides_(sides) {}

  const std::vector<int64_t>& numbers() const { return numbers_; }
  const std::vector<std::pair<int64_t, int64_t>>& sides() const { return sides_; }

 private:
  std::vector<int64_t> numbers_;
  std::vector<std::pair<int64_t, int64_t>> sides_;
};

/// Options of the layers below.
struct SpatialOptions {
  std::string data_format = "channels_last";
  std::string name = {};
};

/// Adds zeros at the ends of (batch, steps, channels).
class ZeroPadding1D : public Layer {
 public:
  explicit ZeroPadding1D(Borders padding = 1, SpatialOptions options = {}, Location where = here());
};
/// Adds zeros around images. `nn::ZeroPadding2D({{1, 1}, {0, 2}})`
class ZeroPadding2D : public Layer {
 public:
  explicit ZeroPadding2D(Borders padding = 1, SpatialOptions options = {}, Location where = here());
};
/// Adds zeros around volumes.
class ZeroPadding3D : public Layer {
 public:
  explicit ZeroPadding3D(Borders padding = 1, SpatialOptions options = {}, Location where = here());
};
/// Cuts off the ends of (batch, steps, channels). Errors: nothing would be left.
class Cropping1D : public Layer {
 public:
  explicit Cropping1D(Borders cropping = 1, SpatialOptions options = {}, Location where = here());
};
/// Cuts off the edges of images. Errors: nothing would be left.
class Cropping2D : public Layer {
 public:
  explicit Cropping2D(Borders cropping = 0, SpatialOptions options = {}, Location where = here());
};
/// Cuts off the faces of volumes. Errors: nothing would be left.
class Cropping3D : public Layer {
 public:
  explicit Cropping3D(Borders cropping = 1, SpatialOptions options = {}, Location where = here());
};

/// Repeats each step of (batch, steps, channels).
class UpSampling1D : public Layer {
 public:
  explicit UpSampling1D(int64_t size = 2, SpatialOptions options = {}, Location where = here());
};
/// Options of UpSampling2D.
struct UpSampling2DOptions {
  std::string data_format = "channels_last";
  std::string interpolation = "nearest";  ///< or "bilinear", "bicubic"
  std::string name = {};
};
/// Makes images larger by whole factors: by repeating rows and columns, or between them.
class UpSampling2D : public Layer {
 public:
  explicit UpSampling2D(PerAxis size = 2, UpSampling2DOptions options = {}, Location where = here());
};
/// Repeats the slices of volumes.
class UpSampling3D : public Layer {
 public:
  explicit UpSampling3D(PerAxis size = 2, SpatialOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
