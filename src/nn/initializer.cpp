#include "tandem/nn/initializer.h"

#include <atomic>
#include <cmath>

#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

struct Fans {
  double in, out;
  double mean() const { return (in + out) / 2; }
};

// A kernel's last two dimensions are its inputs and outputs; those before them are window positions.
Fans fans_of(const Shape& shape) {
  const int rank = shape.rank();
  if (rank == 0) return {1, 1};
  if (rank == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double window = 1;
  for (int i = 0; i < rank - 2; ++i) window *= static_cast<double>(shape[i]);
  return {window * static_cast<double>(shape[rank - 2]), window * static_cast<double>(shape[rank - 1])};
}

Tensor uniform(const Shape& shape, DType dtype, double limit) {
  static std::atomic<uint64_t> counter{0};
  std::vector<double> values(static_cast<size_t>(shape.element_count()));
  for (double& v : values) {
    uint64_t bits = ++counter * 0x9e3779b97f4a7c15u;  // SplitMix64
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
    v = (static_cast<double>((bits ^ (bits >> 31)) >> 11) * 0x1p-52 - 1) * limit;
  }
  return cast(from_vector(std::move(values), shape), dtype);
}

struct Row {
  std::string_view name;
  Tensor (*make)(const Shape& shape, DType dtype);
};

constexpr Row rows[] = {
    {"zeros", [](const Shape& s, DType d) { return zeros(s, d); }},
    {"ones", [](const Shape& s, DType d) { return ones(s, d); }},
    {"glorot_uniform",
     [](const Shape& s, DType d) { return uniform(s, d, std::sqrt(3 / fans_of(s).mean())); }},
    {"he_uniform", [](const Shape& s, DType d) { return uniform(s, d, std::sqrt(6 / fans_of(s).in)); }},
    {"lecun_uniform", [](const Shape& s, DType d) { return uniform(s, d, std::sqrt(3 / fans_of(s).in)); }},
    {"random_uniform", [](const Shape& s, DType d) { return uniform(s, d, 0.05); }},
};

}  // namespace

Initializer::Initializer(const std::string& name, Location where) {
  function_ = detail::find_named(rows, "initializer", name, where).make;
}

Tensor Initializer::operator()(const Shape& shape, DType dtype) const {
  Tensor value = function_(shape, dtype);
  TD_CHECK(value.defined() && value.shape() == shape && value.dtype() == dtype,
           "an initializer was asked for {}{} and gave {}", dtype, shape,
           value.defined() ? fmt::format("{}{}", value.dtype(), value.shape()) : "an empty tensor handle");
  return value;
}

}  // namespace tandem::nn
