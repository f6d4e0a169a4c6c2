#pragma once
// How a layer's parameters begin.

#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>

#include "tandem/tensor.h"

namespace tandem::nn {

/// Makes a parameter's first value from its shape and dtype: by Keras's name, as one of nn::initializers with
/// options, or any function. Random ones follow td::random::seed, in the order in which parameters are made.
///
/// Names, with the defaults of the classes in nn::initializers: zeros, ones, constant, random_uniform
/// (uniform), random_normal (normal), truncated_normal, variance_scaling, glorot_uniform, glorot_normal,
/// he_uniform, he_normal, lecun_uniform, lecun_normal, orthogonal, identity. Errors: an unknown name.
///
///     nn::Dense(10, "relu", {.kernel_initializer = "he_normal"});
///     nn::Dense(10, "relu", {.kernel_initializer = nn::initializers::RandomNormal({.stddev = 0.1})});
///     nn::Dense(10, {}, {.bias_initializer = [](td::Shape s, td::DType d) { return td::full(s, 0.1, d); }});
class Initializer {
 public:
  using Function = std::function<Tensor(const Shape& shape, DType dtype)>;

  Initializer(const char* name, Location where = here()) : Initializer(std::string(name), where) {}
  Initializer(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Shape&, DType> && !std::derived_from<F, Initializer>)
      Initializer(F function)
      : function_(std::move(function)) {}

  /// The value, made at once also while tracing. Errors: a function that gives another shape or dtype.
  Tensor operator()(const Shape& shape, DType dtype = DType::f32) const;

 private:
  Function function_;
};

/// Initializers with options, under Keras's names. The random ones need floating dtypes; one with a seed
/// gives the same value each time.
namespace initializers {

/// All zeros.
class Zeros : public Initializer {
 public:
  Zeros();
};

/// All ones.
class Ones : public Initializer {
 public:
  Ones();
};

/// All one number.
class Constant : public Initializer {
 public:
  explicit Constant(double value = 0);
};

/// The identity matrix times `gain`. Errors: shapes that are not of rank 2.
class Identity : public Initializer {
 public:
  explicit Identity(double gain = 1);
};

/// Options of RandomUniform.
struct RandomUniformOptions {
  double low = -0.05, high = 0.05;
  std::optional<uint64_t> seed = {};
};

/// Uniform in [low, high). Errors: low above high.
class RandomUniform : public Initializer {
 public:
  explicit RandomUniform(RandomUniformOptions options = {}, Location where = here());
};

/// Options of RandomNormal and TruncatedNormal.
struct RandomNormalOptions {
  double mean = 0, stddev = 0.05;
  std::optional<uint64_t> seed = {};
};

/// Normally distributed. Errors: a negative deviation.
class RandomNormal : public Initializer {
 public:
  explicit RandomNormal(RandomNormalOptions options = {}, Location where = here());
};

/// Normally distributed; what lies beyond two deviations is drawn again. Errors: a negative deviation.
class TruncatedNormal : public Initializer {
 public:
  explicit TruncatedNormal(RandomNormalOptions options = {}, Location where = here());
};

/// Options of VarianceScaling.
struct VarianceScalingOptions {
  double scale = 1;
  std::string mode = "fan_in";  ///< or "fan_out", "fan_avg"
  /// Or "untruncated_normal", "uniform".
  std::string distribution = "truncated_normal";
  std::optional<uint64_t> seed = {};
};

/// Of variance scale / n, where n is the number of inputs, of outputs, or their mean. A kernel's last two
/// dimensions are its inputs and outputs; those before them are window positions. Errors: a scale of 0 or
/// less, an unknown mode or distribution.
class VarianceScaling : public Initializer {
 public:
  explicit VarianceScaling(VarianceScalingOptions options = {}, Location where = here());
};

/// Options of initializers that have no others.
struct SeedOptions {
  std::optional<uint64_t> seed = {};
};

/// VarianceScaling of scale 1, fan_avg, uniform: what layers start kernels with.
class GlorotUniform : public Initializer {
 public:
  explicit GlorotUniform(SeedOptions options = {});
};

/// VarianceScaling of scale 1, fan_avg, truncated_normal.
class GlorotNormal : public Initializer {
 public:
  explicit GlorotNormal(SeedOptions options = {});
};

/// VarianceScaling of scale 2, fan_in, uniform.
class HeUniform : public Initializer {
 public:
  explicit HeUniform(SeedOptions options = {});
};

/// VarianceScaling of scale 2, fan_in, truncated_normal.
class HeNormal : public Initializer {
 public:
  explicit HeNormal(SeedOptions options = {});
};

/// VarianceScaling of scale 1, fan_in, uniform.
class LecunUniform : public Initializer {
 public:
  explicit LecunUniform(SeedOptions options = {});
};

/// VarianceScaling of scale 1, fan_in, truncated_normal.
class LecunNormal : public Initializer {
 public:
  explicit LecunNormal(SeedOptions options = {});
};

/// Options of Orthogonal.
struct OrthogonalOptions {
  double gain = 1;
  std::optional<uint64_t> seed = {};
};

/// As a matrix of (all other dimensions, the last), orthonormal columns or rows, whichever are fewer, times
/// `gain`. Errors: shapes of rank 0 or 1.
class Orthogonal : public Initializer {
 public:
  explicit Orthogonal(OrthogonalOptions options = {});
};

}  // namespace initializers

}  // namespace tandem::nn
