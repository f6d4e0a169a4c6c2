// Model: modes, and the loops of fit, evaluate and predict.

#include <cmath>
#include <mutex>
#include <ostream>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "tandem/function.h"
#include "tandem/nn/model.h"
#include "tandem/ops.h"
#include "tandem/ops/random.h"
#include "tandem/progress.h"
#include "tandem/tape.h"

namespace tandem::nn {

namespace detail {

namespace {

/// What one batch gives: the loss.
using StepResult = std::vector<Tensor>;
using StepFunction = Function<StepResult(Tensor, Tensor)>;

/// The steps as plain functions. A copy lives in each graph.
struct Steps {
  Layer network;
  CompileOptions options;
  Location where;  // compile's line: the loss, the optimizer and the metrics have no other

  Tensor forward(const Tensor& x) const { return network.as_function()(x); }

  void update_metrics(const Tensor& predictions, const Tensor& targets) const {
    for (const Metric& m : options.metrics) m.update(predictions, targets, {}, {}, where);
  }

  StepResult train(const Tensor& x, const Tensor& y) const {
    const TrainingScope training(true);
    StepResult result;
    Tensor predictions;
    {
      GradientTape tape;
      predictions = forward(x);
      result.push_back(options.loss(predictions, y, {}, {}, where));
      const std::vector<Variable> variables = network.trainable_variables();
      TD_CHECK(!variables.empty(), "the model has no trainable variables");
      options.optimizer->apply_gradients(tape.gradient(result[0], variables, {}, where), variables, where);
    }
    update_metrics(predictions, y);
    return result;
  }

  StepResult test(const Tensor& x, const Tensor& y) const {
    const TrainingScope training(false);
    const Tensor predictions = forward(x);
    StepResult result;
    result.push_back(options.loss.defined() ? options.loss(predictions, y, {}, {}, where) : Tensor());
    update_metrics(predictions, y);
    return result;
  }
};

/// The loss summed over examples, so that the last, smaller batch counts for what it is; metrics do so
/// themselves.
class RunningMeans {
 public:
  explicit RunningMeans(const CompileOptions& options) : options_(options) {
    for (const Metric& m : options.metrics) m.reset();
  }

  void add(const StepResult& result, int64_t examples) {
    if (result[0].defined())
      sum_ += cast(result[0], DType::f64).item<double>() * static_cast<double>(examples);
    examples_ += examples;
  }
  Logs logs(const std::string& prefix = {}) const {
    Logs logs;
    if (options_.loss.defined()) logs.add(prefix + "loss", sum_ / static_cast<double>(examples_));
    for (const Metric& m : options_.metrics) logs.add(prefix + m.name(), m.value());
    return logs;
  }

 private:
  const CompileOptions& options_;
  double sum_ = 0;
  int64_t examples_ = 0;
};

int64_t count_of(const Tensor& x, const char* what) {
  TD_CHECK(x.defined(), "the {} are an empty tensor handle", what);
  TD_CHECK(x.rank() > 0, "the {} are a scalar; the first dimension counts the examples", what);
  return x.shape()[0];
}

int64_t checked_count(const Tensor& x, const Tensor& y) {
  const int64_t count = count_of(x, "examples");
  TD_CHECK(count == count_of(y, "targets"), "{} examples and {} targets were given; each example has one",
           count, y.shape()[0]);
  TD_CHECK(count > 0, "there are no examples");
  return count;
}

void check_batch_size(int64_t size) { TD_CHECK(size > 0, "the batch size is {}; expected at least 1", size); }

Tensor rows(const Tensor& x, int64_t begin, int64_t end) { return x[{Index(begin, end)}]; }

}  // namespace

/// What copies of a Model share.
class Trainer {
 public:
  explicit Trainer(Layer network) : network_(std::move(network)) {}

  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  void set_mode(Mode mode) { mode_ = mode; }
  bool graphs_in_loops() const { return mode() != Mode::eager; }

  void forget_graphs() {
    const std::lock_guard<std::mutex> lock(mutex_);
    forward_.reset();
    train_.reset();
    test_.reset();
  }

  void compile(CompileOptions options, Location where) {
    const std::lock_guard<std::mutex> lock(mutex_);
    steps_ = std::make_shared<const Steps>(Steps{network_, std::move(options), where});
    train_.reset();
    test_.reset();
  }

  const Steps& steps() const {
    TD_CHECK(steps_ != nullptr, "the model is not compiled; call compile() first");
    return *steps_;
  }

  Tensor forward(const Tensor& x, Location where) {
    const Function<Tensor(Tensor)> graph = made(forward_, [this] { return function(network_); });
    return graph(x, where);
  }
  Tensor predict(const Tensor& x, Location where) {
    const TrainingScope inference(false);
    return graphs_in_loops() ? forward(x, where) : network_.as_function()(x);
  }
  StepResult train(const Tensor& x, const Tensor& y, Location where) {
    if (!graphs_in_loops()) return steps().train(x, y);
    return made(train_, [this] {
      return StepFunction([steps = steps_](const Tensor& a, const Tensor& b) { return steps->train(a, b); },
                          {.name = "training step"});
    })(x, y, where);
  }
  StepResult test(const Tensor& x, const Tensor& y, Location where) {
    if (!graphs_in_loops()) return steps().test(x, y);
    return made(test_, [this] {
      return StepFunction([steps = steps_](const Tensor& a, const Tensor& b) { return steps->test(a, b); },
                          {.name = "evaluation step"});
    })(x, y, where);
  }

  Logs evaluate(const Tensor& x, const Tensor& y, int64_t batch_size, const std::string& prefix,
                Location where) {
    RunningMeans means(steps().options);
    const int64_t count = x.shape()[0];
    for (int64_t begin = 0; begin < count; begin += batch_size) {
      const int64_t end = std::min(begin + batch_size, count);
      means.add(test(rows(x, begin, end), rows(y, begin, end), where), end - begin);
    }
    return means.logs(prefix);
  }

 private:
  template <class F, class Make>
  F made(std::optional<F>& graph, const Make& make) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!graph) graph = make();
    return *graph;
  }

  Layer network_;
  std::atomic<Mode> mode_ = Mode::automatic;
  std::mutex mutex_;
  std::shared_ptr<const Steps> steps_;
  std::optional<Function<Tensor(Tensor)>> forward_;
  std::optional<StepFunction> train_, test_;
};

}  // namespace detail

// ---- results

namespace {

double find_entry(const Logs& logs, const std::string& name) {
  std::string known;
  for (const auto& [key, value] : logs.entries()) {
    if (key == name) return value;
    known += (known.empty() ? "" : ", ") + key;
  }
  fail("there is no result \"{}\"; there are: {}", name, known);
}

}  // namespace

double Logs::operator[](const std::string& name) const { return find_entry(*this, name); }

std::ostream& operator<<(std::ostream& out, const Logs& logs) {
  const char* separator = "";
  for (const auto& [name, value] : logs.entries()) {
    out << separator << fmt::format("{}: {:.4f}", name, value);
    separator = " - ";
  }
  return out;
}

std::vector<double> History::operator[](const std::string& name) const {
  std::vector<double> values;
  for (const Logs& logs : epochs) values.push_back(logs[name]);
  return values;
}

// ---- Model

Model::Model(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body)
    : Layer(kind, std::move(name), where, std::move(body)) {
  make_trainer();
}

void Model::make_trainer() { trainer_ = std::make_shared<detail::Trainer>(*this); }
void Model::forget_graphs() const { trainer_->forget_graphs(); }
void Model::set_mode(Mode mode) const { trainer_->set_mode(mode); }
Mode Model::mode() const { return trainer_->mode(); }

Tensor Model::operator()(const Tensor& x, CallOptions options, Location where) const {
  if (trainer_->mode() != Mode::graph) return Layer::operator()(x, options, where);
  const TrainingScope training(options.training);
  return trainer_->forward(x, where);
}

void Model::compile(CompileOptions options, Location where) const {
  detail::in_call("compile", where, [&] {
    TD_CHECK(options.loss.defined() || !options.metrics.empty(), "neither a loss nor a metric was given");
    trainer_->compile(std::move(options), where);
  });
}

History Model::fit(const Tensor& x, const Tensor& y, FitOptions options, Location where) const {
  return detail::in_call("fit", where, [&] {
    const CompileOptions& compiled = trainer_->steps().options;
    TD_CHECK(compiled.optimizer, "the model was compiled without an optimizer");
    TD_CHECK(compiled.loss.defined(), "the model was compiled without a loss");
    detail::check_batch_size(options.batch_size);
    TD_CHECK(options.epochs >= 0, "{} epochs were asked for; expected 0 or more", options.epochs);
    const int64_t given = detail::checked_count(x, y);
    TD_CHECK(options.validation_split >= 0 && options.validation_split < 1,
             "the validation split is {}; expected 0 up to, not including, 1", options.validation_split);
    Tensor train_x = x, train_y = y, held_x, held_y;
    int64_t count = given;
    if (options.validation_data) {
      held_x = options.validation_data->first;
      held_y = options.validation_data->second;
      detail::checked_count(held_x, held_y);
    } else if (options.validation_split > 0) {
      count = static_cast<int64_t>(std::floor(static_cast<double>(given) * (1 - options.validation_split)));
      TD_CHECK(count > 0 && count < given, "a validation split of {} leaves {} of {} examples to train on",
               options.validation_split, count, given);
      held_x = detail::rows(x, count, given);
      held_y = detail::rows(y, count, given);
      train_x = detail::rows(x, 0, count);
      train_y = detail::rows(y, 0, count);
    }
    const int64_t batches = (count + options.batch_size - 1) / options.batch_size;

    History history;
    for (int epoch = 0; epoch < options.epochs; ++epoch) {
      std::optional<Progress> progress;
      if (options.verbose) progress.emplace(batches, fmt::format("epoch {}/{}", epoch + 1, options.epochs));
      detail::RunningMeans means(compiled);
      Tensor order;
      if (options.shuffle) order = random::permutation(count);
      for (int64_t begin = 0; begin < count; begin += options.batch_size) {
        const int64_t end = std::min(begin + options.batch_size, count);
        Tensor batch_x, batch_y;
        if (options.shuffle) {
          const Tensor chosen = detail::rows(order, begin, end);
          batch_x = gather(train_x, chosen);
          batch_y = gather(train_y, chosen);
        } else {
          batch_x = detail::rows(train_x, begin, end);
          batch_y = detail::rows(train_y, begin, end);
        }
        const detail::StepResult result = trainer_->train(batch_x, batch_y, where);
        means.add(result, end - begin);
        history.step_losses.push_back(result[0].to(DType::f32).item<float>());
        if (progress) {
          const Logs now = means.logs();
          for (const auto& [name, value] : now.entries()) progress->set(name, value);
          progress->advance();
        }
      }
      Logs logs = means.logs();
      if (held_x.defined()) {
        const Logs held = trainer_->evaluate(held_x, held_y, options.batch_size, "val_", where);
        for (const auto& [name, value] : held.entries()) {
          logs.add(name, value);
          if (progress) progress->set(name, value);
        }
      }
      history.epochs.push_back(std::move(logs));
    }
    return history;
  });
}

Logs Model::evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options, Location where) const {
  return detail::in_call("evaluate", where, [&] {
    detail::check_batch_size(options.batch_size);
    detail::checked_count(x, y);
    return trainer_->evaluate(x, y, options.batch_size, "", where);
  });
}

Tensor Model::predict(const Tensor& x, EvaluateOptions options, Location where) const {
  return detail::in_call("predict", where, [&] {
    detail::check_batch_size(options.batch_size);
    const int64_t count = detail::count_of(x, "examples");
    TD_CHECK(count > 0, "there are no examples");
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < count; begin += options.batch_size)
      parts.push_back(trainer_->predict(
          count <= options.batch_size ? x
                                      : detail::rows(x, begin, std::min(begin + options.batch_size, count)),
          where));
    return parts.size() == 1 ? parts[0] : concat(parts, 0, where);
  });
}

}  // namespace tandem::nn
