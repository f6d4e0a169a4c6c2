#include "tandem/nn/metric.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/metric_bodies.h"
#include "nn/names.h"
#include "tandem/name_scope.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::check_defined;
using detail::fits;
using detail::without_last;

Tensor same_side(const Tensor& predictions, const Tensor& targets) {
  return cast((predictions > 0.5) == (cast(targets, predictions.dtype()) > 0.5), DType::f32);
}

/// Weights that are zero where the mask is.
Tensor weights_of(const Tensor& weights, const Tensor& mask) {
  if (!mask.defined()) return weights;
  if (!weights.defined()) return cast(detail::as_mask(mask), DType::f64);
  const Tensor& wider = mask.rank() >= weights.rank() ? mask : weights;
  return cast(detail::fitted_to("weights", weights, wider), DType::f64) *
         cast(detail::fitted_to("a mask", detail::as_mask(mask), wider), DType::f64);
}

}  // namespace

Tensor correct_predictions(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("accuracy", where, [&] {
    check_defined(predictions, targets);
    const Shape& p = predictions.shape().codes();
    const bool one_column = p.rank() >= 1 && p.back() == 1;
    if (one_column && fits(without_last(p), targets.shape().codes()))
      return same_side(squeeze(predictions, {-1}), targets);
    if (one_column && fits(p, targets.shape().codes())) return squeeze(same_side(predictions, targets), {-1});
    if (p.rank() >= 2 && fits(p, targets.shape().codes()))
      return cast(argmax(predictions, -1) == argmax(targets, -1), DType::f32);
    if (fits(p, targets.shape().codes())) return same_side(predictions, targets);
    const Tensor labels = detail::checked_labels(predictions, targets);
    return cast(argmax(predictions, -1) == labels, DType::f32);
  });
}

Tensor accuracy(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("accuracy", where,
                         [&] { return mean(correct_predictions(predictions, targets, where)); });
}

// ---- bodies

namespace detail {

Tensor quotient(const Tensor& sum, const Tensor& count) {
  return where(count == 0, 0, sum / where(count == 0, 1, count));
}

Tensor full_weights(const Tensor& weights, const Tensor& values) {
  if (!weights.defined()) return ones(shape_of(values), DType::f64);
  const Tensor w = cast(fitted_to("weights", weights, values), DType::f64);
  return w.shape() == values.shape() ? w : expand(w, shape_of(values));
}

void MeanBody::update(const Tensor& values, const Tensor&, const Tensor& weights) {
  const Tensor v = cast(values, DType::f64);
  if (weights.defined()) {
    const Tensor w = full_weights(weights, v);
    total_.assign_add(sum(v * w));
    count_.assign_add(sum(w));
  } else {
    total_.assign_add(sum(v));
    count_.assign_add(cast(size_of(v), DType::f64));
  }
}
Tensor MeanBody::result() { return quotient(total_, count_); }

}  // namespace detail

Variable MetricBody::state(const std::string& name, const Shape& shape, DType dtype) {
  const std::function<Tensor()> zero = [&] { return zeros(shape, dtype); };
  state_.push_back(Variable(zero, {.name = name_ + '/' + name, .trainable = false}));
  return state_.back();
}

void MetricBody::reset() {
  for (const Variable& v : state_) v.assign(zeros(v.shape(), v.dtype()));
}

// ---- Metric

Metric::Metric(const std::string& name, Location where) {
  if (name == "accuracy" || name == "acc") {
    *this = Metric(detail::builtin_loss(correct_predictions, name));
  } else if (std::optional<Metric> found = detail::find_metric(name)) {
    *this = *found;
  } else if (detail::find_loss(name)) {
    *this = Metric(Loss(name, where));
  } else {
    detail::refuse_name("metric", name,
                        "accuracy (acc), " + detail::metric_names() + ", " + detail::loss_names(), where);
  }
  name_ = name;
}

Metric::Metric(const Loss& loss) : Metric(loss, std::make_shared<detail::MeanBody>(loss.name())) {}

Metric::Metric(const Loss& values, std::shared_ptr<MetricBody> body)
    : values_(values), body_(std::move(body)), name_(body_->name()) {}

Metric::Metric(std::shared_ptr<MetricBody> body, std::string name)
    : body_(std::move(body)), name_(std::move(name)) {
  if (name_.empty() && body_) name_ = body_->name();
}

void Metric::update(const Tensor& predictions, const Tensor& targets, const Tensor& weights,
                    const Tensor& mask, Location where) const {
  const tandem::detail::NameLevel level(name_, tandem::detail::Named::operations);
  detail::in_call(name_, where, [&] {
    Tensor values;
    if (values_.defined()) values = values_.values(predictions, targets, where);
    std::optional<CallSite> site;
    if (body_->is_builtin()) site.emplace(where);
    Tensor counts = weights_of(weights, mask);
    if (values_.defined() && values_.body()->mask)
      counts = weights_of(counts, values_.body()->mask(predictions, targets));
    body_->update(values_.defined() ? values : predictions, targets, counts);
  });
}

Tensor Metric::result(Location where) const {
  return detail::in_call(name_, where, [&] {
    std::optional<CallSite> site;
    if (body_->is_builtin()) site.emplace(where);
    return body_->result();
  });
}

double Metric::value(Location where) const {
  const Tensor r = result(where);
  return detail::at_line(name_, where, [&] { return cast(r, DType::f64).item<double>(where); });
}

void Metric::reset(Location where) const {
  detail::at_line(name_, where, [&] { body_->reset(); });
}

}  // namespace tandem::nn
