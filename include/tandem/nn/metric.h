#pragma once
// Metrics: what training reports, summed up over batches in variables.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/nn/loss.h"
#include "tandem/variable.h"

namespace tandem::nn {

/// 1 where the prediction is right, else 0, as float32 (...): for integer labels (...) and predictions
/// (..., classes) when the largest is at the label; for targets (..., classes) when the largest of both are
/// at one place; for predictions (..., 1) or (...) of something that is or is not, when both lie on one side
/// of 0.5. Errors: shapes that do not fit.
Tensor correct_predictions(const Tensor& predictions, const Tensor& targets, Location where = here());

/// The share of correct predictions, as a float32 scalar. `nn::accuracy(model(images), labels)`
Tensor accuracy(const Tensor& predictions, const Tensor& targets, Location where = here());

/// The base of metrics of one's own: state in variables, so that it runs in graphs too.
///
///     struct Count : nn::MetricBody {
///       Count() : MetricBody("count") {}
///       td::Variable seen = state("seen", {}, td::int64);
///       void update(const td::Tensor& predictions, const td::Tensor&, const td::Tensor&) override {
///         seen.assign_add(td::size_of(predictions));
///       }
///       td::Tensor result() override { return seen.value(); }
///     };
///     nn::Metric count(std::make_shared<Count>());
class MetricBody {
 public:
  explicit MetricBody(std::string name) : name_(std::move(name)) {}
  virtual ~MetricBody() = default;

  /// Takes one batch in. `weights` is undefined where all count alike.
  virtual void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights) = 0;
  /// What it says of all batches since the last reset.
  virtual Tensor result() = 0;
  /// Back to zeros.
  virtual void reset();

  const std::string& name() const { return name_; }
  const std::vector<Variable>& variables() const { return state_; }
  /// True when operations inside have no lines of the user's own.
  virtual bool is_builtin() const { return false; }

 protected:
  /// A variable of the state, not trainable, of zeros. Made in the constructor, or at the first update.
  Variable state(const std::string& name, const Shape& shape = {}, DType dtype = DType::f64);

 private:
  std::string name_;
  std::vector<Variable> state_;
};

/// What training reports: by Keras's name, one of the classes below, or any function as for Loss, whose mean
/// over all examples is then reported. It is a handle: copies share the state, which is made of Variables
/// that no gradient trains. A batch of any size counts by its examples, and sums are kept in float64.
///
///     nn::Metric accuracy = "accuracy";
///     for (const auto& [x, y] : batches) accuracy.update(model(x), y);
///     std::cout << accuracy.value();
///
/// Names: accuracy (acc), which chooses by the shapes as correct_predictions does; those of the classes in
/// metrics.h that need no argument, "f1_score" or "F1Score"; rmse, r2; those of the losses, of which
/// cosine_similarity is not negated here. Errors: an unknown name.
class Metric {
 public:
  Metric(const char* name, Location where = here()) : Metric(std::string(name), where) {}
  Metric(const std::string& name, Location where = here());
  /// The mean of a loss's values.
  Metric(const Loss& loss);
  template <class F>
  requires(std::is_invocable_r_v<Tensor, F&, const Tensor&, const Tensor&> && !std::is_base_of_v<Loss, F>)
      Metric(F function, std::string name = "metric")
      : Metric(Loss(std::move(function), {.name = std::move(name)})) {}
  /// A metric of one's own. `name` overrides the body's.
  explicit Metric(std::shared_ptr<MetricBody> body, std::string name = {});
  /// Whose body takes in the loss's values.
  Metric(const Loss& values, std::shared_ptr<MetricBody> body);

  /// As the user spelled it.
  const std::string& name() const { return name_; }

  /// Takes one batch in. `weights` and `mask` are as for Loss; a mean divides by the sum of the weights.
  /// Errors: those of the function, weights or a mask of shapes that do not fit.
  void update(const Tensor& predictions, const Tensor& targets, const Tensor& weights = {},
              const Tensor& mask = {}, Location where = here()) const;
  /// What it says of all batches since the last reset; float64 where it is one number.
  Tensor result(Location where = here()) const;
  /// The same as a number. Errors: the result has several.
  double value(Location where = here()) const;
  void reset(Location where = here()) const;
  /// The state.
  const std::vector<Variable>& variables() const { return body_->variables(); }

 private:
  Loss values_;  ///< of which the body takes the mean, where there is one
  std::shared_ptr<MetricBody> body_;
  std::string name_;
};

}  // namespace tandem::nn
