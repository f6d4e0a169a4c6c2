#include "tandem/nn/losses.h"

#include <cmath>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "nn/names.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::aligned;
using detail::at_line;
using detail::check_defined;
using detail::mean_over;

/// What Keras adds to keep divisions and logarithms away from their poles.
constexpr double epsilon = 1e-7;

Tensor clipped(const Tensor& probabilities) { return clip(probabilities, epsilon, 1 - epsilon); }

/// The same, made to add up to 1.
Tensor normalized(const Tensor& probabilities, int axis) {
  return clipped(probabilities / sum(probabilities, {axis}, true));
}

void check_smoothing(double smoothing) {
  TD_CHECK(smoothing >= 0 && smoothing <= 1, "the label smoothing is {}; expected 0 to 1", smoothing);
}

Tensor smoothed(const Tensor& targets, double smoothing, int axis) {
  check_smoothing(smoothing);
  if (smoothing == 0) return targets;
  const int64_t classes =
      targets.dim(axis).is_symbolic() ? -1 : targets.shape().codes()[axis < 0 ? axis + targets.rank() : axis];
  TD_CHECK(classes > 0, "the number of classes is unknown while tracing; label smoothing needs it");
  return targets * (1 - smoothing) + smoothing / static_cast<double>(classes);
}

Tensor smoothed_binary(const Tensor& targets, double smoothing) {
  check_smoothing(smoothing);
  return smoothing == 0 ? targets : targets * (1 - smoothing) + smoothing / 2;
}

/// Targets of a loss between two classes. Integers are classes, so 0 or 1.
Tensor checked_binary(const Tensor& targets) {
  return targets.defined() && is_integer(targets.dtype()) ? class_labels(targets, 2) : targets;
}

Tensor binary_terms(const Tensor& p, const Tensor& t) {
  const Tensor probabilities = clipped(p);
  return -(t * log(probabilities) + (1 - t) * log(1 - probabilities));
}

/// Labels of 0 and 1 as -1 and 1.
Tensor hinge_targets(const Tensor& t) { return where(reduce_all((t == 0) | (t == 1)), t * 2 - 1, t); }

Tensor unit(const Tensor& x, int axis) {
  return x * rsqrt(maximum(reduce_sum_square(x, {axis}, true), epsilon * epsilon));
}

Tensor total(const Tensor& x, const std::optional<std::vector<int>>& axes) {
  return axes ? sum(x, *axes) : sum(x);
}

}  // namespace

// ---- classes

Tensor sparse_softmax_cross_entropy(const Tensor& logits, const Tensor& labels, Location where) {
  return at_line("sparse_softmax_cross_entropy", where, [&] {
    return tandem::sparse_softmax_cross_entropy(logits, detail::checked_labels(logits, labels));
  });
}

Tensor sparse_categorical_crossentropy(const Tensor& predictions, const Tensor& labels, bool from_logits,
                                       std::optional<int64_t> ignored_class, int axis, Location where) {
  return at_line("sparse_categorical_crossentropy", where, [&] {
    const Tensor rows = predictions.defined() && axis != -1 ? moveaxis(predictions, axis, -1) : predictions;
    Tensor index = detail::checked_labels(rows, labels), counts, loss;
    if (!from_logits) index = class_labels(index, Dim(rows.shape().codes().back()), ignored_class);
    if (ignored_class) {
      counts = index != *ignored_class;
      index = tandem::where(counts, index, 0);
    }
    if (from_logits) {
      loss = tandem::sparse_softmax_cross_entropy(rows, index);
    } else {
      const Tensor chosen = squeeze(gather_elements(rows, unsqueeze(index, {-1}), -1), {-1});
      loss = -log(clipped(chosen / sum(rows, {-1})));
    }
    return ignored_class ? tandem::where(counts, loss, 0) : loss;
  });
}

Tensor categorical_crossentropy(const Tensor& predictions, const Tensor& targets, bool from_logits,
                                double label_smoothing, int axis, Location where) {
  return at_line("categorical_crossentropy", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    const Tensor logarithms = from_logits ? log_softmax(p, axis) : log(normalized(p, axis));
    return -sum(smoothed(t, label_smoothing, axis) * logarithms, {axis});
  });
}

Tensor binary_crossentropy(const Tensor& predictions, const Tensor& targets, bool from_logits,
                           double label_smoothing, int axis, Location where) {
  return at_line("binary_crossentropy", where, [&] {
    const auto [p, given] = aligned(predictions, checked_binary(targets));
    const Tensor t = smoothed_binary(given, label_smoothing);
    return mean_over(from_logits ? softplus(p) - p * t : binary_terms(p, t), axis);
  });
}

Tensor binary_focal_crossentropy(const Tensor& predictions, const Tensor& targets, bool apply_class_balancing,
                                 double alpha, double gamma, bool from_logits, double label_smoothing,
                                 int axis, Location where) {
  return at_line("binary_focal_crossentropy", where, [&] {
    const auto [given, hard] = aligned(predictions, checked_binary(targets));
    const Tensor p = from_logits ? sigmoid(given) : given, t = smoothed_binary(hard, label_smoothing);
    const Tensor right = t * p + (1 - t) * (1 - p);
    Tensor loss = pow(1 - right, gamma) * binary_terms(p, t);
    if (apply_class_balancing) loss = (t * alpha + (1 - t) * (1 - alpha)) * loss;
    return mean_over(loss, axis);
  });
}

Tensor categorical_focal_crossentropy(const Tensor& predictions, const Tensor& targets, double alpha,
                                      double gamma, bool from_logits, double label_smoothing, int axis,
                                      Location where) {
  return at_line("categorical_focal_crossentropy", where, [&] {
    const auto [given, t] = aligned(predictions, targets);
    const Tensor p = normalized(from_logits ? softmax(given, axis) : given, axis);
    return sum(pow(1 - p, gamma) * alpha * -smoothed(t, label_smoothing, axis) * log(p), {axis});
  });
}

// ---- numbers

Tensor mean_squared_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("mean_squared_error", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(square(p - t));
  });
}

Tensor mean_absolute_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("mean_absolute_error", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(abs(p - t));
  });
}

Tensor mean_absolute_percentage_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("mean_absolute_percentage_error", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(abs((t - p) / maximum(abs(t), epsilon))) * 100;
  });
}

Tensor mean_squared_logarithmic_error(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("mean_squared_logarithmic_error", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(square(log(maximum(p, epsilon) + 1) - log(maximum(t, epsilon) + 1)));
  });
}

Tensor huber(const Tensor& predictions, const Tensor& targets, double delta, Location where) {
  return at_line("huber", where, [&] {
    TD_CHECK(delta > 0, "delta is {}; expected more than 0", delta);
    const auto [p, t] = aligned(predictions, targets);
    const Tensor distance = abs(p - t);
    return mean_over(
        tandem::where(distance <= delta, square(distance) * 0.5, distance * delta - 0.5 * delta * delta));
  });
}

Tensor log_cosh(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("log_cosh", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    const Tensor x = p - t;
    return mean_over(x + softplus(x * -2) - std::log(2.0));
  });
}

Tensor poisson(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("poisson", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(p - t * log(p + epsilon));
  });
}

Tensor kl_divergence(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("kl_divergence", where, [&] {
    const auto [given, truth] = aligned(predictions, targets);
    const Tensor p = clip(given, epsilon, 1), t = clip(truth, epsilon, 1);
    return sum(t * log(t / p), {-1});
  });
}

Tensor cosine_similarity(const Tensor& predictions, const Tensor& targets, int axis, Location where) {
  return at_line("cosine_similarity", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return -sum(unit(p, axis) * unit(t, axis), {axis});
  });
}

// ---- margins and overlaps

Tensor hinge(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("hinge", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(relu(1 - hinge_targets(t) * p));
  });
}

Tensor squared_hinge(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("squared_hinge", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return mean_over(square(relu(1 - hinge_targets(t) * p)));
  });
}

Tensor categorical_hinge(const Tensor& predictions, const Tensor& targets, Location where) {
  return at_line("categorical_hinge", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return relu(amax((1 - t) * p, {-1}) - sum(t * p, {-1}) + 1);
  });
}

Tensor dice(const Tensor& predictions, const Tensor& targets, std::optional<std::vector<int>> axes,
            Location where) {
  return at_line("dice", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    return 1 - total(p * t, axes) * 2 / (total(t, axes) + total(p, axes) + epsilon);
  });
}

Tensor tversky(const Tensor& predictions, const Tensor& targets, double alpha, double beta,
               std::optional<std::vector<int>> axes, Location where) {
  return at_line("tversky", where, [&] {
    const auto [p, t] = aligned(predictions, targets);
    const Tensor both = total(p * t, axes);
    return 1 - both / (both + total(p * (1 - t), axes) * alpha + total((1 - p) * t, axes) * beta + epsilon);
  });
}

// ---- objects

namespace {

/// A loss of this class: a function with its options bound.
template <class Options, class F>
Loss made(const char* name, Options& options, F function, Loss::Function mask = {}) {
  if (options.name.empty()) options.name = name;
  return Loss(std::make_shared<const detail::LossBody>(
      detail::LossBody{.values = std::move(function),
                       .mask = std::move(mask),
                       .options = {.reduction = options.reduction, .name = std::move(options.name)},
                       .builtin = true}));
}

Loss made(const char* name, LossOptions& options, detail::LossFunction function) {
  return made(name, options, [function](const Tensor& p, const Tensor& t) { return function(p, t, {}); });
}

void check_smoothing_of(const char* name, double smoothing, Location where) {
  detail::in_call(name, where, [&] { check_smoothing(smoothing); });
}

}  // namespace

BinaryCrossentropy::BinaryCrossentropy(CrossentropyOptions o, Location where)
    : Loss(made("binary_crossentropy", o, [o](const Tensor& p, const Tensor& t) {
        return binary_crossentropy(p, t, o.from_logits, o.label_smoothing, o.axis, {});
      })) {
  check_smoothing_of("BinaryCrossentropy", o.label_smoothing, where);
}

CategoricalCrossentropy::CategoricalCrossentropy(CrossentropyOptions o, Location where)
    : Loss(made("categorical_crossentropy", o, [o](const Tensor& p, const Tensor& t) {
        return categorical_crossentropy(p, t, o.from_logits, o.label_smoothing, o.axis, {});
      })) {
  check_smoothing_of("CategoricalCrossentropy", o.label_smoothing, where);
}

BinaryFocalCrossentropy::BinaryFocalCrossentropy(BinaryFocalCrossentropyOptions o, Location where)
    : Loss(made("binary_focal_crossentropy", o, [o](const Tensor& p, const Tensor& t) {
        return binary_focal_crossentropy(p, t, o.apply_class_balancing, o.alpha, o.gamma, o.from_logits,
                                         o.label_smoothing, o.axis, {});
      })) {
  check_smoothing_of("BinaryFocalCrossentropy", o.label_smoothing, where);
}

CategoricalFocalCrossentropy::CategoricalFocalCrossentropy(CategoricalFocalCrossentropyOptions o,
                                                           Location where)
    : Loss(made("categorical_focal_crossentropy", o, [o](const Tensor& p, const Tensor& t) {
        return categorical_focal_crossentropy(p, t, o.alpha, o.gamma, o.from_logits, o.label_smoothing,
                                              o.axis, {});
      })) {
  check_smoothing_of("CategoricalFocalCrossentropy", o.label_smoothing, where);
}

SparseCategoricalCrossentropy::SparseCategoricalCrossentropy(SparseCategoricalCrossentropyOptions o, Location)
    : Loss(made(
          "sparse_categorical_crossentropy", o,
          [o](const Tensor& p, const Tensor& t) {
            return sparse_categorical_crossentropy(p, t, o.from_logits, o.ignore_class, o.axis, {});
          },
          o.ignore_class
              ? [ignored = *o.ignore_class](const Tensor&, const Tensor& t) { return t != ignored; }
              : Function())) {}

MeanSquaredError::MeanSquaredError(LossOptions o) : Loss(made("mean_squared_error", o, mean_squared_error)) {}
MeanAbsoluteError::MeanAbsoluteError(LossOptions o)
    : Loss(made("mean_absolute_error", o, mean_absolute_error)) {}
MeanAbsolutePercentageError::MeanAbsolutePercentageError(LossOptions o)
    : Loss(made("mean_absolute_percentage_error", o, mean_absolute_percentage_error)) {}
MeanSquaredLogarithmicError::MeanSquaredLogarithmicError(LossOptions o)
    : Loss(made("mean_squared_logarithmic_error", o, mean_squared_logarithmic_error)) {}
LogCosh::LogCosh(LossOptions o) : Loss(made("log_cosh", o, log_cosh)) {}
Poisson::Poisson(LossOptions o) : Loss(made("poisson", o, poisson)) {}
KLDivergence::KLDivergence(LossOptions o) : Loss(made("kl_divergence", o, kl_divergence)) {}
Hinge::Hinge(LossOptions o) : Loss(made("hinge", o, hinge)) {}
SquaredHinge::SquaredHinge(LossOptions o) : Loss(made("squared_hinge", o, squared_hinge)) {}
CategoricalHinge::CategoricalHinge(LossOptions o) : Loss(made("categorical_hinge", o, categorical_hinge)) {}

CTC::CTC(LossOptions o) : Loss(made("ctc", o, ctc)) {}

Huber::Huber(HuberOptions o, Location where)
    : Loss(made("huber", o, [o](const Tensor& p, const Tensor& t) { return huber(p, t, o.delta, {}); })) {
  detail::in_call("Huber", where,
                  [&] { TD_CHECK(o.delta > 0, "delta is {}; expected more than 0", o.delta); });
}

CosineSimilarity::CosineSimilarity(CosineSimilarityOptions o)
    : Loss(made("cosine_similarity", o,
                [o](const Tensor& p, const Tensor& t) { return cosine_similarity(p, t, o.axis, {}); })) {}

Dice::Dice(DiceOptions o)
    : Loss(made("dice", o, [o](const Tensor& p, const Tensor& t) { return dice(p, t, o.axes, {}); })) {}

Tversky::Tversky(TverskyOptions o)
    : Loss(made("tversky", o, [o](const Tensor& p, const Tensor& t) {
        return tversky(p, t, o.alpha, o.beta, o.axes, {});
      })) {}

// ---- names

namespace detail {

namespace {

bool is_binary(const Tensor& p) { return p.defined() && p.rank() > 0 && p.shape().codes().back() == 1; }
bool is_sparse(const Tensor& p, const Tensor& t) {
  return t.rank() < p.rank() || (t.rank() > 0 && t.shape().codes().back() == 1);
}

Tensor crossentropy(const Tensor& p, const Tensor& t, Location where) {
  check_defined(p, t);
  if (is_binary(p)) return binary_crossentropy(p, t, false, 0, -1, where);
  return is_sparse(p, t) ? sparse_categorical_crossentropy(p, t, false, {}, -1, where)
                         : categorical_crossentropy(p, t, false, 0, -1, where);
}

constexpr KerasName<LossFunction> losses[] = {
    {"sparse_categorical_crossentropy", "SparseCategoricalCrossentropy", "",
     [](const Tensor& p, const Tensor& t, Location w) {
       return sparse_categorical_crossentropy(p, t, false, {}, -1, w);
     }},
    {"sparse_softmax_cross_entropy", "", "", sparse_softmax_cross_entropy},
    {"categorical_crossentropy", "CategoricalCrossentropy", "",
     [](const Tensor& p, const Tensor& t, Location w) {
       return categorical_crossentropy(p, t, false, 0, -1, w);
     }},
    {"binary_crossentropy", "BinaryCrossentropy", "bce",
     [](const Tensor& p, const Tensor& t, Location w) { return binary_crossentropy(p, t, false, 0, -1, w); }},
    {"crossentropy", "", "ce", crossentropy},
    {"binary_focal_crossentropy", "BinaryFocalCrossentropy", "",
     [](const Tensor& p, const Tensor& t, Location w) {
       return binary_focal_crossentropy(p, t, false, 0.25, 2, false, 0, -1, w);
     }},
    {"categorical_focal_crossentropy", "CategoricalFocalCrossentropy", "",
     [](const Tensor& p, const Tensor& t, Location w) {
       return categorical_focal_crossentropy(p, t, 0.25, 2, false, 0, -1, w);
     }},
    {"mean_squared_error", "MeanSquaredError", "mse", mean_squared_error},
    {"mean_absolute_error", "MeanAbsoluteError", "mae", mean_absolute_error},
    {"mean_absolute_percentage_error", "MeanAbsolutePercentageError", "mape", mean_absolute_percentage_error},
    {"mean_squared_logarithmic_error", "MeanSquaredLogarithmicError", "msle", mean_squared_logarithmic_error},
    {"huber", "Huber", "", [](const Tensor& p, const Tensor& t, Location w) { return huber(p, t, 1, w); }},
    {"log_cosh", "LogCosh", "logcosh", log_cosh},
    {"poisson", "Poisson", "", poisson},
    {"kl_divergence", "KLDivergence", "kld", kl_divergence},
    {"cosine_similarity", "CosineSimilarity", "",
     [](const Tensor& p, const Tensor& t, Location w) { return cosine_similarity(p, t, -1, w); }},
    {"hinge", "Hinge", "", hinge},
    {"squared_hinge", "SquaredHinge", "", squared_hinge},
    {"categorical_hinge", "CategoricalHinge", "", categorical_hinge},
    {"dice", "Dice", "", [](const Tensor& p, const Tensor& t, Location w) { return dice(p, t, {}, w); }},
    {"ctc", "CTC", "", ctc},
    {"tversky", "Tversky", "",
     [](const Tensor& p, const Tensor& t, Location w) { return tversky(p, t, 0.5, 0.5, {}, w); }},
};

}  // namespace

LossFunction find_loss(std::string_view name) {
  const LossFunction* found = find_keras_name(losses, name);
  return found != nullptr ? *found : nullptr;
}

std::string loss_names() { return keras_names(losses); }

}  // namespace detail

}  // namespace tandem::nn
