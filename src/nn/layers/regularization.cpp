#include "tandem/nn/layers/regularization.h"

#include <cmath>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// What of x the noise is drawn for: all of it, or a shape that broadcasts to it.
class NoiseShape {
 public:
  NoiseShape() = default;
  explicit NoiseShape(const Shape& wanted) : wanted_(wanted) {}

  bool is_whole() const { return wanted_.empty(); }
  Tensor of(const Tensor& x) const {
    if (is_whole()) return shape_of(x);
    TD_CHECK(wanted_.rank() == x.rank(), "noise_shape {} has {} dimensions and the input {} has {}", wanted_,
             wanted_.rank(), x.shape(), x.rank());
    std::vector<Tensor> sizes;
    for (int i = 0; i < x.rank(); ++i)
      sizes.push_back(wanted_[i] < 0 ? shape_of(x, i, i + 1) : Tensor({wanted_[i]}, DType::i64));
    return concat(sizes, 0);
  }

 private:
  Shape wanted_;
};

/// A layer that in training makes some noise.
class NoiseBody : public LayerBody {
 public:
  explicit NoiseBody(std::optional<uint64_t> seed) : noise_(seed) {}

  Tensor call(ModuleState& state, const Tensor& x) final {
    detail::check_floating(x);
    const Variable& numbers = noise_.generator(state);
    return is_training() ? disturbed(x, numbers) : x;
  }
  bool passes_mask() const final { return true; }

 protected:
  virtual Tensor disturbed(const Tensor& x, const Variable& generator) const = 0;

 private:
  detail::NoiseSource noise_;
};

void check_rate(double rate) { TD_CHECK(rate >= 0 && rate <= 1, "rate is {}; expected 0 to 1", rate); }

class DropoutBody final : public NoiseBody {
 public:
  DropoutBody(double rate, const NoiseShape& shape, std::optional<uint64_t> seed)
      : NoiseBody(seed), rate_(rate), shape_(shape) {
    check_rate(rate);
  }

 protected:
  Tensor disturbed(const Tensor& x, const Variable& generator) const override {
    if (rate_ == 0) return x;
    if (shape_.is_whole()) return dropout(x, rate_, true, generator);
    const Tensor kept = random::bernoulli(1 - rate_, shape_.of(x), generator);
    return where(kept, x * (rate_ < 1 ? 1 / (1 - rate_) : 1), zeros_like(x));
  }

 private:
  double rate_;
  NoiseShape shape_;
};

class GaussianDropoutBody final : public NoiseBody {
 public:
  GaussianDropoutBody(double rate, std::optional<uint64_t> seed) : NoiseBody(seed), rate_(rate) {
    TD_CHECK(rate >= 0 && rate < 1, "rate is {}; expected at least 0 and below 1", rate);
  }

 protected:
  Tensor disturbed(const Tensor& x, const Variable& generator) const override {
    if (rate_ == 0) return x;
    return x * random::normal(shape_of(x), 1, std::sqrt(rate_ / (1 - rate_)), x.dtype(), generator);
  }

 private:
  double rate_;
};

class GaussianNoiseBody final : public NoiseBody {
 public:
  GaussianNoiseBody(double stddev, std::optional<uint64_t> seed) : NoiseBody(seed), stddev_(stddev) {
    TD_CHECK(stddev >= 0, "stddev is {}; expected at least 0", stddev);
  }

 protected:
  Tensor disturbed(const Tensor& x, const Variable& generator) const override {
    if (stddev_ == 0) return x;
    return x + random::normal(shape_of(x), 0, stddev_, x.dtype(), generator);
  }

 private:
  double stddev_;
};

class AlphaDropoutBody final : public NoiseBody {
 public:
  AlphaDropoutBody(double rate, const NoiseShape& shape, std::optional<uint64_t> seed)
      : NoiseBody(seed), rate_(rate), shape_(shape) {
    check_rate(rate);
  }

 protected:
  // What is dropped takes the value that selu gives to minus infinity; then all is scaled and moved so that
  // mean 0 and variance 1 stay.
  Tensor disturbed(const Tensor& x, const Variable& generator) const override {
    constexpr double dropped = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946;
    if (rate_ == 0) return x;
    if (rate_ == 1) return zeros_like(x);
    const double factor = 1 / std::sqrt((1 - rate_) * (1 + rate_ * dropped * dropped));
    const Tensor kept = random::bernoulli(1 - rate_, shape_.of(x), generator);
    return where(kept, x, full_like(x, dropped)) * factor - factor * dropped * rate_;
  }

 private:
  double rate_;
  NoiseShape shape_;
};

NoiseShape of_channels(int spatial, const SpatialDropoutOptions& options) {
  Shape shape = Dims::filled(spatial + 2, 1);
  shape[0] = shape[detail::is_channels_last(options.data_format) ? spatial + 1 : 1] = -1;
  return NoiseShape(shape);
}

}  // namespace

Dropout::Dropout(double rate, DropoutOptions options, Location where)
    : Layer("Dropout", options.name, where,
            detail::make_body<DropoutBody>("Dropout", where, rate, NoiseShape(options.noise_shape),
                                           options.seed)) {}

#define TANDEM_SPATIAL_DROPOUT(Kind, spatial)                                                     \
  Kind::Kind(double rate, SpatialDropoutOptions options, Location where)                          \
      : Layer(#Kind, options.name, where, detail::in_call(detail::snake_case(#Kind), where, [&] { \
                return detail::make_clonable<DropoutBody>(rate, of_channels(spatial, options),    \
                                                          options.seed);                          \
              })) {}
TANDEM_SPATIAL_DROPOUT(SpatialDropout1D, 1)
TANDEM_SPATIAL_DROPOUT(SpatialDropout2D, 2)
TANDEM_SPATIAL_DROPOUT(SpatialDropout3D, 3)
#undef TANDEM_SPATIAL_DROPOUT

GaussianDropout::GaussianDropout(double rate, NoiseOptions options, Location where)
    : Layer("GaussianDropout", options.name, where,
            detail::make_body<GaussianDropoutBody>("GaussianDropout", where, rate, options.seed)) {}

GaussianNoise::GaussianNoise(double stddev, NoiseOptions options, Location where)
    : Layer("GaussianNoise", options.name, where,
            detail::make_body<GaussianNoiseBody>("GaussianNoise", where, stddev, options.seed)) {}

AlphaDropout::AlphaDropout(double rate, DropoutOptions options, Location where)
    : Layer("AlphaDropout", options.name, where,
            detail::make_body<AlphaDropoutBody>("AlphaDropout", where, rate, NoiseShape(options.noise_shape),
                                                options.seed)) {}

}  // namespace tandem::nn
