#include "tandem/nn/loss.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/names.h"
#include "tandem/name_scope.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace detail {

bool fits(const Shape& a, const Shape& b) {
  bool same = a.rank() == b.rank();
  for (int i = 0; same && i < a.rank(); ++i) same = a[i] < 0 || b[i] < 0 || a[i] == b[i];
  return same;
}

Shape without_last(Shape shape) {
  shape.erase(shape.rank() - 1);
  return shape;
}

void check_defined(const Tensor& predictions, const Tensor& targets) {
  TD_CHECK(predictions.defined(), "the predictions are an empty tensor handle");
  TD_CHECK(targets.defined(), "the targets are an empty tensor handle");
}

Pair aligned(const Tensor& predictions, const Tensor& targets) {
  check_defined(predictions, targets);
  Pair r{predictions, targets};
  if (!is_floating(r.p.dtype())) r.p = cast(r.p, DType::f32);
  if (r.p.rank() == r.t.rank() + 1 && r.p.shape().codes().back() == 1) r.t = unsqueeze(r.t, {-1});
  if (r.t.rank() == r.p.rank() + 1 && r.t.shape().codes().back() == 1) r.p = unsqueeze(r.p, {-1});
  TD_CHECK(r.p.rank() >= 1 && fits(r.p.shape().codes(), r.t.shape().codes()),
           "predictions of shape {} and targets of shape {} differ", predictions.shape(), targets.shape());
  if (r.t.dtype() != r.p.dtype()) r.t = cast(r.t, r.p.dtype());
  return r;
}

Tensor mean_over(const Tensor& values, int axis) {
  return values.rank() == 1 ? values : mean(values, {axis});
}

Tensor checked_labels(const Tensor& predictions, Tensor labels) {
  check_defined(predictions, labels);
  TD_CHECK(predictions.rank() >= 1, "the predictions are a scalar; expected (..., classes)");
  TD_CHECK(is_integer(labels.dtype()), "labels of dtype {} are not class numbers; expected an integer dtype",
           labels.dtype());
  const Shape expected = without_last(predictions.shape().codes());
  if (labels.rank() == predictions.rank() && labels.shape().codes().back() == 1 &&
      fits(without_last(labels.shape().codes()), expected))
    labels = squeeze(labels, {-1});
  TD_CHECK(fits(labels.shape().codes(), expected),
           "labels of shape {} do not fit predictions of shape {}; expected {}", labels.shape(),
           predictions.shape(), expected);
  return labels.dtype() == DType::i64 ? labels : cast(labels, DType::i64);
}

Tensor fitted_to(const char* what, const Tensor& weights, const Tensor& values) {
  const Shape& shape = values.shape().codes();
  Tensor fitted = weights;
  if (fitted.rank() == shape.rank() + 1 && fitted.shape().codes().back() == 1) fitted = squeeze(fitted, {-1});
  bool fits = fitted.rank() <= shape.rank();
  for (int i = 0; fits && i < fitted.rank(); ++i) {
    const int64_t size = fitted.shape().codes()[i];
    fits = size == shape[i] || size == 1 || size < 0 || shape[i] < 0;
  }
  TD_CHECK(fits, "{} of shape {} do not fit values of shape {}; expected it, or its first dimensions", what,
           weights.shape(), shape);
  std::vector<int64_t> missing;
  for (int i = fitted.rank(); i < shape.rank(); ++i) missing.push_back(i);
  return missing.empty() ? fitted : unsqueeze(fitted, missing);
}

Tensor as_mask(const Tensor& mask) { return mask.dtype() == DType::boolean ? mask : mask != 0; }

namespace {

Tensor sum_over(const Tensor& weights, const Tensor& values) {
  return sum(weights.shape() == values.shape() ? weights : expand(weights, shape_of(values)));
}

}  // namespace

Tensor reduced(const Tensor& values, const Tensor& weights, const Tensor& mask, Reduction reduction) {
  const bool masked = mask.defined(), weighted = weights.defined();
  Tensor result = values, factor, counting;
  if (masked) {
    counting = fitted_to("a mask", as_mask(mask), values);
    result = where(counting, result, 0);
  }
  if (weighted) {
    factor = fitted_to("weights", weights, values);
    if (factor.dtype() != values.dtype()) factor = cast(factor, values.dtype());
    result = result * factor;
  }
  if (reduction == Reduction::none) return result;
  if (reduction == Reduction::sum) return sum(result);
  if (!masked && (!weighted || reduction == Reduction::mean)) return mean(result);
  if (masked) {
    const Tensor ones = cast(counting, values.dtype());
    factor = weighted && reduction == Reduction::mean_with_sample_weight ? factor * ones : ones;
  }
  const Tensor total = sum_over(factor, values);
  return where(total == 0, 0, sum(result) / where(total == 0, 1, total));
}

}  // namespace detail

Loss detail::builtin_loss(LossFunction function, std::string name) {
  return Loss(std::make_shared<const LossBody>(
      LossBody{.values = [function](const Tensor& p, const Tensor& t) { return function(p, t, {}); },
               .options = {.name = std::move(name)},
               .builtin = true}));
}

Loss::Loss(const std::string& name, Location where) {
  const detail::LossFunction function = detail::find_loss(name);
  if (!function) detail::refuse_name("loss", name, detail::loss_names(), where);
  *this = detail::builtin_loss(function, name);
}

Loss::Loss(Function function, LossOptions options) {
  if (options.name.empty()) options.name = "loss";
  body_ = std::make_shared<const detail::LossBody>(
      detail::LossBody{.values = std::move(function), .options = std::move(options)});
}

const std::string& Loss::name() const { return body_->options.name; }
Reduction Loss::reduction() const { return body_->options.reduction; }

Tensor Loss::values(const Tensor& predictions, const Tensor& targets, Location where) const {
  TD_CHECK(defined(), "the loss is an empty handle");
  if (!body_->builtin) return body_->values(predictions, targets);
  const CallSite site(where);
  const DType dtype = predictions.defined() ? predictions.dtype() : DType::f32;
  const bool narrow = dtype == DType::f16 || dtype == DType::bf16;
  return body_->values(narrow ? cast(predictions, DType::f32) : predictions, targets);
}

Tensor Loss::operator()(const Tensor& predictions, const Tensor& targets, const Tensor& weights,
                        const Tensor& mask, Location where) const {
  TD_CHECK(defined(), "the loss is an empty handle");
  const tandem::detail::NameLevel level(name(), tandem::detail::Named::operations);
  const Tensor each = values(predictions, targets, where);
  return detail::at_line(name(), where, [&] {
    Tensor counting = mask;
    if (body_->mask) {
      const Tensor own = body_->mask(predictions, targets);
      counting = mask.defined() ? own & detail::fitted_to("a mask", detail::as_mask(mask), own) : own;
    }
    return detail::reduced(each, weights, counting, body_->options.reduction);
  });
}

}  // namespace tandem::nn
