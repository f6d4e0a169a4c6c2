#include "tandem/nn/initializer.h"

#include <cmath>

#include "nn/layer_call.h"
#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using Function = Initializer::Function;
using Seed = std::optional<uint64_t>;

Variable generator_of(const Seed& seed) {
  return seed ? random::make_generator(*seed, {}) : random::parameter_generator();
}

struct Fans {
  double in, out;
};

Fans fans_of(const Shape& shape) {
  const int rank = shape.rank();
  if (rank == 0) return {1, 1};
  if (rank == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double window = 1;
  for (int i = 0; i < rank - 2; ++i) window *= static_cast<double>(shape[i]);
  return {window * static_cast<double>(shape[rank - 2]), window * static_cast<double>(shape[rank - 1])};
}

Tensor uniform(const Shape& shape, DType dtype, double low, double high, const Seed& seed) {
  return random::uniform(shape, low, high, dtype, generator_of(seed));
}

Tensor normal(const Shape& shape, DType dtype, double mean, double stddev, const Seed& seed) {
  return random::normal(shape, mean, stddev, dtype, generator_of(seed));
}

// Of the numbers drawn, those within two deviations, in order.
Tensor truncated_normal(const Shape& shape, DType dtype, double mean, double stddev, const Seed& seed) {
  const Variable generator = generator_of(seed);
  const int64_t wanted = shape.element_count();
  std::vector<float> kept;
  kept.reserve(static_cast<size_t>(wanted));
  while (static_cast<int64_t>(kept.size()) < wanted) {
    const int64_t missing = wanted - static_cast<int64_t>(kept.size());
    // One in 22 is too large.
    const Tensor drawn = random::normal({missing + missing / 16 + 8}, 0, 1, DType::f32, generator);
    for (float v : drawn.span<float>())
      if (std::abs(v) <= 2 && static_cast<int64_t>(kept.size()) < wanted) kept.push_back(v);
  }
  return cast(cast(from_vector(std::move(kept), shape), DType::f64) * stddev + mean, dtype);
}

Tensor scaled(const initializers::VarianceScalingOptions& options, const Shape& shape, DType dtype) {
  const Fans fans = fans_of(shape);
  const double n = options.mode == "fan_in"    ? fans.in
                   : options.mode == "fan_out" ? fans.out
                                               : (fans.in + fans.out) / 2;
  const double variance = options.scale / std::max(1.0, n);
  if (options.distribution == "uniform") {
    const double limit = std::sqrt(3 * variance);
    return uniform(shape, dtype, -limit, limit, options.seed);
  }
  if (options.distribution == "untruncated_normal")
    return normal(shape, dtype, 0, std::sqrt(variance), options.seed);
  // What cutting at two deviations leaves of the deviation.
  constexpr double remaining = 0.87962566103423978;
  return truncated_normal(shape, dtype, 0, std::sqrt(variance) / remaining, options.seed);
}

Function scaling(double scale, const char* mode, const char* distribution, const Seed& seed) {
  const initializers::VarianceScalingOptions options{scale, mode, distribution, seed};
  return [options](const Shape& s, DType d) { return scaled(options, s, d); };
}

Tensor orthogonal(const Shape& shape, DType dtype, const initializers::OrthogonalOptions& options) {
  TD_CHECK(shape.rank() >= 2, "orthogonal parameters have at least 2 dimensions; shape {} was asked for",
           shape);
  const int64_t columns = shape.back(), rows = columns == 0 ? 0 : shape.element_count() / columns;
  if (rows == 0) return zeros(shape, dtype);
  const Tensor drawn =
      normal({std::max(rows, columns), std::min(rows, columns)}, DType::f64, 0, 1, options.seed);
  const linalg::QrResult parts = linalg::qr(drawn);
  // The signs make the result uniform among all orthogonal matrices.
  const Tensor diagonal = sum(parts.r * eye_like(parts.r), {0});
  Tensor q = parts.q * where(diagonal < 0, -1.0, ones_like(diagonal));
  if (rows < columns) q = transpose(q);
  return cast(reshape(q * options.gain, shape), dtype);
}

Tensor identity(const Shape& shape, DType dtype, double gain) {
  TD_CHECK(shape.rank() == 2, "an identity matrix has 2 dimensions; shape {} was asked for", shape);
  return cast(eye(shape[0], shape[1], 0, DType::f64) * gain, dtype);
}

void check_deviation(const char* name, double stddev, Location where) {
  detail::in_call(name, where,
                  [&] { TD_CHECK(stddev >= 0, "the deviation is {}; expected 0 or more", stddev); });
}

template <class I>
constexpr auto make_initializer = detail::make_default<Initializer, I>;

constexpr detail::NamedMaker<Initializer> known_initializers[] = {
    {"zeros", make_initializer<initializers::Zeros>},
    {"ones", make_initializer<initializers::Ones>},
    {"constant", make_initializer<initializers::Constant>},
    {"random_uniform", make_initializer<initializers::RandomUniform>},
    {"uniform", make_initializer<initializers::RandomUniform>},
    {"random_normal", make_initializer<initializers::RandomNormal>},
    {"normal", make_initializer<initializers::RandomNormal>},
    {"truncated_normal", make_initializer<initializers::TruncatedNormal>},
    {"variance_scaling", make_initializer<initializers::VarianceScaling>},
    {"glorot_uniform", make_initializer<initializers::GlorotUniform>},
    {"glorot_normal", make_initializer<initializers::GlorotNormal>},
    {"he_uniform", make_initializer<initializers::HeUniform>},
    {"he_normal", make_initializer<initializers::HeNormal>},
    {"lecun_uniform", make_initializer<initializers::LecunUniform>},
    {"lecun_normal", make_initializer<initializers::LecunNormal>},
    {"orthogonal", make_initializer<initializers::Orthogonal>},
    {"identity", make_initializer<initializers::Identity>},
};

}  // namespace

Initializer::Initializer(const std::string& name, Location where)
    : Initializer(detail::find_named(known_initializers, "initializer", name, where).make()) {}

Tensor Initializer::operator()(const Shape& shape, DType dtype) const {
  const ModeScope eager(nullptr);
  Tensor value = function_(shape, dtype);
  TD_CHECK(value.defined() && value.shape() == shape && value.dtype() == dtype,
           "an initializer was asked for {}{} and gave {}", dtype, shape,
           value.defined() ? fmt::format("{}{}", value.dtype(), value.shape()) : "an empty tensor handle");
  return value;
}

namespace initializers {

Zeros::Zeros() : Initializer([](const Shape& s, DType d) { return zeros(s, d); }) {}
Ones::Ones() : Initializer([](const Shape& s, DType d) { return ones(s, d); }) {}
Constant::Constant(double value)
    : Initializer([value](const Shape& s, DType d) { return full(s, value, d); }) {}
Identity::Identity(double gain)
    : Initializer([gain](const Shape& s, DType d) { return identity(s, d, gain); }) {}

RandomUniform::RandomUniform(RandomUniformOptions options, Location where)
    : Initializer([options](const Shape& s, DType d) {
        return uniform(s, d, options.low, options.high, options.seed);
      }) {
  detail::in_call("random_uniform", where, [&] {
    TD_CHECK(options.low <= options.high, "low is {} and high is {}; expected low to be at most high",
             options.low, options.high);
  });
}

RandomNormal::RandomNormal(RandomNormalOptions options, Location where)
    : Initializer([options](const Shape& s, DType d) {
        return normal(s, d, options.mean, options.stddev, options.seed);
      }) {
  check_deviation("random_normal", options.stddev, where);
}

TruncatedNormal::TruncatedNormal(RandomNormalOptions options, Location where)
    : Initializer([options](const Shape& s, DType d) {
        return truncated_normal(s, d, options.mean, options.stddev, options.seed);
      }) {
  check_deviation("truncated_normal", options.stddev, where);
}

VarianceScaling::VarianceScaling(VarianceScalingOptions options, Location where)
    : Initializer([options](const Shape& s, DType d) { return scaled(options, s, d); }) {
  detail::in_call("variance_scaling", where, [&] {
    TD_CHECK(options.scale > 0, "the scale is {}; expected more than 0", options.scale);
    TD_CHECK(options.mode == "fan_in" || options.mode == "fan_out" || options.mode == "fan_avg",
             "the mode is \"{}\"; expected \"fan_in\", \"fan_out\" or \"fan_avg\"", options.mode);
    TD_CHECK(options.distribution == "truncated_normal" || options.distribution == "untruncated_normal" ||
                 options.distribution == "uniform",
             "the distribution is \"{}\"; expected \"truncated_normal\", \"untruncated_normal\" or "
             "\"uniform\"",
             options.distribution);
  });
}

GlorotUniform::GlorotUniform(SeedOptions options)
    : Initializer(scaling(1, "fan_avg", "uniform", options.seed)) {}
GlorotNormal::GlorotNormal(SeedOptions options)
    : Initializer(scaling(1, "fan_avg", "truncated_normal", options.seed)) {}
HeUniform::HeUniform(SeedOptions options) : Initializer(scaling(2, "fan_in", "uniform", options.seed)) {}
HeNormal::HeNormal(SeedOptions options)
    : Initializer(scaling(2, "fan_in", "truncated_normal", options.seed)) {}
LecunUniform::LecunUniform(SeedOptions options)
    : Initializer(scaling(1, "fan_in", "uniform", options.seed)) {}
LecunNormal::LecunNormal(SeedOptions options)
    : Initializer(scaling(1, "fan_in", "truncated_normal", options.seed)) {}

Orthogonal::Orthogonal(OrthogonalOptions options)
    : Initializer([options](const Shape& s, DType d) { return orthogonal(s, d, options); }) {}

}  // namespace initializers

}  // namespace tandem::nn
