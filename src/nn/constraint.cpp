#include "tandem/nn/constraint.h"

#include "nn/layer_call.h"
#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

constexpr detail::NamedMaker<Constraint> known_constraints[] = {
    {"max_norm", [] { return Constraint(constraints::MaxNorm()); }},
    {"non_neg", [] { return Constraint(constraints::NonNeg()); }},
    {"unit_norm", [] { return Constraint(constraints::UnitNorm()); }},
    {"min_max_norm", [] { return Constraint(constraints::MinMaxNorm()); }},
};

// Keeps norms of 0 from dividing by it.
constexpr double epsilon = 1e-7;

Tensor norms_of(const Tensor& x, const std::vector<int64_t>& axes) {
  return sqrt(sum(square(x), axes, true));
}

}  // namespace

Constraint::Constraint(const std::string& name, Location where)
    : Constraint(detail::find_named(known_constraints, "constraint", name, where).make()) {}

Tensor Constraint::operator()(const Tensor& value) const {
  TD_CHECK(defined(), "there is no constraint");
  return function_(value);
}

namespace constraints {

NonNeg::NonNeg() {
  function_ = [](const Tensor& x) { return where(x >= 0, x, zeros_like(x)); };
}

MaxNorm::MaxNorm(MaxNormOptions options, Location where) {
  detail::in_call("max_norm", where, [&] {
    TD_CHECK(options.max_value >= 0, "the largest norm is {}; expected 0 or more", options.max_value);
  });
  function_ = [options](const Tensor& x) {
    const Tensor norms = norms_of(x, options.axes);
    return x * (clip(norms, 0, options.max_value) / (norms + epsilon));
  };
}

UnitNorm::UnitNorm(UnitNormOptions options) {
  function_ = [options](const Tensor& x) { return x / (norms_of(x, options.axes) + epsilon); };
}

MinMaxNorm::MinMaxNorm(MinMaxNormOptions options, Location where) {
  detail::in_call("min_max_norm", where, [&] {
    TD_CHECK(options.min_value >= 0 && options.min_value <= options.max_value,
             "the norms' limits are {} and {}; expected 0 or more, the smaller first", options.min_value,
             options.max_value);
    TD_CHECK(options.rate >= 0 && options.rate <= 1, "the rate is {}; expected 0 to 1", options.rate);
  });
  function_ = [options](const Tensor& x) {
    const Tensor norms = norms_of(x, options.axes);
    const Tensor wanted =
        options.rate * clip(norms, options.min_value, options.max_value) + (1 - options.rate) * norms;
    return x * (wanted / (norms + epsilon));
  };
}

}  // namespace constraints

}  // namespace tandem::nn
