#include "tandem/nn/regularizer.h"

#include "nn/layer_call.h"
#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

constexpr detail::NamedMaker<Regularizer> known_regularizers[] = {
    {"l1", [] { return Regularizer(regularizers::L1()); }},
    {"l2", [] { return Regularizer(regularizers::L2()); }},
    {"l1_l2", [] { return Regularizer(regularizers::L1L2({.l1 = 0.01, .l2 = 0.01})); }},
    {"orthogonal_regularizer", [] { return Regularizer(regularizers::OrthogonalRegularizer()); }},
};

void check_factor(const char* name, double factor, Location where) {
  detail::in_call(name, where,
                  [&] { TD_CHECK(factor >= 0, "the factor is {}; expected 0 or more", factor); });
}

Tensor orthogonality(const Tensor& x, double factor, bool of_rows) {
  TD_CHECK(x.rank() == 2, "the value has shape {}; expected 2 dimensions", x.shape());
  const int64_t axis = of_rows ? 1 : 0, count = x.shape().codes()[of_rows ? 0 : 1];
  TD_CHECK(count >= 0, "the number of {} is unknown while tracing", of_rows ? "rows" : "columns");
  const Tensor squares = sum(square(x), {axis}, true);
  // Vectors shorter than this count as zero.
  const Tensor unit = x * minimum(1 / sqrt(squares), 1e7);
  const Tensor cosines = of_rows ? matmul(unit, transpose(unit)) : matmul(transpose(unit), unit);
  const double pairs = std::max(1.0, static_cast<double>(count) * static_cast<double>(count - 1) / 2);
  const Tensor others = abs(cosines * (1 - eye(count, count, 0, x.dtype())));
  return sum(others) * (factor * 0.5 / pairs);
}

}  // namespace

Regularizer::Regularizer(const std::string& name, Location where)
    : Regularizer(detail::find_named(known_regularizers, "regularizer", name, where).make()) {}

Tensor Regularizer::operator()(const Tensor& value, Location where) const {
  return detail::in_call("regularizer", where, [&] {
    TD_CHECK(defined(), "there is no regularizer");
    std::optional<CallSite> site;
    if (builtin_) site.emplace(where);
    Tensor penalty = function_(value);
    TD_CHECK(penalty.defined() && penalty.rank() == 0,
             "the penalty of a value of shape {} is {}; expected a scalar", value.shape(),
             penalty.defined() ? fmt::format("of shape {}", penalty.shape()) : "an empty tensor handle");
    return penalty;
  });
}

namespace regularizers {

L1::L1(double l1, Location where) {
  check_factor("l1", l1, where);
  function_ = [l1](const Tensor& x) { return sum(abs(x)) * l1; };
  builtin_ = true;
}

L2::L2(double l2, Location where) {
  check_factor("l2", l2, where);
  function_ = [l2](const Tensor& x) { return sum(square(x)) * l2; };
  builtin_ = true;
}

L1L2::L1L2(L1L2Options options, Location where) {
  check_factor("l1_l2", options.l1, where);
  check_factor("l1_l2", options.l2, where);
  function_ = [options](const Tensor& x) { return sum(abs(x)) * options.l1 + sum(square(x)) * options.l2; };
  builtin_ = true;
}

OrthogonalRegularizer::OrthogonalRegularizer(OrthogonalRegularizerOptions options, Location where) {
  check_factor("orthogonal_regularizer", options.factor, where);
  const bool of_rows = options.mode == "rows";
  detail::in_call("orthogonal_regularizer", where, [&] {
    TD_CHECK(of_rows || options.mode == "columns", "the mode is \"{}\"; expected \"rows\" or \"columns\"",
             options.mode);
  });
  function_ = [factor = options.factor, of_rows](const Tensor& x) {
    return orthogonality(x, factor, of_rows);
  };
  builtin_ = true;
}

}  // namespace regularizers

}  // namespace tandem::nn
