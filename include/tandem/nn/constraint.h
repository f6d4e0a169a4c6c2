#pragma once
// What parameters must satisfy after each update.

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/tensor.h"

namespace tandem::nn {

/// What an optimizer makes of a parameter after each update: by Keras's name, as one of nn::constraints with
/// options, or any function from the new value to the one that counts. Nothing by default.
///
/// Names, with the defaults of the classes in nn::constraints: max_norm, non_neg, unit_norm, min_max_norm.
/// Errors: an unknown name.
///
///     nn::Dense(10, "relu", {.kernel_constraint = nn::constraints::MaxNorm({.max_value = 3})});
class Constraint {
 public:
  using Function = std::function<Tensor(const Tensor& value)>;

  Constraint() = default;
  Constraint(const char* name, Location where = here()) : Constraint(std::string(name), where) {}
  Constraint(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&> && !std::derived_from<F, Constraint>)
      Constraint(F function)
      : function_(std::move(function)) {}

  bool defined() const { return static_cast<bool>(function_); }
  /// Shape and dtype stay. Errors: no constraint.
  Tensor operator()(const Tensor& value) const;
  /// What VariableOptions::constraint takes; empty without one.
  const Function& function() const { return function_; }

 protected:
  Function function_;
};

/// Constraints with options, under Keras's names. Norms are over the dimensions in `axes`, of which 0 is a
/// Dense kernel's inputs; {0, 1, 2} are a two-dimensional convolution kernel's.
namespace constraints {

/// Negative elements become 0.
class NonNeg : public Constraint {
 public:
  NonNeg();
};

/// Options of MaxNorm.
struct MaxNormOptions {
  double max_value = 2;
  std::vector<int64_t> axes = {0};
};

/// Norms above max_value shrink to it. Errors: a negative limit.
class MaxNorm : public Constraint {
 public:
  explicit MaxNorm(MaxNormOptions options = {}, Location where = here());
};

/// Options of UnitNorm.
struct UnitNormOptions {
  std::vector<int64_t> axes = {0};
};

/// Norms become 1.
class UnitNorm : public Constraint {
 public:
  explicit UnitNorm(UnitNormOptions options = {});
};

/// Options of MinMaxNorm.
struct MinMaxNormOptions {
  double min_value = 0, max_value = 1;
  double rate = 1;  ///< how far each update goes towards the limits
  std::vector<int64_t> axes = {0};
};

/// Norms outside min_value to max_value move towards the nearer limit. Errors: limits that are negative or
/// in the wrong order, a rate outside 0 to 1.
class MinMaxNorm : public Constraint {
 public:
  explicit MinMaxNorm(MinMaxNormOptions options = {}, Location where = here());
};

}  // namespace constraints

}  // namespace tandem::nn
