#pragma once
// Pooling layers. Inputs are (batch, sizes..., channels), or (batch, channels, sizes...) where data_format
// says "channels_first".

#include "tandem/nn/layer.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// Options of the pooling layers.
struct PoolingOptions {
  PerAxis strides = {};           ///< the windows' sizes where left out
  std::string padding = "valid";  ///< or "same"; what is padded never counts
  std::string data_format = "channels_last";
  std::string name = {};
};

/// The largest element of each window: (batch, steps, channels) to (batch, fewer steps, channels).
class MaxPooling1D : public Layer {
 public:
  explicit MaxPooling1D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};
/// The same over images. `auto h = nn::MaxPooling2D()(h);`
class MaxPooling2D : public Layer {
 public:
  explicit MaxPooling2D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};
/// The same over volumes.
class MaxPooling3D : public Layer {
 public:
  explicit MaxPooling3D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};
/// The mean of each window: (batch, steps, channels) to (batch, fewer steps, channels).
class AveragePooling1D : public Layer {
 public:
  explicit AveragePooling1D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};
/// The same over images.
class AveragePooling2D : public Layer {
 public:
  explicit AveragePooling2D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};
/// The same over volumes.
class AveragePooling3D : public Layer {
 public:
  explicit AveragePooling3D(PerAxis pool_size = 2, PoolingOptions options = {}, Location where = here());
};

/// Options of the global pooling layers.
struct GlobalPoolingOptions {
  bool keepdims = false;  ///< spatial dimensions stay, with size 1
  std::string data_format = "channels_last";
  std::string name = {};
};

/// The largest element of each channel: (batch, steps, channels) to (batch, channels).
class GlobalMaxPooling1D : public Layer {
 public:
  explicit GlobalMaxPooling1D(GlobalPoolingOptions options = {}, Location where = here());
};
/// The same for images.
class GlobalMaxPooling2D : public Layer {
 public:
  explicit GlobalMaxPooling2D(GlobalPoolingOptions options = {}, Location where = here());
};
/// The same for volumes.
class GlobalMaxPooling3D : public Layer {
 public:
  explicit GlobalMaxPooling3D(GlobalPoolingOptions options = {}, Location where = here());
};
/// The mean of each channel: (batch, steps, channels) to (batch, channels).
class GlobalAveragePooling1D : public Layer {
 public:
  explicit GlobalAveragePooling1D(GlobalPoolingOptions options = {}, Location where = here());
};
/// The same for images.
class GlobalAveragePooling2D : public Layer {
 public:
  explicit GlobalAveragePooling2D(GlobalPoolingOptions options = {}, Location where = here());
};
/// The same for volumes.
class GlobalAveragePooling3D : public Layer {
 public:
  explicit GlobalAveragePooling3D(GlobalPoolingOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
