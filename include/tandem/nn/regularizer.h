#pragma once
// Penalties on parameters, which training adds to the loss.

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>

#include "tandem/tensor.h"

namespace tandem::nn {

/// A penalty on a parameter: by Keras's name, as one of nn::regularizers with options, or any function of the
/// value that gives one number. Nothing by default.
///
/// Names, with the defaults of the classes in nn::regularizers: l1, l2, l1_l2 (0.01 each),
/// orthogonal_regularizer. Errors: an unknown name.
///
///     nn::Dense(10, "relu", {.kernel_regularizer = nn::regularizers::L2(1e-4)});
class Regularizer {
 public:
  using Function = std::function<Tensor(const Tensor& value)>;

  Regularizer() = default;
  Regularizer(const char* name, Location where = here()) : Regularizer(std::string(name), where) {}
  Regularizer(const std::string& name, Location where = here());
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&> && !std::derived_from<F, Regularizer>)
      Regularizer(F function)
      : function_(std::move(function)) {}

  bool defined() const { return static_cast<bool>(function_); }
  /// The penalty, a scalar of the value's dtype. Errors: no regularizer, a function that gives no scalar.
  Tensor operator()(const Tensor& value, Location where = here()) const;

 protected:
  Function function_;
  /// True when operations inside have no lines of the user's own.
  bool builtin_ = false;
};

/// Regularizers with options, under Keras's names.
namespace regularizers {

/// l1 * sum(|x|). Errors, here and below: negative factors.
class L1 : public Regularizer {
 public:
  explicit L1(double l1 = 0.01, Location where = here());
};

/// l2 * sum(x^2).
class L2 : public Regularizer {
 public:
  explicit L2(double l2 = 0.01, Location where = here());
};

/// Options of L1L2.
struct L1L2Options {
  double l1 = 0, l2 = 0;
};

/// l1 * sum(|x|) + l2 * sum(x^2). `nn::regularizers::L1L2({.l1 = 1e-5, .l2 = 1e-4})`
class L1L2 : public Regularizer {
 public:
  explicit L1L2(L1L2Options options = {}, Location where = here());
};

/// Options of OrthogonalRegularizer.
struct OrthogonalRegularizerOptions {
  double factor = 0.01;
  std::string mode = "rows";  ///< or "columns"
};

/// factor times the mean of |cosine| over all pairs of rows, or of columns, of a matrix: 0 when they are
/// orthogonal. Errors: an unknown mode, values that are not of rank 2.
class OrthogonalRegularizer : public Regularizer {
 public:
  explicit OrthogonalRegularizer(OrthogonalRegularizerOptions options = {}, Location where = here());
};

}  // namespace regularizers

}  // namespace tandem::nn
