#pragma once
// Dense, Embedding, and layers that only rearrange or wrap.

#include <type_traits>

#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"

namespace tandem::nn {

/// Options of Dense.
struct DenseOptions {
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};  ///< of the results; divided by the batch's size
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::string name = {};
};

/// activation(x @ kernel + bias) over the last dimension: (..., n) to (..., units). Floating dtypes; the
/// parameters take the first input's. `auto h = nn::Dense(256, "relu")(x);`
class Dense : public Layer {
 public:
  explicit Dense(int64_t units, ActivationFunction activation = {}, DenseOptions options = {},
                 Location where = here());
};

/// Options of Embedding.
struct EmbeddingOptions {
  Initializer embeddings_initializer = "uniform";
  Regularizer embeddings_regularizer = {};
  Constraint embeddings_constraint = {};
  bool mask_zero = false;  ///< 0 stands for nothing: such positions are masked
  DType dtype = DType::f32;
  std::string name = {};
};

/// A vector for each of input_dim words: integers (...), each at least 0 and below input_dim, to (...,
/// output_dim). `auto h = nn::Embedding(10000, 64, {.mask_zero = true})(words);`
/// Errors: a word out of range.
class Embedding : public Layer {
 public:
  Embedding(int64_t input_dim, int64_t output_dim, EmbeddingOptions options = {}, Location where = here());
};

/// Options of layers that have no others.
struct LayerOptions {
  std::string name = {};
};

/// Masks the steps all of whose features are mask_value: (batch, steps, features). They become zeros.
class Masking : public Layer {
 public:
  explicit Masking(double mask_value = 0, LayerOptions options = {}, Location where = here());
};

/// Options of Flatten.
struct FlattenOptions {
  std::string data_format = "channels_last";  ///< "channels_first" puts the channels last before it joins
  std::string name = {};
};

/// Joins all dimensions but the first: (batch, 28, 28) to (batch, 784); (batch) to (batch, 1).
class Flatten : public Layer {
 public:
  explicit Flatten(FlattenOptions options = {}, Location where = here());
};

/// Each example in another shape, of which one size may be -1: `nn::Reshape({7, 7, -1})`. Errors: the number
/// of elements differs.
class Reshape : public Layer {
 public:
  explicit Reshape(Shape target_shape, LayerOptions options = {}, Location where = here());
};

/// Permutes each example's dimensions, counted from 1: `nn::Permute({2, 1})` takes (batch, a, b) to (batch,
/// b, a).
class Permute : public Layer {
 public:
  explicit Permute(Dims dims, LayerOptions options = {}, Location where = here());
};

/// (batch, features) to (batch, n, features).
class RepeatVector : public Layer {
 public:
  explicit RepeatVector(int64_t n, LayerOptions options = {}, Location where = here());
};

/// The input itself.
class Identity : public Layer {
 public:
  explicit Identity(LayerOptions options = {}, Location where = here());
};

/// Adds a penalty l1 * sum(|x|) + l2 * sum(x^2), divided by the batch's size, to the loss; the result is the
/// input.
class ActivityRegularization : public Layer {
 public:
  explicit ActivityRegularization(regularizers::L1L2Options factors = {}, LayerOptions options = {},
                                  Location where = here());
};

/// A function of one tensor, or of a list of them, as a layer: `nn::Lambda([](const td::Tensor& x) { return
/// td::square(x); })`.
class Lambda : public Layer {
 public:
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&>) explicit Lambda(F function,
                                                                             LayerOptions options = {},
                                                                             Location where = here())
      : Lambda(std::function<Tensor(const Tensor&)>(std::move(function)), {}, std::move(options), where) {}
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const std::vector<Tensor>&> &&
           !std::is_invocable_r_v<Tensor, F&, const Tensor&>) explicit Lambda(F function,
                                                                              LayerOptions options = {},
                                                                              Location where = here())
      : Lambda({}, std::function<Tensor(const std::vector<Tensor>&)>(std::move(function)), std::move(options),
               where) {}

 private:
  Lambda(std::function<Tensor(const Tensor&)> one, std::function<Tensor(const std::vector<Tensor>&)> many,
         LayerOptions options, Location where);
};

}  // namespace tandem::nn
