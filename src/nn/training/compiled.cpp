#include "nn/training/compiled.h"

#include <set>

#include "core/check.h"
#include "nn/layer_call.h"
#include "tandem/nn/model.h"
#include "tandem/ops.h"

namespace tandem::nn::detail {

namespace {

Variable scalar_variable(const std::string& name) {
  return Variable(std::function<Tensor()>([] { return zeros({}, DType::f64); }),
                  {.name = name, .trainable = false, .unique_name = false});
}

Tensor wide(const Tensor& t) { return t.dtype() == DType::f64 ? t : cast(t, DType::f64); }

// As a float64 scalar.
Tensor example_count(const Tensor& t) { return cast(squeeze(shape_of(t, 0, 1), {0}), DType::f64); }

// One entry for each output, or nothing.
std::vector<double> loss_weights(const NestOf<double>& given, const OutputNames& outputs) {
  const size_t count = outputs.names.size();
  std::vector<double> weights(count, 1.);
  if (given.is_leaf()) {
    TD_CHECK(count == 1, "one loss weight was given, and the model has {} outputs; expected a list or a map",
             count);
    weights[0] = given.leaf();
  } else if (given.is_map()) {
    for (size_t i = 0; i < given.size(); ++i)
      weights[outputs.index_of(given.keys()[i], "loss weights")] = given[i].leaf();
  } else if (given.size() > 0) {
    TD_CHECK(given.size() == count, "{} loss weights were given, and the model has {} outputs", given.size(),
             count);
    for (size_t i = 0; i < count; ++i) weights[i] = given[i].leaf();
  }
  return weights;
}

}  // namespace

// ---- RunningMean

RunningMean::RunningMean(const std::string& name)
    : sum_(scalar_variable(name + "/sum")), count_(scalar_variable(name + "/count")) {}

void RunningMean::add(const Tensor& sum, const Tensor& count) const {
  sum_.assign_add(wide(sum));
  count_.assign_add(wide(count));
}

Tensor RunningMean::result() const {
  const Tensor count = count_;
  return sum_ / maximum(count, 1e-300);
}

void RunningMean::reset() const {
  const Tensor zero = zeros({}, DType::f64);
  sum_.assign(zero);
  count_.assign(zero);
}

// ---- Compiled

Compiled::Compiled(CompileOptions options, Location where)
    : options_(std::move(options)), where_(where), loss_mean_("loss") {}

const std::vector<OutputPlan>& Compiled::plans_for(const OutputNames& outputs) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!plans_) {
    const size_t count = outputs.names.size();
    TD_CHECK(count > 0, "the model gave no outputs");
    std::vector<OutputPlan> plans(count);
    const std::vector<double> weights = loss_weights(options_.loss_weights, outputs);
    const std::vector<Loss>& losses = options_.loss.list();
    for (size_t i = 0; i < count; ++i) {
      if (outputs.several()) plans[i].prefix = outputs.names[i] + '_';
      plans[i].loss_weight = weights[i];
      if (!options_.loss.is_by_output() && !losses.empty()) plans[i].loss = losses[0];
    }
    if (!options_.loss.names().empty()) {
      for (size_t i = 0; i < losses.size(); ++i)
        plans[outputs.index_of(options_.loss.names()[i], "losses")].loss = losses[i];
    } else if (options_.loss.is_by_output()) {
      TD_CHECK(losses.size() == count, "{} losses were given, and the model has {} output{}", losses.size(),
               count, count == 1 ? "" : "s");
      for (size_t i = 0; i < count; ++i) plans[i].loss = losses[i];
    }
    if (outputs.several())
      for (OutputPlan& plan : plans)
        if (plan.loss.defined()) plan.loss_mean.emplace(plan.prefix + "loss");

    std::set<std::string> taken{"loss"};
    const auto add = [&](OutputPlan& plan, const MetricList& list, bool is_weighted) {
      for (const Metric& metric : list.list()) {
        const std::string base = plan.prefix + metric.name();
        std::string name = base;
        for (int i = 1; !taken.insert(name).second; ++i) name = base + '_' + std::to_string(i);
        plan.metrics.push_back({name, metric, is_weighted});
      }
    };
    const auto add_all = [&](const Metrics& metrics, const char* what, bool is_weighted) {
      if (!metrics.names().empty()) {
        std::vector<size_t> order;
        for (const std::string& name : metrics.names()) order.push_back(outputs.index_of(name, what));
        for (size_t i = 0; i < order.size(); ++i) add(plans[order[i]], metrics.entries()[i], is_weighted);
      } else if (!outputs.several()) {
        for (const MetricList& list : metrics.entries()) add(plans[0], list, is_weighted);
      } else if (!metrics.empty()) {
        TD_CHECK(metrics.entries().size() == count,
                 "{} {} were given, and the model has {} outputs; expected a list for each",
                 metrics.entries().size(), what, count);
        for (size_t i = 0; i < count; ++i) add(plans[i], metrics.entries()[i], is_weighted);
      }
    };
    add_all(options_.metrics, "metrics", false);
    add_all(options_.weighted_metrics, "weighted metrics", true);
    plans_ = std::move(plans);
  }
  return *plans_;
}

/// A batch taken apart by output. Undefined tensors for what is not there.
struct Compiled::Matched {
  const std::vector<OutputPlan>& plans;
  OutputNames names;
  std::vector<Tensor> outputs, targets, weights;
};

Compiled::Matched Compiled::match(const Model& model, const Batch& batch, const Nest& predictions) const {
  OutputNames names = names_of_outputs(model, predictions);
  const std::vector<OutputPlan>& plans = plans_for(names);
  return {plans, names, predictions.flatten(), by_output(batch.y, predictions, names, "targets"),
          by_output(batch.sample_weight, predictions, names, "sample weights")};
}

Tensor Compiled::loss(const Model& model, const Batch& batch, const Nest& predictions) const {
  const Matched m = match(model, batch, predictions);
  Tensor total;
  for (size_t i = 0; i < m.plans.size(); ++i) {
    const OutputPlan& plan = m.plans[i];
    if (!plan.loss.defined()) continue;
    TD_CHECK(m.targets[i].defined(), "{} has a loss and no targets",
             m.plans.size() == 1 ? "the output" : "output " + m.names.names[i]);
    Tensor value = plan.loss(m.outputs[i], m.targets[i], m.weights[i], mask_of(m.outputs[i]), where_);
    TD_CHECK(value.rank() == 0, "loss {} has no reduction; training needs a sum or a mean", plan.loss.name());
    const CallSite site(where_);
    if (plan.loss_mean) {
      const Tensor count = example_count(m.outputs[i]);
      plan.loss_mean->add(wide(value) * count, count);
    }
    if (plan.loss_weight != 1) value = value * plan.loss_weight;
    total = total.defined() ? total + value : value;
  }
  return total;
}

void Compiled::track_loss(const Tensor& loss, const Batch& batch) const {
  has_loss_ = true;  // also where layers add the only one
  const CallSite site(where_);
  const Tensor count = example_count(batch.x.flatten().front());
  loss_mean_.add(wide(loss) * count, count);
}

void Compiled::update_metrics(const Model& model, const Batch& batch, const Nest& predictions) const {
  const Matched m = match(model, batch, predictions);
  for (size_t i = 0; i < m.plans.size(); ++i)
    for (const OutputPlan::Tracked& tracked : m.plans[i].metrics) {
      TD_CHECK(m.targets[i].defined(), "output {} has metrics and no targets", m.names.names[i]);
      tracked.metric.update(m.outputs[i], m.targets[i], tracked.weighted ? m.weights[i] : Tensor(),
                            mask_of(m.outputs[i]), where_);
    }
}

StepResults Compiled::results() const {
  const CallSite site(where_);
  StepResults results;
  if (has_loss_ || !options_.loss.empty()) results.emplace_back("loss", loss_mean_.result());
  if (!plans_) return results;
  for (const OutputPlan& plan : *plans_)
    if (plan.loss_mean) results.emplace_back(plan.prefix + "loss", plan.loss_mean->result());
  for (const OutputPlan& plan : *plans_)
    for (const OutputPlan::Tracked& tracked : plan.metrics)
      results.emplace_back(tracked.name, tracked.metric.result(where_));
  return results;
}

std::vector<Variable> Compiled::metric_variables() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<Variable> all = loss_mean_.variables();
  const auto add = [&](const std::vector<Variable>& more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  if (!plans_) return all;
  for (const OutputPlan& plan : *plans_) {
    if (plan.loss_mean) add(plan.loss_mean->variables());
    for (const OutputPlan::Tracked& tracked : plan.metrics) add(tracked.metric.variables());
  }
  return all;
}

void Compiled::reset_metrics() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  loss_mean_.reset();
  if (options_.reset_metrics) options_.reset_metrics();
  // Those that were given, rather than the plans': metrics come with what they have seen elsewhere.
  for (const Metrics* given : {&options_.metrics, &options_.weighted_metrics})
    for (const MetricList& list : given->entries())
      for (const Metric& metric : list.list()) metric.reset(where_);
  if (!plans_) return;
  for (const OutputPlan& plan : *plans_)
    if (plan.loss_mean) plan.loss_mean->reset();
}

}  // namespace tandem::nn::detail
