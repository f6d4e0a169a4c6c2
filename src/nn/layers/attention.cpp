#include "tandem/nn/layers/attention.h"

#include <cmath>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;
using Tensors = std::vector<Tensor>;

/// Scores that may not count become so low that softmax gives them nothing; finite, so that a row without any
/// source stays a number.
Tensor shares(const Tensor& scores, const Tensor& allowed) {
  if (!allowed.defined()) return softmax(scores);
  const double low = scores.dtype() == DType::f16 ? -3e4 : -1e9;
  return softmax(where(allowed, scores, full_like(scores, low)));
}

Tensor both(const Tensor& a, const Tensor& b) {
  return !a.defined() ? b : !b.defined() ? a : logical_and(a, b);
}

/// (targets, sources): true where the source is not later than the target.
Tensor causal(const Tensor& query, const Tensor& key) {
  return greater_or_equal(unsqueeze(arange(query.dim(1)), {-1}), arange(key.dim(1)));
}

void check_sequence(const char* what, const Tensor& x) {
  TD_CHECK(x.rank() == 3, "the {} has shape {}; expected 3 dimensions: (batch, positions, features)", what,
           x.shape());
}

// ---- MultiHeadAttention

class MultiHeadAttentionBody final : public LayerBody {
 public:
  MultiHeadAttentionBody(int64_t heads, int64_t key_dim, MultiHeadAttentionOptions options)
      : heads_(heads), key_dim_(key_dim), options_(std::move(options)), noise_(options_.seed) {
    TD_CHECK(heads > 0 && key_dim > 0, "{} heads of size {} were asked for; expected at least 1 of each",
             heads, key_dim);
    TD_CHECK(options_.value_dim.value_or(1) > 0 && options_.output_size.value_or(1) > 0,
             "value_dim and output_size must be at least 1");
    TD_CHECK(options_.dropout >= 0 && options_.dropout <= 1, "dropout is {}; expected 0 to 1",
             options_.dropout);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(!options_.return_attention_scores,
             "the layer returns the scores too: call it on a list, as layer(std::vector<td::Tensor>{{x}})");
    return call_many(state, {x})[0];
  }

  Tensors call_many(ModuleState& state, const Tensors& inputs) override {
    Tensors in = inputs;
    Tensor given;
    if (in.size() > 1 && in.back().dtype() == DType::boolean) {
      given = in.back();
      in.pop_back();
    }
    TD_CHECK(
        !in.empty() && in.size() <= 3,
        "the layer was called on {} tensors; expected the query, or query and value, or query, value and "
        "key, and maybe a mask of booleans",
        in.size());
    const Tensor &query = in[0], &value = in.size() > 1 ? in[1] : in[0], &key = in.size() > 2 ? in[2] : value;
    check_sequence("query", query);
    check_sequence("value", value);
    check_sequence("key", key);
    const Weights& w = weights_.get([&] { return build(state, query, key, value); });
    // (batch, heads, positions, size)
    const Tensor q = project(query, w.query) * (1 / std::sqrt(static_cast<double>(key_dim_)));
    const Tensor k = project(key, w.key), v = project(value, w.value);
    const Tensor scores = matmul(q, transpose(k, {0, 1, 3, 2}));
    Tensor weights = shares(scores, allowed(query, value, key, in.size() > 2, given));
    const Variable& numbers = noise_.generator(state);
    if (is_training() && options_.dropout > 0) weights = dropout(weights, options_.dropout, true, numbers);
    const Tensor joined =
        reshape(transpose(matmul(weights, v), {0, 2, 1, 3}),
                concat({shape_of(query, 0, 2), Tensor({heads_ * value_dim()}, DType::i64)}, 0));
    const Tensor out = w.output.kernel;
    Tensor y = matmul(joined, reshape(out, {heads_ * value_dim(), out.shape().codes()[2]}));
    if (w.output.bias.defined()) y = y + w.output.bias;
    if (const Tensor mask = mask_of(query); mask.defined()) set_mask(y, mask);
    if (options_.return_attention_scores) return {y, weights};
    return {y};
  }

 private:
  struct Projection {
    Variable kernel, bias;
  };
  struct Weights {
    Projection query, key, value, output;
  };

  int64_t value_dim() const { return options_.value_dim.value_or(key_dim_); }

  Projection make(ModuleState& state, const char* name, const Shape& kernel, const Shape& bias, DType dtype) {
    const MultiHeadAttentionOptions& o = options_;
    // Keras's names: each projection is a part of its own.
    const std::shared_ptr<ModuleState> part = detail::part_of(state, name);
    Projection p;
    p.kernel = detail::make_parameter(*part, "kernel", kernel, dtype, o.kernel_initializer,
                                      o.kernel_regularizer, o.kernel_constraint);
    if (o.use_bias)
      p.bias = detail::make_parameter(*part, "bias", bias, dtype, o.bias_initializer, o.bias_regularizer,
                                      o.bias_constraint);
    return p;
  }
  Weights build(ModuleState& state, const Tensor& query, const Tensor& key, const Tensor& value) {
    for (const Tensor* x : {&query, &key, &value}) detail::check_floating(*x);
    const DType dtype = query.dtype();
    const auto size = [&](const Tensor& x) -> int64_t { return x.dim(-1, state.where); };
    const int64_t outputs = options_.output_size.value_or(size(query));
    Weights w;
    w.query = make(state, "query", {size(query), heads_, key_dim_}, {heads_, key_dim_}, dtype);
    w.key = make(state, "key", {size(key), heads_, key_dim_}, {heads_, key_dim_}, dtype);
    w.value = make(state, "value", {size(value), heads_, value_dim()}, {heads_, value_dim()}, dtype);
    w.output = make(state, "attention_output", {heads_, value_dim(), outputs}, {outputs}, dtype);
    return w;
  }

  /// (batch, positions, features) to (batch, heads, positions, size).
  Tensor project(const Tensor& x, const Projection& p) const {
    const Tensor kernel = p.kernel;
    const int64_t features = kernel.shape().codes()[0], size = kernel.shape().codes()[2];
    TD_CHECK(x.shape().codes().back() == features || x.shape().codes().back() < 0,
             "the last dimension of input shape {} is {}; the layer was built for {}", x.shape(),
             x.shape().codes().back(), features);
    Tensor y = matmul(x, reshape(kernel, {features, heads_ * size}));
    if (p.bias.defined()) y = y + reshape(p.bias, {heads_ * size});
    y = reshape(y, concat({shape_of(x, 0, 2), Tensor({heads_, size}, DType::i64)}, 0));
    return transpose(y, {0, 2, 1, 3});
  }

  Tensor allowed(const Tensor& query, const Tensor& value, const Tensor& key, bool has_key,
                 const Tensor& given) const {
    Tensor all;
    if (const Tensor m = mask_of(query); m.defined()) all = unsqueeze(m, {1, 3});
    if (const Tensor m = mask_of(value); m.defined()) all = both(all, unsqueeze(m, {1, 2}));
    if (const Tensor m = has_key ? mask_of(key) : Tensor(); m.defined())
      all = both(all, unsqueeze(m, {1, 2}));
    if (given.defined()) {
      TD_CHECK(
          given.rank() == 3 || given.rank() == 4,
          "the attention mask has shape {}; expected (batch, targets, sources), with the heads maybe after "
          "the batch",
          given.shape());
      all = both(all, given.rank() == 3 ? unsqueeze(given, {1}) : given);
    }
    return options_.use_causal_mask ? both(all, causal(query, key)) : all;
  }

  int64_t heads_, key_dim_;
  MultiHeadAttentionOptions options_;
  detail::Once<Weights> weights_;
  detail::NoiseSource noise_;
};

// ---- Attention, AdditiveAttention

class AttentionBody final : public LayerBody {
 public:
  AttentionBody(bool additive, AttentionOptions options)
      : additive_(additive), options_(std::move(options)), noise_(options_.seed) {
    detail::check_word("score_mode", options_.score_mode, {"dot", "concat"});
    TD_CHECK(options_.dropout >= 0 && options_.dropout <= 1, "dropout is {}; expected 0 to 1",
             options_.dropout);
  }

  Tensor call(ModuleState& state, const Tensor& x) override { return call_many(state, {x})[0]; }

  Tensors call_many(ModuleState& state, const Tensors& inputs) override {
    TD_CHECK(inputs.size() == 2 || inputs.size() == 3,
             "the layer was called on {} tensors; expected query and value, and maybe key", inputs.size());
    const Tensor &query = inputs[0], &value = inputs[1], &key = inputs.size() > 2 ? inputs[2] : value;
    check_sequence("query", query);
    check_sequence("value", value);
    check_sequence("key", key);
    const Weights& w = weights_.get([&] { return build(state, query); });
    Tensor allowed;
    if (const Tensor m = mask_of(value); m.defined()) allowed = unsqueeze(m, {1});
    if (options_.use_causal_mask) allowed = both(allowed, causal(query, key));
    Tensor weights = shares(scores(w, query, key), allowed);
    const Variable& numbers = noise_.generator(state);
    if (is_training() && options_.dropout > 0) weights = dropout(weights, options_.dropout, true, numbers);
    Tensor y = matmul(weights, value);
    if (const Tensor m = mask_of(query); m.defined()) {
      y = y * cast(unsqueeze(m, {-1}), y.dtype());
      set_mask(y, m);
    }
    if (options_.return_attention_scores) return {y, weights};
    return {y};
  }

 private:
  struct Weights {
    Variable scale, concat_score;
  };

  Weights build(ModuleState& state, const Tensor& query) const {
    detail::check_floating(query);
    Weights w;
    if (additive_) {
      if (options_.use_scale.value_or(true))
        w.scale = detail::make_parameter(state, "scale", {query.dim(-1, state.where)}, query.dtype(),
                                         "glorot_uniform");
      return w;
    }
    if (options_.use_scale.value_or(false))
      w.scale = detail::make_parameter(state, "scale", {}, query.dtype(), "ones");
    if (options_.score_mode == "concat")
      w.concat_score = detail::make_parameter(state, "concat_score_weight", {}, query.dtype(), "ones");
    return w;
  }

  Tensor scores(const Weights& w, const Tensor& query, const Tensor& key) const {
    if (!additive_ && options_.score_mode == "dot") {
      const Tensor products = matmul(query, transpose(key, {0, 2, 1}));
      return w.scale.defined() ? products * w.scale : products;
    }
    // Every target with every source.
    const Tensor sums = unsqueeze(query, {2}) + unsqueeze(key, {1});
    if (additive_) {
      const Tensor terms = tanh(sums);
      return reduce_sum(w.scale.defined() ? terms * w.scale : terms, {-1});
    }
    return w.concat_score * reduce_sum(tanh(w.scale.defined() ? sums * w.scale : sums), {-1});
  }

  bool additive_;
  AttentionOptions options_;
  detail::Once<Weights> weights_;
  detail::NoiseSource noise_;
};

}  // namespace

MultiHeadAttention::MultiHeadAttention(int64_t num_heads, int64_t key_dim, MultiHeadAttentionOptions options,
                                       Location where)
    : Layer("MultiHeadAttention", options.name, where,
            detail::make_body<MultiHeadAttentionBody>("MultiHeadAttention", where, num_heads, key_dim,
                                                      options)) {
  detail::penalize_activity(*this, options.activity_regularizer);
}

Attention::Attention(AttentionOptions options, Location where)
    : Layer("Attention", options.name, where,
            detail::make_body<AttentionBody>("Attention", where, false, options)) {}

AdditiveAttention::AdditiveAttention(AttentionOptions options, Location where)
    : Layer("AdditiveAttention", options.name, where,
            detail::make_body<AttentionBody>("AdditiveAttention", where, true, options)) {}

}  // namespace tandem::nn
