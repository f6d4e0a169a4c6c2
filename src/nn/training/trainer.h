#pragma once
// What copies of a Model share: how it is compiled, its steps as graphs, and whether a loop should end.

#include <atomic>
#include <mutex>
#include <typeindex>

#include "nn/training/compiled.h"
#include "tandem/function.h"
#include "tandem/nn/callback.h"
#include "tandem/summary.h"

namespace tandem::nn::detail {

/// What one step gives. The loss is that of this batch alone.
struct StepOutput {
  std::optional<Tensor> loss;
  StepResults results;
  static constexpr auto fields() { return std::tuple{&StepOutput::loss, &StepOutput::results}; }
};

/// What batches look like: sizes that vary, the first always, are -1.
struct BatchForm {
  NestOf<Spec> x, y, sample_weight;
};

/// The fit in progress, as callbacks see it.
class RunningFit {
 public:
  virtual ~RunningFit() = default;
  virtual FitPosition position() const = 0;
  virtual void resume(FitPosition position) = 0;
  /// Makes all variables, by a step of training whose results are about to be overwritten.
  virtual void build() = 0;
  virtual const std::vector<std::shared_ptr<Callback>>& callbacks() const = 0;
};

/// What the user called, and where.
struct Call {
  const char* name;
  Location where;
};

/// While one lives, steps of training on this thread end with an error before a loss that is not finite
/// changes any weight.
class LossChecks {
 public:
  explicit LossChecks(bool on);
  ~LossChecks();
  LossChecks(const LossChecks&) = delete;
  LossChecks& operator=(const LossChecks&) = delete;

  /// The loss that the error tells of; none: it is another error.
  static std::optional<double> loss_in(const Error& error);

 private:
  uint32_t before_;
};

class Trainer {
 public:
  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  void set_mode(Mode mode) { mode_ = mode; }

  void forget_graphs();
  void compile(CompileOptions options, Location where);
  bool is_compiled() const;
  /// Errors: not compiled.
  std::shared_ptr<const Compiled> compiled() const;

  void add_metric(const Metric& metric);
  /// Of the compiled metrics, then the model's own.
  StepResults metric_results() const;
  void reset_metrics() const;
  /// The state behind the results, once the first batch has shown what it is.
  std::vector<Variable> metric_variables() const;

  /// A model called on one tensor, or on a structure, as a graph.
  Tensor forward(const Model& model, const Tensor& x, Location where);
  Nest forward_nest(const Model& model, const Nest& x, Location where);
  /// Steps in the model's mode.
  StepOutput train(const Model& model, const Batch& batch, const Call& call);
  StepOutput test(const Model& model, const Batch& batch, const Call& call);
  Nest predict(const Model& model, const Nest& x, const Call& call);
  /// The same for one tensor in and out, without a structure. For models whose predict_step is the base's.
  Tensor predict_plainly(const Model& model, const Tensor& x, Location where);
  /// Whether the model's class is none that could have steps of its own.
  static bool has_base_steps(const Model& model);
  /// Before train(): forgets a graph that was traced with other trainable variables.
  void check_trainable(const Model& model);
  /// One step through the current mode, whatever the model's.
  static StepOutput step(const Model& model, const Batch& batch, bool training);
  /// Of the batches that train() and test() have seen; empty before the first.
  std::optional<BatchForm> batch_form() const;
  void set_batch_form(BatchForm form);
  /// For TensorBoard. False if no step has run as a graph yet.
  bool write_training_graph(const summary::Writer& writer) const;
  /// The loss of the step that runs on this thread.
  static void note_loss(const Tensor& loss);

  std::atomic<bool> stop_training = false, stop_evaluating = false, stop_predicting = false;
  RunningFit* running_fit = nullptr;

 private:
  void note_batch(const Batch& batch);
  std::vector<Metric> own_metrics() const;
  template <class F, class Make>
  F made(std::optional<F>& graph, const Model& model, const Make& make);

  /// With the lock held: all of them, or when the model's layers have changed.
  void drop_graphs();
  void drop_stale_graphs(const Model& model);

  std::atomic<Mode> mode_ = Mode::automatic;
  uint64_t structure_version_ = 0, structure_ = 0;
  mutable std::mutex mutex_;
  std::shared_ptr<const Compiled> compiled_;
  std::vector<Metric> own_metrics_;
  std::optional<Function<Tensor(Tensor)>> forward_;
  /// Whether calls give masks or losses beside their results; forward_nest has those.
  std::shared_ptr<std::atomic<bool>> has_extras_ = std::make_shared<std::atomic<bool>>(false);
  std::optional<Function<Nest(Nest)>> forward_nest_, predict_;
  std::optional<Function<StepOutput(Batch)>> train_, test_;
  std::optional<std::type_index> traced_class_;  ///< whose steps the graphs hold
  std::vector<Variable> traced_trainable_;
  std::optional<BatchForm> batch_form_;
};

}  // namespace tandem::nn::detail
