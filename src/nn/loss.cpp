#include "tandem/nn/loss.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/names.h"
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

Tensor checked_labels(const Tensor& predictions, Tensor labels) {
  check_defined(predictions, labels);
  TD_CHECK(predictions.rank() >= 1, "the predictions are a scalar; expected (..., classes)");
  TD_CHECK(is_integer(labels.dtype()), "labels of dtype {} are not class numbers; expected an integer dtype",
           labels.dtype());
  const Shape expected = without_last(predictions.shape());
  if (labels.rank() == predictions.rank() && labels.shape().back() == 1 &&
      fits(without_last(labels.shape()), expected))
    labels = squeeze(labels, {-1});
  TD_CHECK(fits(labels.shape(), expected),
           "labels of shape {} do not fit predictions of shape {}; expected {}", labels.shape(),
           predictions.shape(), expected);
  return labels.dtype() == DType::i64 ? labels : cast(labels, DType::i64);
}

}  // namespace detail

namespace {

using detail::check_defined;
using detail::checked_labels;
using detail::fits;

// What each row says at its label. Labels must lie in range.
Tensor at_labels(const Tensor& rows, const Tensor& labels) {
  const int64_t classes = rows.shape().back();
  TD_CHECK(classes >= 0, "the number of classes is unknown while tracing");
  Tensor index = labels;
  if (labels.is_symbolic()) {
    // A negative one would count from the end: it is sent beyond it, which the gathering refuses as it runs.
    index = where(labels < 0, classes, labels);
  } else {
    const std::vector<int64_t> values = labels.to_vector<int64_t>();
    for (size_t i = 0; i < values.size(); ++i)
      TD_CHECK(values[i] >= 0 && values[i] < classes,
               "label {} of example {} is out of range for {} classes; expected 0 to {}", values[i], i,
               classes, classes - 1);
  }
  return squeeze(gather_elements(rows, unsqueeze(index, {-1}), -1), {-1});
}

// Keras's fuzz: keeps the logarithm away from its ends.
Tensor clipped(const Tensor& probabilities) { return clip(probabilities, 1e-7, 1 - 1e-7); }

// Differences along a last dimension; a missing one of size 1 is put in.
Tensor differences(const Tensor& predictions, const Tensor& targets) {
  check_defined(predictions, targets);
  Tensor p = predictions, t = targets;
  if (p.rank() == t.rank() + 1 && p.shape().back() == 1) t = unsqueeze(t, {-1});
  if (t.rank() == p.rank() + 1 && t.shape().back() == 1) p = unsqueeze(p, {-1});
  TD_CHECK(p.rank() >= 1 && fits(p.shape(), t.shape()),
           "predictions of shape {} and targets of shape {} differ", predictions.shape(), targets.shape());
  return p - t;
}

struct Row {
  std::string_view name;
  detail::LossFunction compute;
};

constexpr Row losses[] = {
    {"sparse_categorical_crossentropy", sparse_categorical_crossentropy},
    {"sparse_softmax_cross_entropy", sparse_softmax_cross_entropy},
    {"categorical_crossentropy", categorical_crossentropy},
    {"mean_squared_error", mean_squared_error},
    {"mse", mean_squared_error},
    {"mean_absolute_error", mean_absolute_error},
    {"mae", mean_absolute_error},
};

}  // namespace

Tensor sparse_softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Location where) {
  return detail::at_line("sparse_softmax_cross_entropy", where, [&] {
    return tandem::sparse_softmax_cross_entropy(logits, checked_labels(logits, labels));
  });
}

Tensor sparse_categorical_crossentropy(const Tensor& probabilities, const Tensor& labels, Location where) {
  return detail::at_line("sparse_categorical_crossentropy", where, [&] {
    const Tensor index = checked_labels(probabilities, labels);
    return -log(clipped(at_labels(probabilities, index)));
  });
}

Tensor categorical_crossentropy(const Tensor& probabilities, const Tensor& targets, Location where) {
  return detail::at_line("categorical_crossentropy", where, [&] {
    check_defined(probabilities, targets);
    TD_CHECK(probabilities.rank() >= 1 && fits(probabilities.shape(), targets.shape()),
             "probabilities of shape {} and targets of shape {} differ", probabilities.shape(),
             targets.shape());
    return -sum(targets * log(clipped(probabilities)), {-1});
  });
}

Tensor mean_squared_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("mean_squared_error", where,
                         [&] { return mean(square(differences(predictions, targets)), {-1}); });
}

Tensor mean_absolute_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("mean_absolute_error", where,
                         [&] { return mean(abs(differences(predictions, targets)), {-1}); });
}

namespace detail {

LossFunction find_loss(std::string_view name) {
  for (const Row& row : losses)
    if (row.name == name) return row.compute;
  return nullptr;
}

std::string loss_names() {
  std::string names;
  for (const Row& row : losses) names += (names.empty() ? "" : ", ") + std::string(row.name);
  return names;
}

Tensor fitted_to(const char* what, const Tensor& weights, const Tensor& values) {
  const Shape& shape = values.shape();
  Tensor fitted = weights;
  if (fitted.rank() == shape.rank() + 1 && fitted.shape().back() == 1) fitted = squeeze(fitted, {-1});
  bool fits = fitted.rank() <= shape.rank();
  for (int i = 0; fits && i < fitted.rank(); ++i) {
    const int64_t size = fitted.shape()[i];
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
