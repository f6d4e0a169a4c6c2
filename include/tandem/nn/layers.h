#pragma once
// The layers, under Keras's names and with its defaults.

#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers/convolution.h"
#include "tandem/nn/layers/normalization.h"
#include "tandem/nn/layers/pooling.h"
#include "tandem/nn/layers/regularization.h"
#include "tandem/nn/layers/spatial.h"

namespace tandem::nn {

/// Options of Dense.
struct DenseOptions {
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  std::string name = {};
};

/// activation(x @ kernel + bias) over the last dimension: (..., n) to (..., units). Floating dtypes; the
/// parameters take the first input's. `auto h = nn::Dense(256, "relu")(x);`
class Dense : public Layer {
 public:
  explicit Dense(int64_t units, ActivationFunction activation = {}, DenseOptions options = {},
                 Location where = here());
};

/// Options of layers that have no others.
struct LayerOptions {
  std::string name = {};
};

/// Joins all dimensions but the first: (batch, 28, 28) to (batch, 784); (batch) to (batch, 1).
class Flatten : public Layer {
 public:
  explicit Flatten(LayerOptions options = {}, Location where = here());
};

/// A function of each tensor, by name or as a function: `nn::Activation("relu")`.
class Activation : public Layer {
 public:
  explicit Activation(ActivationFunction function, LayerOptions options = {}, Location where = here());
};

/// Options of Softmax.
struct SoftmaxOptions {
  int64_t axis = -1;
  std::string name = {};
};

/// td::softmax as a layer.
class Softmax : public Layer {
 public:
  explicit Softmax(SoftmaxOptions options = {}, Location where = here());
};

/// td::relu as a layer.
class ReLU : public Layer {
 public:
  explicit ReLU(LayerOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
