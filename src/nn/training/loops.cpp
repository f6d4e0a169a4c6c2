#include "nn/training/loops.h"

#include <cmath>

#include "core/check.h"
#include "nn/probe.h"
#include "nn/training/display.h"
#include "tandem/ops.h"
#include "tandem/ops/random.h"

namespace tandem::nn::detail {

namespace {

double number_in(const Tensor& t) {
  if (t.dtype() == DType::f64) return t.item<double>();
  if (t.dtype() == DType::f32) return t.item<float>();
  return cast(t, DType::f64).item<double>();
}

void check_batch_size(int64_t size) { TD_CHECK(size > 0, "the batch size is {}; expected at least 1", size); }

void begin_callbacks(const Callbacks& callbacks, const Model& model, const LoopInfo& info) {
  for (const auto& c : callbacks) {
    TD_CHECK(c != nullptr, "a callback is an empty pointer");
    c->attach(model, info);
  }
}

/// Evaluation, by itself or as validation.
class Evaluation {
 public:
  Evaluation(const Model& model, Trainer& trainer, std::unique_ptr<BatchSource> source,
             std::optional<int64_t> steps, const Callbacks& callbacks, Call call)
      : model_(model),
        trainer_(trainer),
        compiled_(trainer.compiled()),
        reader_(std::move(source), steps),
        callbacks_(callbacks),
        call_(call) {}

  int64_t batch_count() const { return reader_.batch_count(); }

  Logs run(Display& display) {
    trainer_.stop_evaluating = false;
    trainer_.reset_metrics();
    Logs logs;
    for (const auto& c : callbacks_) c->on_test_begin(logs);
    reader_.rewind();
    reader_.begin_epoch(0);
    const int64_t group = compiled_->options().steps_per_execution;
    StepOutput output;
    int64_t done = 0;
    for (std::optional<Batch> batch = reader_.next(); batch && !trainer_.stop_evaluating;) {
      logs.clear();
      for (const auto& c : callbacks_) c->on_test_batch_begin(done, logs);
      int64_t size = 0;
      do {
        output = trainer_.test(model_, *batch, call_);
        ++size;
        batch = size < group ? reader_.next() : std::nullopt;
      } while (batch);
      done += size;
      if (!callbacks_.empty() || display.is_due()) read_results(output.results, logs);
      for (const auto& c : callbacks_) c->on_test_batch_end(done - 1, logs);
      display.show(logs);
      display.advance(size);
      if (!batch && !trainer_.stop_evaluating) batch = reader_.next();
    }
    reader_.end_epoch(0);
    logs.clear();
    read_results(output.results, logs);
    for (const auto& c : callbacks_) c->on_test_end(logs);
    return logs;
  }

 private:
  const Model& model_;
  Trainer& trainer_;
  std::shared_ptr<const Compiled> compiled_;
  EpochReader reader_;
  const Callbacks& callbacks_;
  Call call_;
};

/// Calls `f`, whose errors then say that they are about the validation data.
template <class F>
auto for_validation(F f) {
  try {
    return f();
  } catch (Error& e) {
    e.add_context("in the validation data");
    throw;
  }
}

/// What fit trains on, and what it evaluates after each epoch.
struct FitData {
  std::unique_ptr<BatchSource> training, validation;
};

TrainingData with_weights(const TrainingData& data, const Nest& weights) {
  if (weights.flatten().empty()) return data;
  const Arrays* arrays = data.body()->arrays();
  TD_CHECK(arrays != nullptr, "sample weights were given beside data that bring their own batches");
  TD_CHECK(arrays->sample_weight.flatten().empty(), "sample weights were given twice");
  return {arrays->x, arrays->y, weights};
}

FitData open_fit(const TrainingData& given, const FitOptions& o) {
  TD_CHECK(given.defined(), "there are no data");
  check_batch_size(o.batch_size);
  const int64_t validation_size = o.validation_batch_size.value_or(o.batch_size);
  check_batch_size(validation_size);
  TD_CHECK(o.validation_split >= 0 && o.validation_split < 1,
           "the validation split is {}; expected 0 up to, not including, 1", o.validation_split);
  const TrainingData data = with_weights(given, o.sample_weight);
  const CutOptions cut{o.batch_size, o.shuffle};
  FitData result;
  if (o.validation_data.defined()) {
    result.validation = for_validation([&] {
      return o.validation_data.body()->open({validation_size, false});
    });
    result.training = data.body()->open(cut);
  } else if (o.validation_split > 0) {
    const Arrays* arrays = data.body()->arrays();
    TD_CHECK(arrays != nullptr,
             "a validation split needs arrays; data that bring their own batches cannot be cut");
    check_arrays(*arrays);
    const int64_t all = arrays->count();
    const auto count = static_cast<int64_t>(std::floor(static_cast<double>(all) * (1 - o.validation_split)));
    TD_CHECK(count > 0 && count < all, "a validation split of {} leaves {} of {} examples to train on",
             o.validation_split, count, all);
    result.validation = open_arrays(arrays->rows(count, all), {validation_size, false});
    result.training = open_arrays(arrays->rows(0, count), cut);
  } else {
    result.training = data.body()->open(cut);
  }
  if (!o.class_weight.empty())
    result.training = with_class_weights(std::move(result.training), o.class_weight);
  return result;
}

class Fit final : public RunningFit {
 public:
  Fit(const Model& model, Trainer& trainer, FitData data, const FitOptions& options, const Call& call)
      : model_(model),
        trainer_(trainer),
        compiled_(trainer.compiled()),
        options_(options),
        callbacks_(options.callbacks),
        reader_(std::move(data.training), options.steps_per_epoch, options.initial_epoch),
        display_(options.verbose),
        call_(call),
        outer_(trainer.running_fit) {
    if (data.validation)
      validation_.emplace(model, trainer, std::move(data.validation), options.validation_steps, callbacks_,
                          call);
  }

  ~Fit() override { trainer_.running_fit = outer_; }
  Fit(const Fit&) = delete;
  Fit& operator=(const Fit&) = delete;

  History run() {
    trainer_.running_fit = this;
    trainer_.stop_training = false;
    trainer_.check_trainable(model_);
    begin_callbacks(callbacks_, model_,
                    {.epochs = options_.epochs,
                     .initial_epoch = options_.initial_epoch,
                     .steps = reader_.batch_count(),
                     .validates = validation_.has_value()});
    Logs logs;
    for (const auto& c : callbacks_) c->on_train_begin(logs);
    int64_t epoch = options_.initial_epoch;
    if (resumed_) {
      epoch = resumed_->epoch;
      history_ = std::move(resumed_->history);
    }
    for (; epoch < options_.epochs && !trainer_.stop_training; ++epoch) logs = run_epoch(epoch);
    if (compiled_->options().optimizer)
      compiled_->options().optimizer->finalize_variable_values(model_.trainable_variables(), call_.where);
    for (const auto& c : callbacks_) c->on_train_end(logs);
    return std::move(history_);
  }

  FitPosition position() const override {
    FitPosition p;
    p.epoch = epoch_done_ ? epoch_ + 1 : epoch_;
    p.batch = epoch_done_ ? 0 : reader_.batches_done();
    p.data = reader_.state();
    if (!epoch_done_)
      for (const Variable& v : trainer_.metric_variables()) p.metrics.push_back(v);
    p.history = history_;
    return p;
  }
  void resume(FitPosition position) override {
    TD_CHECK(!begun_, "training has begun; a position is taken up in on_train_begin");
    resumed_ = std::move(position);
  }
  void build() override {
    TD_CHECK(!begun_, "training has begun");
    if (const std::optional<Batch> batch = reader_.next()) trainer_.train(model_, *batch, call_);
  }
  const Callbacks& callbacks() const override { return callbacks_; }

 private:
  Logs run_epoch(int64_t epoch) {
    begun_ = true;
    epoch_ = epoch;
    epoch_done_ = false;
    trainer_.reset_metrics();
    Logs logs;
    for (const auto& c : callbacks_) c->on_epoch_begin(epoch, logs);
    reader_.begin_epoch(epoch);
    if (resumed_) take_up(*std::exchange(resumed_, std::nullopt));
    display_.begin(fmt::format("epoch {}/{}", epoch + 1, options_.epochs), reader_.batch_count());
    run_batches(epoch, logs);
    reader_.end_epoch(epoch);
    if (validation_ && (epoch + 1) % options_.validation_freq == 0) {
      Display silent(0);
      const Logs held = for_validation([&] { return validation_->run(silent); });
      for (const auto& [name, value] : held.entries()) logs.set("val_" + name, value);
    }
    epoch_done_ = true;
    history_.epochs.push_back(logs);
    history_.epoch_numbers.push_back(epoch);
    for (const auto& c : callbacks_) c->on_epoch_end(epoch, logs);
    history_.epochs.back() = logs;
    display_.end(logs);
    return logs;
  }

  void take_up(const FitPosition& p) {
    reader_.restore(p.batch, p.data);
    resumed_logs_ = p.logs;
    if (p.metrics.empty()) return;
    // A batch of evaluation builds the metrics; what it counted is overwritten.
    if (trainer_.metric_variables().size() != p.metrics.size()) {
      const Variable& generator = random::generator();
      const Tensor drawn = generator;
      if (const std::optional<Batch> batch = reader_.next()) trainer_.test(model_, *batch, call_);
      generator.assign(drawn);
      reader_.restore(p.batch, p.data);
    }
    const std::vector<Variable> metrics = trainer_.metric_variables();
    TD_CHECK(metrics.size() == p.metrics.size(), "the position has {} numbers of metrics, and the model {}",
             p.metrics.size(), metrics.size());
    for (size_t i = 0; i < metrics.size(); ++i) metrics[i].assign(p.metrics[i]);
  }

  // Leaves the epoch's results in `logs`.
  void run_batches(int64_t epoch, Logs& logs) {
    const int64_t group = compiled_->options().steps_per_execution;
    StepOutput output;
    int64_t done = reader_.batches_done();
    display_.advance(done);
    for (std::optional<Batch> batch = reader_.next(); batch;) {
      logs.clear();
      for (const auto& c : callbacks_) c->on_train_batch_begin(done, logs);
      int64_t size = 0;
      bool finite = true;
      do {
        output = step(*batch);
        finite = finite && note_loss(output);
        ++size;
        batch = size < group && finite ? reader_.next() : std::nullopt;
      } while (batch);
      done += size;
      if (!callbacks_.empty() || display_.is_due()) read_results(output.results, logs);
      for (const auto& c : callbacks_) c->on_train_batch_end(done - 1, logs);
      display_.show(logs);
      display_.advance(size);
      if (trainer_.stop_training) break;
      if (!finite && options_.stop_on_nan) fail_not_finite(epoch, done - 1);
      batch = reader_.next();
    }
    // Taken up behind its last batch, the epoch has the results of then.
    logs = std::exchange(resumed_logs_, {});
    read_results(output.results, logs);
  }

  /// One step. A loss that is not finite leaves the weights as they were, so that the layer can be found.
  StepOutput step(const Batch& batch) {
    const LossChecks checks(options_.stop_on_nan);
    try {
      return trainer_.train(model_, batch, call_);
    } catch (const Error& e) {
      const std::optional<double> loss = LossChecks::loss_in(e);
      if (!loss) throw;
      culprit_ = first_bad_layer(model_, batch.x, true);
      const Tensor value(*loss);
      return {value, {{"loss", value}}};
    }
  }

  bool note_loss(const StepOutput& output) {
    if (!output.loss) return true;
    const double loss = number_in(*output.loss);
    history_.step_losses.push_back(static_cast<float>(loss));
    return std::isfinite(loss);
  }

  [[noreturn]] void fail_not_finite(int64_t epoch, int64_t batch) {
    fail("the loss is {} at batch {} of epoch {}: {}", history_.step_losses.back(), batch, epoch,
         culprit_.empty() ? "every layer's results are finite, so it is the loss itself" : culprit_);
  }

  const Model& model_;
  Trainer& trainer_;
  std::shared_ptr<const Compiled> compiled_;
  const FitOptions& options_;
  const Callbacks& callbacks_;
  EpochReader reader_;
  std::optional<Evaluation> validation_;
  Display display_;
  Call call_;
  RunningFit* outer_;
  int64_t epoch_ = 0;
  bool begun_ = false, epoch_done_ = false;
  std::optional<FitPosition> resumed_;
  Logs resumed_logs_;
  std::string culprit_;  ///< of a loss that is not finite
  History history_;
};

}  // namespace

void read_results(const StepResults& results, Logs& logs, const std::string& prefix) {
  for (const auto& [name, value] : results)
    if (value.rank() == 0) logs.set(prefix + name, number_in(value));
}

History run_fit(const Model& model, Trainer& trainer, const TrainingData& data, const FitOptions& options,
                const Call& call) {
  const std::shared_ptr<const Compiled> compiled = trainer.compiled();
  TD_CHECK(compiled->options().optimizer || compiled->options().train_step || !Trainer::has_base_steps(model),
           "the model was compiled without an optimizer");
  TD_CHECK(options.epochs >= 0, "{} epochs were asked for; expected 0 or more", options.epochs);
  TD_CHECK(options.validation_freq > 0, "the validation frequency is {}; expected 1 or more",
           options.validation_freq);
  return Fit(model, trainer, open_fit(data, options), options, call).run();
}

Logs run_evaluate(const Model& model, Trainer& trainer, const TrainingData& data,
                  const EvaluateOptions& options, const Call& call) {
  TD_CHECK(data.defined(), "there are no data");
  check_batch_size(options.batch_size);
  Evaluation evaluation(model, trainer,
                        with_weights(data, options.sample_weight).body()->open({options.batch_size, false}),
                        options.steps, options.callbacks, call);
  begin_callbacks(options.callbacks, model, {.steps = evaluation.batch_count()});
  Display display(options.verbose);
  display.begin("evaluating", evaluation.batch_count());
  Logs logs = evaluation.run(display);
  display.end(logs);
  return logs;
}

Nest run_predict(const Model& model, Trainer& trainer, const TrainingData& data,
                 const EvaluateOptions& options, const Call& call) {
  TD_CHECK(data.defined(), "there are no data");
  check_batch_size(options.batch_size);
  EpochReader reader(data.body()->open({options.batch_size, false}), options.steps);
  begin_callbacks(options.callbacks, model, {.steps = reader.batch_count()});
  Display display(options.verbose);
  display.begin("predicting", reader.batch_count());
  trainer.stop_predicting = false;
  Logs logs;
  for (const auto& c : options.callbacks) c->on_predict_begin(logs);
  reader.begin_epoch(0);
  std::vector<std::vector<Tensor>> parts;
  Nest outputs;
  int64_t done = 0;
  while (!trainer.stop_predicting) {
    const std::optional<Batch> batch = reader.next();
    if (!batch) break;
    logs.clear();
    for (const auto& c : options.callbacks) c->on_predict_batch_begin(done, logs);
    outputs = trainer.predict(model, batch->x, call);
    parts.push_back(outputs.flatten());
    logs.set_outputs(outputs);
    for (const auto& c : options.callbacks) c->on_predict_batch_end(done, logs);
    ++done;
    display.advance(1);
  }
  reader.end_epoch(0);
  logs.clear();
  for (const auto& c : options.callbacks) c->on_predict_end(logs);
  display.end(logs);
  if (parts.size() == 1) return outputs;
  std::vector<Tensor> whole;
  for (size_t i = 0; !parts.empty() && i < parts[0].size(); ++i) {
    std::vector<Tensor> pieces;
    for (const auto& part : parts) pieces.push_back(part[i]);
    whole.push_back(concat(pieces, 0, call.where));
  }
  return outputs.with_leaves(whole);
}

}  // namespace tandem::nn::detail
