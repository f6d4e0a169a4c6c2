#pragma once
// Activations as layers.

#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers/core.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// A function of each tensor, by name or as a function: `nn::Activation("relu")`.
class Activation : public Layer {
 public:
  explicit Activation(ActivationFunction function, LayerOptions options = {}, Location where = here());
};

/// Options of Softmax.
struct SoftmaxOptions {
  Axes axis = -1;
  std::string name = {};
};

/// td::softmax as a layer. Called on {x, mask}, positions whose mask is false get no share.
class Softmax : public Layer {
 public:
  explicit Softmax(SoftmaxOptions options = {}, Location where = here());
};

/// Options of ReLU.
struct ReLUOptions {
  std::optional<double> max_value = {};
  double negative_slope = 0;
  double threshold = 0;
  std::string name = {};
};

/// max_value where x is at least that, x where it is at least the threshold, else negative_slope * (x -
/// threshold). Errors: a negative option.
class ReLU : public Layer {
 public:
  explicit ReLU(ReLUOptions options = {}, Location where = here());
};

/// Options of LeakyReLU.
struct LeakyReLUOptions {
  double negative_slope = 0.3;
  std::string name = {};
};

/// x, or negative_slope * x where it is negative.
class LeakyReLU : public Layer {
 public:
  explicit LeakyReLU(LeakyReLUOptions options = {}, Location where = here());
};

/// Options of PReLU.
struct PReLUOptions {
  Initializer alpha_initializer = "zeros";
  Regularizer alpha_regularizer = {};
  Constraint alpha_constraint = {};
  Axes shared_axes = {};  ///< along these one alpha serves all positions; counted with the batch
  std::string name = {};
};

/// x, or alpha * x where it is negative, with an alpha of its own for each position of an example.
class PReLU : public Layer {
 public:
  explicit PReLU(PReLUOptions options = {}, Location where = here());
};

/// Options of ELU.
struct ELUOptions {
  double alpha = 1;
  std::string name = {};
};

/// x, or alpha * (exp(x) - 1) where it is negative.
class ELU : public Layer {
 public:
  explicit ELU(ELUOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
