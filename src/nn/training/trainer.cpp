#include "nn/training/trainer.h"

#include <algorithm>
#include <limits>
#include <map>

#include "core/check.h"
#include "function/function_core.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem::nn::detail {

namespace {

// The model whose step runs on this thread, what the user called, and the loss that the step has told. A
// graph's body finds its model here: graphs outlive the object that they were traced with.
struct RunningStep {
  const Model* model;
  const Call* call;
  std::optional<Tensor> loss;
};
thread_local RunningStep* running_step = nullptr;

// Of the trace context: steps that check their losses have graphs of their own.
constexpr uint32_t checks_losses = 4;

constexpr std::string_view not_finite = "the loss of this step is not finite:";

class StepScope {
 public:
  StepScope(const Model& model, const Call& call) : step_{&model, &call, {}}, outer_(running_step) {
    running_step = &step_;
  }
  ~StepScope() { running_step = outer_; }
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;

 private:
  RunningStep step_;
  RunningStep* outer_;
};

StepOutput run_step(const Batch& batch, bool training) {
  const TrainingScope scope(training);
  const Model& model = *running_step->model;
  running_step->loss.reset();
  StepOutput output;
  in_call(running_step->call->name, running_step->call->where,
          [&] { output.results = training ? model.train_step(batch) : model.test_step(batch); });
  output.loss = running_step->loss;
  if (!output.loss)
    for (const auto& [name, value] : output.results)
      if (name == "loss") output.loss = value;
  return output;
}

Nest run_predict_step(const Nest& x) {
  const TrainingScope scope(false);
  return in_call(running_step->call->name, running_step->call->where,
                 [&] { return running_step->model->predict_step(x); });
}

}  // namespace

StepOutput Trainer::step(const Model& model, const Batch& batch, bool training) {
  const Call call{"step", model.state()->where};
  const StepScope scope(model, call);
  return run_step(batch, training);
}

std::optional<BatchForm> Trainer::batch_form() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return batch_form_;
}

void Trainer::set_batch_form(BatchForm form) {
  const std::lock_guard<std::mutex> lock(mutex_);
  batch_form_ = std::move(form);
}

void Trainer::note_batch(const Batch& batch) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto note = [&](const Nest& given, NestOf<Spec>& known) {
    std::vector<Spec> before;
    if (batch_form_ && known.same_form(given)) before = known.flatten();
    size_t next = 0;
    known = given.map([&](const Tensor& t) {
      Spec spec = tandem::detail::coded_spec(t);
      const size_t place = next++;
      const bool same_kind = place < before.size() && before[place].dtype == spec.dtype &&
                             before[place].shape.rank() == spec.shape.rank();
      for (int d = 0; d < spec.shape.rank(); ++d)
        if (d == 0 || (same_kind && before[place].shape[d] != spec.shape[d])) spec.shape[d] = -1;
      return spec;
    });
  };
  BatchForm form = batch_form_.value_or(BatchForm());
  note(batch.x, form.x);
  note(batch.y, form.y);
  note(batch.sample_weight, form.sample_weight);
  batch_form_ = std::move(form);
}

void Trainer::forget_graphs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  drop_graphs();
}

void Trainer::drop_graphs() {
  forward_.reset();
  forward_nest_.reset();
  predict_.reset();
  train_.reset();
  test_.reset();
}

void Trainer::drop_stale_graphs(const Model& model) {
  if (const uint64_t now = structure_version(); std::exchange(structure_version_, now) == now) return;
  const uint64_t now = structure_signature(*model.state());
  if (std::exchange(structure_, now) != now) drop_graphs();
}

void Trainer::compile(CompileOptions options, Location where) {
  auto compiled = std::make_shared<const Compiled>(std::move(options), where);
  const std::lock_guard<std::mutex> lock(mutex_);
  compiled_ = std::move(compiled);
  train_.reset();
  test_.reset();
}

bool Trainer::is_compiled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return compiled_ != nullptr;
}

std::shared_ptr<const Compiled> Trainer::compiled() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  TD_CHECK(compiled_ != nullptr, "the model is not compiled; call compile() first");
  return compiled_;
}

bool Trainer::write_training_graph(const summary::Writer& writer) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!train_ || train_->trace_count() == 0) return false;
  writer.graph(*train_);
  return true;
}

void Trainer::add_metric(const Metric& metric) {
  const std::lock_guard<std::mutex> lock(mutex_);
  own_metrics_.push_back(metric);
}

std::vector<Metric> Trainer::own_metrics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return own_metrics_;
}

StepResults Trainer::metric_results() const {
  const std::shared_ptr<const Compiled> compiled = this->compiled();
  StepResults results = compiled->results();
  for (const Metric& metric : own_metrics()) {
    std::string name = metric.name();
    const auto taken = [&] {
      return std::any_of(results.begin(), results.end(), [&](const auto& r) { return r.first == name; });
    };
    for (int i = 1; taken(); ++i) name = metric.name() + '_' + std::to_string(i);
    results.emplace_back(name, metric.result(compiled->where()));
  }
  return results;
}

void Trainer::reset_metrics() const {
  compiled()->reset_metrics();
  for (const Metric& metric : own_metrics()) metric.reset();
}

std::vector<Variable> Trainer::metric_variables() const {
  std::vector<Variable> all = compiled()->metric_variables();
  for (const Metric& metric : own_metrics())
    all.insert(all.end(), metric.variables().begin(), metric.variables().end());
  return all;
}

void Trainer::note_loss(const Tensor& loss) {
  if (running_step == nullptr) return;
  running_step->loss = loss;
  if ((tandem::detail::trace_context & checks_losses) == 0) return;
  const CallSite site(running_step->call->where);
  check(logical_not(logical_or(is_nan(loss), is_inf(loss))), std::string(not_finite), {loss});
}

LossChecks::LossChecks(bool on) : before_(tandem::detail::trace_context) {
  if (on) tandem::detail::trace_context |= checks_losses;
}
LossChecks::~LossChecks() { tandem::detail::trace_context = before_; }

std::optional<double> LossChecks::loss_in(const Error& error) {
  const std::string_view text = error.what();
  const size_t at = text.find(not_finite);
  if (at == std::string_view::npos) return {};
  const std::string_view value = text.substr(at + not_finite.size());
  const double infinity = std::numeric_limits<double>::infinity();
  if (value.find("nan") != std::string_view::npos) return std::numeric_limits<double>::quiet_NaN();
  return value.find("-inf") != std::string_view::npos ? -infinity : infinity;
}

void Trainer::check_trainable(const Model& model) {
  const std::vector<Variable> now = model.trainable_variables();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!train_) return;
  const bool same = now.size() == traced_trainable_.size() &&
                    std::equal(now.begin(), now.end(), traced_trainable_.begin(),
                               [](const Variable& a, const Variable& b) { return a.is(b); });
  if (!same) train_.reset();
}

template <class F, class Make>
F Trainer::made(std::optional<F>& graph, const Model& model, const Make& make) {
  const std::lock_guard<std::mutex> lock(mutex_);
  drop_stale_graphs(model);
  const std::type_index own(typeid(model));
  if (traced_class_ != own) {
    train_.reset();
    test_.reset();
    predict_.reset();
    traced_class_ = own;
  }
  if (!graph) graph = make();
  return *graph;
}

Tensor Trainer::forward(const Model& model, const Tensor& x, Location where) {
  bool is_new = false;
  const Function<Tensor(Tensor)> graph = [&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    drop_stale_graphs(model);
    if (!forward_) {
      is_new = true;
      forward_.emplace([layer = Layer(model), extras = has_extras_](const Tensor& input) {
        const MaskScope masks;
        Tensor y = layer.as_function()(input);
        if (mask_of(y).defined() || !recorded_losses(*layer.state()).empty()) *extras = true;
        return y;
      });
    }
    return *forward_;
  }();
  if (is_new) graph.prepare(x, where);
  if (*has_extras_ || mask_of(x).defined()) return forward_nest(model, x, where).leaf();
  return graph(x, where);
}

namespace {

/// The masks of tensors that have one, by the tensors' numbers.
Nest masks_by_number(const std::vector<Tensor>& tensors) {
  std::map<std::string, Tensor> masks;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (const Tensor mask = mask_of(tensors[i]); mask.defined()) masks[std::to_string(i)] = mask;
  return masks;
}
void set_masks(const std::vector<Tensor>& tensors, const Nest& masks) {
  for (size_t i = 0; i < masks.size(); ++i)
    set_mask(tensors[static_cast<size_t>(std::stoi(masks.keys()[i]))], masks[i].leaf());
}

}  // namespace

// The graph takes the inputs and their masks, and gives the results, their masks and the losses.
Nest Trainer::forward_nest(const Model& model, const Nest& x, Location where) {
  if (is_in_layer_call()) return Layer(model)(x, {}, where);  // which keeps all that itself
  const Function<Nest(Nest)> graph = [&] {
    const std::lock_guard<std::mutex> lock(mutex_);
    drop_stale_graphs(model);
    if (!forward_nest_)
      forward_nest_.emplace([layer = Layer(model)](const Nest& given) -> Nest {
        const MaskScope masks;
        set_masks(given[0].flatten(), given[1]);
        const Nest y = layer(given[0], {}, layer.state()->where);
        return std::vector<Nest>{y, masks_by_number(y.flatten()), recorded_losses(*layer.state())};
      });
    return *forward_nest_;
  }();
  const Nest results = graph(std::vector<Nest>{x, masks_by_number(x.flatten())}, where);
  set_masks(results[0].flatten(), results[1]);
  forget_losses(*model.state());
  for (const Tensor& loss : results[2].flatten()) record_loss(*model.state(), loss, false, where);
  return results[0];
}

StepOutput Trainer::train(const Model& model, const Batch& batch, const Call& call) {
  const StepScope scope(model, call);
  if (mode() == Mode::eager) {
    note_batch(batch);
    return run_step(batch, true);
  }
  bool is_new = false;
  const auto graph = made(train_, model, [&] {
    is_new = true;
    return Function<StepOutput(Batch)>([](const Batch& b) { return run_step(b, true); });
  });
  const int traces = graph.trace_count();
  StepOutput output = graph(batch, call.where);
  if (graph.trace_count() != traces) note_batch(batch);
  if (is_new) {
    // Only now: the first step builds what had no variables yet.
    std::vector<Variable> trainable = model.trainable_variables();
    const std::lock_guard<std::mutex> lock(mutex_);
    traced_trainable_ = std::move(trainable);
  }
  return output;
}

StepOutput Trainer::test(const Model& model, const Batch& batch, const Call& call) {
  const StepScope scope(model, call);
  if (mode() == Mode::eager) {
    note_batch(batch);
    return run_step(batch, false);
  }
  const auto graph = made(test_, model, [] {
    return Function<StepOutput(Batch)>([](const Batch& b) { return run_step(b, false); });
  });
  const int traces = graph.trace_count();
  StepOutput output = graph(batch, call.where);
  if (graph.trace_count() != traces) note_batch(batch);
  return output;
}

Nest Trainer::predict(const Model& model, const Nest& x, const Call& call) {
  const StepScope scope(model, call);
  if (mode() == Mode::eager) return run_predict_step(x);
  return made(predict_, model, [] { return Function<Nest(Nest)>(run_predict_step); })(x, call.where);
}

bool Trainer::has_base_steps(const Model& model) {
  return typeid(model) == typeid(Model) || typeid(model) == typeid(Sequential);
}

Tensor Trainer::predict_plainly(const Model& model, const Tensor& x, Location where) {
  const TrainingScope inference(false);
  if (mode() == Mode::eager) return Layer(model)(x, {}, where);
  return forward(model, x, where);
}

}  // namespace tandem::nn::detail
