#include "tandem/gradient_check.h"

#include <cmath>
#include <limits>

#include "core/check.h"
#include "tandem/ops.h"
#include "tandem/tape.h"

namespace tandem {

namespace {

using Doubles = std::vector<double>;

Doubles values_of(const Tensor& t) { return cast(t, DType::f64).to_vector<double>(); }

/// About the cube root of the dtype's precision, where the two errors of a central difference meet; a power
/// of two, so that it is exact.
double suitable_step(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 0x1p-17;
    case DType::f32:
      return 0x1p-8;
    default:
      return 0x1p-3;
  }
}

Tensor numeric_jacobian(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                        std::vector<Tensor> inputs, size_t which, int64_t rows, double step) {
  const Tensor x = inputs[which];
  const Doubles at = values_of(x);
  const auto columns = static_cast<int64_t>(at.size());
  Doubles jacobian(static_cast<size_t>(rows * columns));
  const auto moved = [&](size_t i, double by) {
    Doubles v = at;
    v[i] += by;
    inputs[which] = cast(from_vector(std::move(v), x.shape().codes()), x.dtype());
    return values_of(f(inputs));
  };
  for (size_t i = 0; i < at.size(); ++i) {
    const Doubles up = moved(i, step), down = moved(i, -step);
    for (size_t r = 0; r < up.size(); ++r) jacobian[r * at.size() + i] = (up[r] - down[r]) / (2 * step);
  }
  return from_vector(std::move(jacobian), {rows, columns});
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const Doubles x = a.to_vector<double>(), y = b.to_vector<double>();
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(x[i] - y[i]) / std::max(1.0, std::abs(y[i]));
    // Also where only one is infinite, or either is no number.
    largest = std::max(largest, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
  }
  return largest;
}

}  // namespace

GradientCheck check_gradients(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                              const std::vector<Tensor>& inputs, double step, Location where) {
  GradientTape tape({.persistent = true});
  for (const Tensor& x : inputs)
    if (is_floating(x.dtype())) tape.watch(x, where);
  const Tensor value = f(inputs);
  tape.stop(where);
  GradientCheck result;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    result.analytic.emplace_back();
    result.numeric.emplace_back();
    if (!is_floating(x.dtype())) continue;
    const int64_t rows = value.size();
    result.analytic[i] =
        reshape(cast(tape.jacobian(value, x, Unconnected::zero, where), DType::f64), {rows, x.size()});
    result.numeric[i] = numeric_jacobian(f, inputs, i, rows, step != 0 ? step : suitable_step(x.dtype()));
    result.largest_error =
        std::max(result.largest_error, largest_difference(result.analytic[i], result.numeric[i]));
  }
  return result;
}

}  // namespace tandem
