#include "tandem/nn/layers/core.h"

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

class DenseBody final : public LayerBody {
 public:
  DenseBody(int64_t units, ActivationFunction activation, DenseOptions options)
      : units_(units), activation_(std::move(activation)), options_(std::move(options)) {
    TD_CHECK(units > 0, "{} units were asked for; expected at least 1", units);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Shape& shape = x.shape().codes();
    TD_CHECK(shape.rank() >= 2, "the input has shape {}; expected at least 2 dimensions, the first the batch",
             shape);
    const Weights& w = weights_.get([&] { return build(state, x); });
    TD_CHECK(shape.back() == w.inputs || shape.back() < 0,
             "the last dimension of input shape {} is {}; the layer was built for {}", shape, shape.back(),
             w.inputs);
    Tensor y = matmul(x, w.kernel);
    if (w.bias.defined()) y = y + w.bias;
    return activation_(y);
  }
  bool passes_mask() const override { return true; }

 private:
  struct Weights {
    Variable kernel, bias;
    int64_t inputs = 0;
  };

  Weights build(ModuleState& state, const Tensor& x) const {
    detail::check_floating(x);
    const DenseOptions& o = options_;
    Weights w;
    w.inputs = x.dim(-1, state.where);
    w.kernel = detail::make_parameter(state, "kernel", {w.inputs, units_}, x.dtype(), o.kernel_initializer,
                                      o.kernel_regularizer, o.kernel_constraint);
    if (o.use_bias)
      w.bias = detail::make_parameter(state, "bias", {units_}, x.dtype(), o.bias_initializer,
                                      o.bias_regularizer, o.bias_constraint);
    return w;
  }

  int64_t units_;
  ActivationFunction activation_;
  DenseOptions options_;
  detail::Once<Weights> weights_;
};

class EmbeddingBody final : public LayerBody {
 public:
  EmbeddingBody(int64_t words, int64_t size, EmbeddingOptions options)
      : words_(words), size_(size), options_(std::move(options)) {
    TD_CHECK(words > 0 && size > 0, "{} words of {} numbers were asked for; expected at least 1 of each",
             words, size);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    TD_CHECK(x.dtype() != DType::boolean, "the input has dtype bool; expected whole numbers");
    const Variable& table = table_.get([&] {
      return detail::make_parameter(state, "embeddings", {words_, size_}, options_.dtype,
                                    options_.embeddings_initializer, options_.embeddings_regularizer,
                                    options_.embeddings_constraint);
    });
    const bool is_index = x.dtype() == DType::i32 || x.dtype() == DType::i64;
    Tensor y = gather(table, is_index ? x : cast(x, DType::i32));
    if (options_.mask_zero) set_mask(y, not_equal(x, 0));
    return y;
  }

 private:
  int64_t words_, size_;
  EmbeddingOptions options_;
  detail::Once<Variable> table_;
};

class MaskingBody final : public LayerBody {
 public:
  explicit MaskingBody(double value) : value_(value) {}

  Tensor call(ModuleState&, const Tensor& x) override {
    TD_CHECK(x.rank() >= 2, "the input has shape {}; expected at least 2 dimensions: (batch, ..., features)",
             x.shape());
    const Tensor counts = reduce_any(not_equal(x, value_), {-1});
    Tensor y = where(unsqueeze(counts, {-1}), x, zeros_like(x));
    set_mask(y, counts);
    return y;
  }

 private:
  double value_;
};

class FlattenBody final : public LayerBody {
 public:
  explicit FlattenBody(const FlattenOptions& options)
      : channels_last_(detail::is_channels_last(options.data_format)) {}

  Tensor call(ModuleState&, const Tensor& input) override {
    TD_CHECK(input.rank() >= 1, "the input is a scalar; expected at least 1 dimension, the batch");
    const Tensor x = channels_last_ || input.rank() < 3 ? input : detail::channels_to_back(input);
    const Shape& shape = x.shape().codes();
    int64_t rest = 1;
    for (int i = 1; i < shape.rank(); ++i) rest = shape[i] < 0 || rest < 0 ? -1 : rest * shape[i];
    // An unknown batch is left for the operation to find, which costs the graph nothing.
    return reshape(x, {shape[0] < 0 && rest > 0 ? Dim(-1) : x.dim(0), Dim(rest)});
  }

 private:
  bool channels_last_;
};

class ReshapeBody final : public LayerBody {
 public:
  explicit ReshapeBody(const Shape& target) : target_(target) {
    int unknown = 0;
    for (int64_t size : target) {
      TD_CHECK(size >= -1, "target_shape {} has a size of {}; expected at least 0, or one -1", target, size);
      unknown += size == -1;
    }
    TD_CHECK(unknown <= 1 && target.rank() < max_rank,
             "target_shape {} has {} unknown sizes and {} dimensions; expected at most 1 and {}", target,
             unknown, target.rank(), max_rank - 1);
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    TD_CHECK(x.rank() >= 1, "the input is a scalar; expected at least 1 dimension, the batch");
    // With the sizes of an example known its -1 is a number, so that the batch may be unknown.
    int64_t have = 1, wanted = 1;
    for (int i = 1; i < x.rank(); ++i)
      have = x.shape().codes()[i] < 0 || have < 0 ? -1 : have * x.shape().codes()[i];
    for (int64_t size : target_) wanted *= size == -1 ? 1 : size;
    Shape known = target_;
    for (int64_t& size : known)
      if (size == -1 && have > 0 && wanted > 0 && have % wanted == 0) size = have / wanted;
    const int64_t now = known.element_count();
    TD_CHECK(have < 0 || (now >= 0 && now == have),
             "an example of input shape {} has {} elements; target_shape {} does not fit", x.shape(), have,
             target_);
    if (now >= 0) {
      known.insert(0, x.shape().codes()[0] < 0 && now > 0 ? -1 : x.shape().codes()[0]);
      return reshape(x, known);
    }
    return reshape(x, concat({shape_of(x, 0, 1), from_vector(target_.to_vector(), {target_.rank()})}, 0));
  }

 private:
  Shape target_;
};

class PermuteBody final : public LayerBody {
 public:
  explicit PermuteBody(const Dims& dims) : order_{0} {
    Dims seen = Dims::filled(dims.size(), 0);
    for (int64_t d : dims) {
      TD_CHECK(d >= 1 && d <= dims.size() && seen[static_cast<int>(d - 1)]++ == 0,
               "dims {} is no order of 1 to {}", dims, dims.size());
      order_.push_back(d);
    }
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    TD_CHECK(x.rank() == order_.size(), "the input has shape {}; expected {} dimensions", x.shape(),
             order_.size());
    return transpose(x, order_);
  }

 private:
  Dims order_;
};

class RepeatVectorBody final : public LayerBody {
 public:
  explicit RepeatVectorBody(int64_t count) : count_(count) {
    TD_CHECK(count > 0, "n is {}; expected at least 1", count);
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    TD_CHECK(x.rank() == 2, "the input has shape {}; expected 2 dimensions: (batch, features)", x.shape());
    return expand(unsqueeze(x, {1}), {Dim(1), Dim(count_), Dim(1)});
  }

 private:
  int64_t count_;
};

class IdentityBody final : public LayerBody {
 public:
  Tensor call(ModuleState&, const Tensor& x) override { return x; }
  bool passes_mask() const override { return true; }
};

class LambdaBody final : public LayerBody {
 public:
  LambdaBody(std::function<Tensor(const Tensor&)> one, std::function<Tensor(const std::vector<Tensor>&)> many)
      : one_(std::move(one)), many_(std::move(many)) {}

  Tensor call(ModuleState&, const Tensor& x) override { return one_ ? one_(x) : many_({x}); }
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override {
    if (many_) return {many_(inputs)};
    return LayerBody::call_many(state, inputs);
  }
  bool is_composite() const override { return true; }

 private:
  std::function<Tensor(const Tensor&)> one_;
  std::function<Tensor(const std::vector<Tensor>&)> many_;
};

}  // namespace

Dense::Dense(int64_t units, ActivationFunction activation, DenseOptions options, Location where)
    : Layer("Dense", options.name, where,
            detail::make_body<DenseBody>("Dense", where, units, std::move(activation), options)) {
  detail::penalize_activity(*this, options.activity_regularizer);
}

Embedding::Embedding(int64_t input_dim, int64_t output_dim, EmbeddingOptions options, Location where)
    : Layer("Embedding", options.name, where,
            detail::make_body<EmbeddingBody>("Embedding", where, input_dim, output_dim, options)) {}

Masking::Masking(double mask_value, LayerOptions options, Location where)
    : Layer("Masking", options.name, where, detail::make_clonable<MaskingBody>(mask_value)) {}

Flatten::Flatten(FlattenOptions options, Location where)
    : Layer("Flatten", options.name, where, detail::make_body<FlattenBody>("Flatten", where, options)) {}

Reshape::Reshape(Shape target_shape, LayerOptions options, Location where)
    : Layer("Reshape", options.name, where, detail::make_body<ReshapeBody>("Reshape", where, target_shape)) {}

Permute::Permute(Dims dims, LayerOptions options, Location where)
    : Layer("Permute", options.name, where, detail::make_body<PermuteBody>("Permute", where, dims)) {}

RepeatVector::RepeatVector(int64_t n, LayerOptions options, Location where)
    : Layer("RepeatVector", options.name, where,
            detail::make_body<RepeatVectorBody>("RepeatVector", where, n)) {}

Identity::Identity(LayerOptions options, Location where)
    : Layer("Identity", options.name, where, detail::make_clonable<IdentityBody>()) {}

ActivityRegularization::ActivityRegularization(regularizers::L1L2Options factors, LayerOptions options,
                                               Location where)
    : Layer("ActivityRegularization", options.name, where, detail::make_clonable<IdentityBody>()) {
  detail::penalize_activity(*this, regularizers::L1L2(factors, where));
}

Lambda::Lambda(std::function<Tensor(const Tensor&)> one,
               std::function<Tensor(const std::vector<Tensor>&)> many, LayerOptions options, Location where)
    : Layer("Lambda", options.name, where,
            detail::make_clonable<LambdaBody>(std::move(one), std::move(many))) {}

}  // namespace tandem::nn
