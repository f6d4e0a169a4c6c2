// Model: modes, and the public face of training.

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "nn/optimizers/body.h"
#include "nn/training/loops.h"
#include "tandem/ops.h"
#include "tandem/tape.h"

namespace tandem::nn {

Model::Model(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body)
    : Layer(kind, std::move(name), where, std::move(body)) {
  make_trainer();
}

Model::Model(const Model& other) : Layer(other), trainer_(other.trainer_) {
  if (state() != other.state()) make_trainer();  // a clone
}

void Model::make_trainer() { trainer_ = std::make_shared<detail::Trainer>(); }
void Model::forget_graphs() const { trainer_->forget_graphs(); }
void Model::set_mode(Mode mode) const { trainer_->set_mode(mode); }
Mode Model::mode() const { return trainer_->mode(); }

namespace {

// An error in a model's graph names the line of the operation: says, too, which call it ended.
template <class F>
auto in_model_call(const Model& model, Location where, F&& f) {
  try {
    return f();
  } catch (Error& e) {
    detail::add_user_call(e, model.state()->display_name(), where);
    throw;
  }
}

}  // namespace

Tensor Model::operator()(const Tensor& x, CallOptions options, Location where) const {
  if (trainer_->mode() != Mode::graph) return Layer::operator()(x, options, where);
  const TrainingScope training(options.training);
  return in_model_call(*this, where, [&] { return trainer_->forward(*this, x, where); });
}

Nest Model::operator()(const Nest& x, CallOptions options, Location where) const {
  if (trainer_->mode() != Mode::graph) return Layer::operator()(x, options, where);
  const TrainingScope training(options.training);
  return in_model_call(*this, where, [&] { return trainer_->forward_nest(*this, x, where); });
}

Shuffle::Shuffle(const char* word, Location where) : kind_(Kind::batch) {
  detail::in_call("shuffle", where, [&] {
    TD_CHECK(std::string_view(word) == "batch", "shuffle is \"{}\"; expected true, false or \"batch\"", word);
  });
}

void Model::compile(CompileOptions options, Location where) const {
  detail::in_call("compile", where, [&] {
    TD_CHECK(!options.loss.empty() || !options.metrics.empty() || !options.weighted_metrics.empty() ||
                 options.train_step || options.compute_loss || options.optimizer,
             "neither a loss nor a metric was given");
    TD_CHECK(options.steps_per_execution > 0, "{} steps an execution were asked for; expected 1 or more",
             options.steps_per_execution);
    if (options.optimizer) options.optimizer = detail::with_loss_scale_for(*this, *options.optimizer, where);
    trainer_->compile(std::move(options), where);
  });
}

bool Model::is_compiled() const { return trainer_->is_compiled(); }

// ---- the loops

namespace {

template <class F>
auto in_user_call(const char* name, Location where, F&& f) {
  try {
    return detail::in_call(name, where, std::forward<F>(f));
  } catch (Error& e) {
    detail::add_user_call(e, name, where);
    throw;
  }
}

}  // namespace

History Model::fit(const Nest& x, const Nest& y, FitOptions options, Location where) const {
  return fit(TrainingData(x, y), std::move(options), where);
}
History Model::fit(const TrainingData& data, FitOptions options, Location where) const {
  return in_user_call("fit", where, [&] {
    return detail::run_fit(*this, *trainer_, data, options, {"fit", where});
  });
}

Logs Model::evaluate(const Nest& x, const Nest& y, EvaluateOptions options, Location where) const {
  return evaluate(TrainingData(x, y), std::move(options), where);
}
Logs Model::evaluate(const TrainingData& data, EvaluateOptions options, Location where) const {
  return in_user_call("evaluate", where, [&] {
    return detail::run_evaluate(*this, *trainer_, data, options, {"evaluate", where});
  });
}

Tensor Model::predict(const Tensor& x, EvaluateOptions options, Location where) const {
  return in_user_call("predict", where, [&] {
    // The way that costs next to nothing: one batch, and nobody follows.
    if (x.defined() && x.rank() > 0 && x.shape().codes()[0] > 0 &&
        x.shape().codes()[0] <= options.batch_size && options.callbacks.empty() && options.verbose == 0 &&
        detail::Trainer::has_base_steps(*this))
      return trainer_->predict_plainly(*this, x, where);
    const Nest outputs = detail::run_predict(*this, *trainer_, {x, Nest()}, options, {"predict", where});
    TD_CHECK(outputs.is_leaf(), "the model gives {}; predict(td::Nest(x)) returns that", outputs.form());
    return outputs.leaf();
  });
}
Nest Model::predict(const Nest& x, EvaluateOptions options, Location where) const {
  return predict(TrainingData(x, Nest()), std::move(options), where);
}
Nest Model::predict(const TrainingData& data, EvaluateOptions options, Location where) const {
  return in_user_call("predict", where, [&] {
    return detail::run_predict(*this, *trainer_, data, options, {"predict", where});
  });
}

Logs Model::train_on_batch(const Nest& x, const Nest& y, const Nest& sample_weight, Location where) const {
  return in_user_call("train_on_batch", where, [&] {
    detail::check_arrays({x, y, sample_weight});
    trainer_->reset_metrics();
    trainer_->check_trainable(*this);
    Logs logs;
    detail::read_results(trainer_->train(*this, {x, y, sample_weight}, {"train_on_batch", where}).results,
                         logs);
    trainer_->reset_metrics();
    return logs;
  });
}
Logs Model::test_on_batch(const Nest& x, const Nest& y, const Nest& sample_weight, Location where) const {
  return in_user_call("test_on_batch", where, [&] {
    detail::check_arrays({x, y, sample_weight});
    trainer_->reset_metrics();
    Logs logs;
    detail::read_results(trainer_->test(*this, {x, y, sample_weight}, {"test_on_batch", where}).results,
                         logs);
    trainer_->reset_metrics();
    return logs;
  });
}
Nest Model::predict_on_batch(const Nest& x, Location where) const {
  return in_user_call("predict_on_batch", where, [&] {
    return trainer_->predict(*this, x, {"predict_on_batch", where});
  });
}

void Model::stop_training() const { trainer_->stop_training = true; }
void Model::stop_evaluating() const { trainer_->stop_evaluating = true; }
void Model::stop_predicting() const { trainer_->stop_predicting = true; }

// ---- the steps

StepResults Model::train_step(const Batch& batch) const {
  const CompileOptions& options = trainer_->compiled()->options();
  if (options.train_step) return options.train_step(*this, batch);
  const MaskScope masks;
  Nest predictions;
  {
    GradientTape tape;
    predictions = outputs_for(batch.x, true);
    const Tensor loss = compute_loss(batch, predictions, true);
    track_loss(loss, batch);
    minimize(loss, tape);
  }
  return compute_metrics(batch, predictions);
}

StepResults Model::test_step(const Batch& batch) const {
  const CompileOptions& options = trainer_->compiled()->options();
  if (options.test_step) return options.test_step(*this, batch);
  const MaskScope masks;
  const Nest predictions = outputs_for(batch.x, false);
  if (const Tensor loss = compute_loss(batch, predictions, false); loss.defined()) track_loss(loss, batch);
  return compute_metrics(batch, predictions);
}

Nest Model::predict_step(const Nest& x) const { return outputs_for(x, false); }

Tensor Model::compute_loss(const Batch& batch, const Nest& predictions, bool training) const {
  const std::shared_ptr<const detail::Compiled> compiled = trainer_->compiled();
  if (compiled->options().compute_loss)
    return compiled->options().compute_loss(*this, batch, predictions, training);
  Tensor total = compiled->loss(*this, batch, predictions);
  for (const Tensor& added : losses(compiled->where())) {
    const CallSite site(compiled->where());
    total = total.defined() ? total + added : added;
  }
  return total;
}

Nest Model::outputs_for(const Nest& x, bool training) const {
  return Layer::operator()(x, {.training = training}, state()->where);
}

void Model::minimize(const Tensor& loss, GradientTape& tape) const {
  const std::shared_ptr<const detail::Compiled> compiled = trainer_->compiled();
  TD_CHECK(loss.defined(), "the model was compiled without a loss");
  const std::vector<Variable> variables = trainable_variables();
  if (variables.empty()) return;
  const Location where = compiled->where();
  const Tensor scaled = optimizer().scale_loss(loss, where);
  optimizer().apply_gradients(tape.gradient(scaled, variables, {}, where), variables, where);
}

void Model::track_loss(const Tensor& loss, const Batch& batch) const {
  TD_CHECK(loss.defined(), "the model was compiled without a loss");
  detail::Trainer::note_loss(loss);
  trainer_->compiled()->track_loss(loss, batch);
}

StepResults Model::compute_metrics(const Batch& batch, const Nest& predictions) const {
  const std::shared_ptr<const detail::Compiled> compiled = trainer_->compiled();
  compiled->update_metrics(*this, batch, predictions);
  return trainer_->metric_results();
}

Metric Model::add_metric(const Metric& metric) const {
  trainer_->add_metric(metric);
  return metric;
}

const Optimizer& Model::optimizer() const {
  const std::shared_ptr<const detail::Compiled> compiled = trainer_->compiled();
  TD_CHECK(compiled->options().optimizer, "the model was compiled without an optimizer");
  return *compiled->options().optimizer;
}

}  // namespace tandem::nn
