#pragma once
// What training needs to know, and the options of fit, evaluate and predict.

#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/nn/loss.h"
#include "tandem/nn/metric.h"
#include "tandem/nn/optimizer.h"
#include "tandem/nn/training_data.h"

namespace tandem::nn {

class Callback;
class Model;

/// One loss for every output, or one for each: a list in the order of the outputs, or by their names. An
/// output without a loss (`{}` in a list, missing in a map) adds nothing and needs no targets.
///
///     .loss = "mse"
///     .loss = {"mse", "binary_crossentropy"}
///     .loss = {{"price", "mse"}, {"sold", "binary_crossentropy"}}
class Losses {
 public:
  Losses() = default;
  template <class T>
  requires(std::is_constructible_v<Loss, T> && !std::is_same_v<std::decay_t<T>, Losses>) Losses(T&& loss)
      : list_{Loss(std::forward<T>(loss))} {}
  Losses(std::initializer_list<Loss> list) : list_(list), is_list_(true) {}
  Losses(std::vector<Loss> list) : list_(std::move(list)), is_list_(true) {}
  Losses(std::initializer_list<std::pair<const char*, Loss>> entries) : is_list_(true) {
    for (const auto& [name, loss] : entries) add(name, loss);
  }
  Losses(const std::map<std::string, Loss>& entries) : is_list_(true) {
    for (const auto& [name, loss] : entries) add(name, loss);
  }

  bool empty() const { return list_.empty(); }
  const std::vector<Loss>& list() const { return list_; }
  /// Of a map, one for each of the list; else empty.
  const std::vector<std::string>& names() const { return names_; }
  /// False for one loss that every output gets.
  bool is_by_output() const { return is_list_; }

 private:
  void add(std::string name, Loss loss) {
    names_.push_back(std::move(name));
    list_.push_back(std::move(loss));
  }

  std::vector<Loss> list_;
  std::vector<std::string> names_;
  bool is_list_ = false;
};

/// One metric or several. `"accuracy"`, `{"accuracy", "mae"}`
class MetricList {
 public:
  MetricList() = default;
  template <class T>
  requires(std::is_constructible_v<Metric, T> && !std::is_same_v<std::decay_t<T>, MetricList>)
      MetricList(T&& metric)
      : list_{Metric(std::forward<T>(metric))} {}
  MetricList(std::initializer_list<Metric> list) : list_(list) {}
  MetricList(std::vector<Metric> list) : list_(std::move(list)) {}
  const std::vector<Metric>& list() const { return list_; }

 private:
  std::vector<Metric> list_;
};

/// Metrics of a model: of one output a list; of several outputs one entry for each, or by name.
///
///     .metrics = {"accuracy", "mae"}                                  // one output
///     .metrics = {{"price", "mae"}, {"sold", {"accuracy", "auc"}}}    // several
class Metrics {
 public:
  Metrics() = default;
  template <class T>
  requires(std::is_constructible_v<Metric, T> && !std::is_same_v<std::decay_t<T>, Metrics>)
      Metrics(T&& metric)
      : entries_{MetricList(std::forward<T>(metric))} {}
  Metrics(std::initializer_list<Metric> list) : entries_(list.begin(), list.end()) {}
  Metrics(const std::vector<Metric>& list) : entries_(list.begin(), list.end()) {}
  Metrics(std::vector<MetricList> entries) : entries_(std::move(entries)) {}
  Metrics(std::initializer_list<std::pair<const char*, MetricList>> entries) {
    for (const auto& [name, list] : entries) add(name, list);
  }
  Metrics(const std::map<std::string, MetricList>& entries) {
    for (const auto& [name, list] : entries) add(name, list);
  }

  bool empty() const { return entries_.empty(); }
  const std::vector<MetricList>& entries() const { return entries_; }
  /// Of a map, one for each entry; else empty.
  const std::vector<std::string>& names() const { return names_; }

 private:
  void add(std::string name, MetricList list) {
    names_.push_back(std::move(name));
    entries_.push_back(std::move(list));
  }

  std::vector<MetricList> entries_;
  std::vector<std::string> names_;
};

/// What a step reports: scalars by name, in order.
using StepResults = std::vector<std::pair<std::string, Tensor>>;

/// What training needs to know.
struct CompileOptions {
  std::optional<Optimizer> optimizer = {};
  Losses loss = {};
  Metrics metrics = {};
  /// Metrics that see sample weights and class weights.
  Metrics weighted_metrics = {};
  /// Factors of the losses in their sum: one number, a list or a map by output.
  NestOf<double> loss_weights = {};
  /// How many batches are done between two calls of callbacks and two looks at the stop flag.
  int64_t steps_per_execution = 1;
  /// Functions in place of Model::train_step, test_step and compute_loss.
  std::function<StepResults(const Model&model, const Batch&batch)> train_step = {}, test_step = {};
  std::function<Tensor(const Model& model, const Batch& batch, const Nest& predictions, bool training)>
      compute_loss = {};
  /// Called where metrics begin anew, for steps that keep metrics of their own.
  std::function<void()> reset_metrics = {};
};

/// Whether fit takes the examples in another random order each epoch: true, false, or "batch" for a random
/// order only inside each batch. Errors: other words.
class Shuffle {
 public:
  enum class Kind : uint8_t { none, all, batch };

  Shuffle(bool on) : kind_(on ? Kind::all : Kind::none) {}
  Shuffle(const char* word, Location where = here());
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

/// Options of Model::fit.
struct FitOptions {
  int64_t batch_size = 32;
  int64_t epochs = 1;
  /// The number of the first epoch, for a fit that goes on from another; it runs epochs - initial_epoch.
  int64_t initial_epoch = 0;
  /// The last share of the examples, before any shuffling, is held back and evaluated after each epoch.
  double validation_split = 0;
  /// What to evaluate after each epoch in place of a split: `{x, y}`, `{x, y, weights}`, or a source of
  /// batches.
  TrainingData validation_data = {};
  /// Default: batch_size.
  std::optional<int64_t> validation_batch_size = {};
  /// How many batches of the validation data; default: all.
  std::optional<int64_t> validation_steps = {};
  /// Evaluates after every so many epochs.
  int64_t validation_freq = 1;
  /// Of arrays only; datasets and generators bring their order.
  Shuffle shuffle = true;
  /// Weights of the examples by their class: `{{0, 1.0}, {1, 5.0}}`. Other classes weigh 1.
  std::map<int64_t, double> class_weight = {};
  /// Weights of the examples, one number each; for several outputs one array for each.
  Nest sample_weight = {};
  /// How many batches make an epoch; default: one pass over the data. Where a pass ends inside an epoch the
  /// next begins; data known to be shorter than an epoch end it early, with one warning.
  std::optional<int64_t> steps_per_epoch = {};
  std::vector<std::shared_ptr<Callback>> callbacks = {};
  /// 0: silent, 1: a progress bar, 2: one line an epoch.
  int verbose = 1;
  /// Ends with an error, which names the layer, when a loss is not finite. Off, training goes on.
  bool stop_on_nan = true;
};

/// Options of Model::evaluate and Model::predict.
struct EvaluateOptions {
  int64_t batch_size = 32;
  /// How many batches; default: one pass over the data.
  std::optional<int64_t> steps = {};
  /// Weights of the examples, for evaluate on arrays.
  Nest sample_weight = {};
  std::vector<std::shared_ptr<Callback>> callbacks = {};
  /// 0: silent, 1: a progress bar, 2: one line.
  int verbose = 0;
};

}  // namespace tandem::nn
