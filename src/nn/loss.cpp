#include "tandem/nn/loss.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

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

// The labels as int64, one for each row of the predictions.
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

Tensor same_side(const Tensor& predictions, const Tensor& targets) {
  return cast((predictions > 0.5) == (cast(targets, predictions.dtype()) > 0.5), DType::f32);
}

using Compute = Tensor (*)(const Tensor&, const Tensor&, Location);

struct Row {
  std::string_view name;
  Compute compute;
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

constexpr Row metrics[] = {
    {"accuracy", correct_predictions},
    {"acc", correct_predictions},
    {"sparse_categorical_crossentropy", sparse_categorical_crossentropy},
    {"sparse_softmax_cross_entropy", sparse_softmax_cross_entropy},
    {"categorical_crossentropy", categorical_crossentropy},
    {"mean_squared_error", mean_squared_error},
    {"mse", mean_squared_error},
    {"mean_absolute_error", mean_absolute_error},
    {"mae", mean_absolute_error},
};

detail::Criterion::Function without_line(Compute compute) {
  return [compute](const Tensor& predictions, const Tensor& targets) {
    return compute(predictions, targets, {});
  };
}

}  // namespace

Tensor sparse_softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Location where) {
  return detail::at_line("sparse_softmax_cross_entropy", where, [&] {
    const Tensor index = checked_labels(logits, labels);
    return -at_labels(log_softmax(logits), index);
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

Tensor correct_predictions(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("accuracy", where, [&] {
    check_defined(predictions, targets);
    const Shape& p = predictions.shape();
    const bool one_column = p.rank() >= 1 && p.back() == 1;
    if (one_column && fits(without_last(p), targets.shape()))
      return same_side(squeeze(predictions, {-1}), targets);
    if (one_column && fits(p, targets.shape())) return squeeze(same_side(predictions, targets), {-1});
    if (p.rank() >= 2 && fits(p, targets.shape()))
      return cast(argmax(predictions, -1) == argmax(targets, -1), DType::f32);
    if (fits(p, targets.shape())) return same_side(predictions, targets);
    const Tensor labels = checked_labels(predictions, targets);
    return cast(argmax(predictions, -1) == labels, DType::f32);
  });
}

Tensor accuracy(const Tensor& predictions, const Tensor& targets, Location where) {
  return detail::at_line("accuracy", where,
                         [&] { return mean(correct_predictions(predictions, targets, where)); });
}

Loss::Loss(const std::string& name, Location where)
    : Criterion(without_line(detail::find_named(losses, "loss", name, where).compute), name) {
  builtin_ = true;
}

Metric::Metric(const std::string& name, Location where)
    : Criterion(without_line(detail::find_named(metrics, "metric", name, where).compute), name) {
  builtin_ = true;
}

}  // namespace tandem::nn
