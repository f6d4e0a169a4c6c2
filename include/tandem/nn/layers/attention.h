#pragma once
// Attention layers.

#include "tandem/nn/layer.h"

namespace tandem::nn {

/// Options of MultiHeadAttention.
struct MultiHeadAttentionOptions {
  std::optional<int64_t> value_dim = {};  ///< of each head's values; key_dim where left out
  double dropout = 0;                     ///< of the attention scores
  bool use_bias = true;
  std::optional<int64_t> output_size = {};  ///< the query's last dimension where left out
  bool use_causal_mask = false;             ///< no position sees a later one
  bool return_attention_scores = false;     ///< also (batch, heads, targets, sources)
  Initializer kernel_initializer = "glorot_uniform";
  Initializer bias_initializer = "zeros";
  Regularizer kernel_regularizer = {};
  Regularizer bias_regularizer = {};
  Regularizer activity_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint bias_constraint = {};
  std::optional<uint64_t> seed = {};  ///< of dropout, as in NoiseOptions
  std::string name = {};
};

/// Attention with several heads of size key_dim: each target's result is a mean of the sources' values,
/// weighted by softmax(query @ key / sqrt(key_dim)).
///
/// Called on x it is self-attention: (batch, positions, features). Called on {query, value} or {query, value,
/// key} it is cross-attention: (batch, targets, features) and (batch, sources, features) to (batch, targets,
/// features). A last tensor of booleans, (batch, targets, sources) or (batch, heads, targets, sources), says
/// what may be attended to. The inputs' masks do so too.
///
/// Parameters, as in Keras: query/kernel (features, heads, key_dim), query/bias (heads, key_dim), key, value,
/// attention_output/kernel (heads, value_dim, output), attention_output/bias (output).
///
///     auto h = nn::MultiHeadAttention(4, 16, {.use_causal_mask = true})(x);
class MultiHeadAttention : public Layer {
 public:
  MultiHeadAttention(int64_t num_heads, int64_t key_dim, MultiHeadAttentionOptions options = {},
                     Location where = here());
};

/// Options of Attention and AdditiveAttention.
struct AttentionOptions {
  /// Multiplies scores by a trained number (Attention), or terms by trained ones (AdditiveAttention, where
  /// true is the default).
  std::optional<bool> use_scale = {};
  std::string score_mode = "dot";  ///< or "concat": sum(tanh(query + key)) times a trained number
  double dropout = 0;              ///< of the scores
  bool use_causal_mask = false;
  bool return_attention_scores = false;
  std::optional<uint64_t> seed = {};  ///< of dropout, as in NoiseOptions
  std::string name = {};
};

/// softmax(query @ key) @ value: called on {query, value} or {query, value, key}, (batch, targets, features)
/// and (batch, sources, features). What the value's mask leaves out gets no weight.
class Attention : public Layer {
 public:
  explicit Attention(AttentionOptions options = {}, Location where = here());
};

/// The same with scores sum(scale * tanh(query + key)).
class AdditiveAttention : public Layer {
 public:
  explicit AdditiveAttention(AttentionOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
