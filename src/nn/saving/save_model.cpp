// A model's graphs, recorded and written.

#include <iostream>

#include "compiler/pass.h"
#include "function/trace_mode.h"
#include "nn/functional.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "nn/saving/form.h"
#include "nn/saving/parts.h"
#include "nn/saving/restored_body.h"
#include "nn/training/trainer.h"
#include "ops/variable_impl.h"
#include "tandem/nn/model.h"
#include "tandem/ops/random.h"

namespace tandem::nn {

namespace {

namespace parts = detail::parts;
using Specs = NestOf<Spec>;

/// Inputs of graphs, whose batches are one size.
struct Inputs {
  std::vector<Spec> specs;
  std::vector<std::string> names;

  void add(const Specs& nest, const std::string& name) {
    for (const Spec& spec : nest.flatten()) {
      specs.push_back(spec);
      names.push_back(name);
    }
  }
};

/// Records graphs. The first symbol of each is the batch's size.
class Recorder {
 public:
  template <class F>
  onnx::ArchivedGraph record(const std::string& name, const Inputs& inputs, std::vector<std::string> outputs,
                             const F& body) {
    TraceMode trace;
    trace.may_create_variables = true;
    batch_ = trace.fresh_symbol();
    std::vector<Tensor> arguments;
    for (size_t i = 0; i < inputs.specs.size(); ++i) {
      Spec spec = inputs.specs[i];
      for (int d = 0; d < spec.shape.rank(); ++d)
        if (spec.shape[d] < 0) spec.shape[d] = d == 0 ? batch_ : trace.fresh_symbol();
      arguments.push_back(trace.add_input(inputs.names[i], spec));
    }
    {
      const ModeScope scope(&trace);
      for (const Tensor& t : body(std::move(arguments))) trace.graph.outputs.push_back(trace.value_of(t, {}));
    }
    optimize(trace.graph);
    return {name, std::move(trace.graph), inputs.names, std::move(outputs)};
  }
  int64_t batch() const { return batch_; }

 private:
  int64_t batch_ = 0;
};

/// The entries of a list of leaves as structures, one after another.
class Leaves {
 public:
  explicit Leaves(std::vector<Tensor> list) : list_(std::move(list)) {}
  Nest take(const Specs& form) {
    return form.map([&](const Spec&) { return list_[next_++]; });
  }

 private:
  std::vector<Tensor> list_;
  size_t next_ = 0;
};

Specs specs_of(const Values& values) {
  return values.map([](const Value& v) { return Spec{v.dtype(), v.shape(), {}}; });
}

class Saver {
 public:
  Saver(const Model& model, const ModelSaveOptions& options)
      : model_(model), trainer_(*model.trainer()), options_(options) {}

  void save(const std::string& path) {
    find_inputs();
    record_model();
    if (options_.training) {
      record_forward();
      record_parameter_options();
      if (trainer_.is_compiled()) record_training();
      archive_.variables.push_back({"random/generator", parts::generator, random::generator()});
    }
    // Now that every layer has its variables.
    std::vector<onnx::ArchivedVariable> own;
    for (const auto& [name, variable] : model_.named_parameters())
      own.push_back({name, variable.trainable() ? parts::trainable : parts::fixed, variable});
    archive_.variables.insert(archive_.variables.begin(), own.begin(), own.end());
    for (const detail::Visit& v : detail::walk(model_.state()))
      archive_.metadata[parts::module + v.path] =
          detail::escaped(v.module->class_name()) + (v.module->trainable ? "" : " frozen");
    archive_.metadata[parts::name] = model_.name();
    archive_.size_names[recorder_.batch()] = "batch";
    onnx::write_archive(archive_, {.locations = options_.locations}, path);
  }

 private:
  void find_inputs() {
    const detail::LayerBody* body = model_.body().get();
    if (!options_.inputs.flatten().empty()) {
      form_ = options_.inputs;
      inputs_.add(form_, "input");
      return;
    }
    const auto declared = [&](const Values& values) {
      form_ = specs_of(values);
      for (const Value& v : values.flatten()) inputs_.add(Spec{v.dtype(), v.shape(), {}}, v.name());
    };
    if (const auto* functional = dynamic_cast<const detail::FunctionalBody*>(body))
      return declared(functional->inputs());
    if (const auto* restored = dynamic_cast<const detail::RestoredBody*>(body))
      return declared(restored->inputs());
    if (const auto* sequential = dynamic_cast<const detail::SequentialBody*>(body);
        sequential && sequential->input)
      return declared(*sequential->input);
    const std::optional<detail::BatchForm> seen = trainer_.batch_form();
    TD_CHECK(seen,
             "the shapes of the model's inputs are unknown: it has no nn::Input and has not been trained; "
             "give them "
             "as .inputs, as in {{.inputs = td::spec({{-1, 784}})}}");
    form_ = seen->x;
    inputs_.add(form_, "input");
  }

  void record_model() {
    const std::vector<std::string> own_names = model_.body()->output_names();
    archive_.main = recorder_.record(model_.name(), inputs_, own_names, [&](std::vector<Tensor> tensors) {
      const Nest outputs = model_.outputs_for(Leaves(std::move(tensors)).take(form_), false);
      archive_.metadata[parts::outputs] = detail::form_text(outputs);
      return outputs.flatten();
    });
    archive_.metadata[parts::inputs] = detail::form_text(form_);
    if (own_names.size() == archive_.main.graph.outputs.size())
      archive_.metadata[parts::output_names] = detail::joined(own_names);
  }

  void record_forward() {
    archive_.programs.push_back(
        recorder_.record(parts::forward, inputs_, {}, [&](std::vector<Tensor> tensors) {
          std::vector<Tensor> results =
              model_.outputs_for(Leaves(std::move(tensors)).take(form_), true).flatten();
          for (const Tensor& loss : detail::recorded_losses(*model_.state())) results.push_back(loss);
          return results;
        }));
  }

  /// Regularizers and constraints, as functions of a value.
  void record_parameter_options() {
    for (const detail::Visit& v : detail::walk(model_.state()))
      for (const detail::ModuleState::Member& m : v.module->members_now()) {
        if (m.module) continue;
        const std::string name = v.path.empty() ? m.name : v.path + '/' + m.name;
        const auto add = [&](const char* kind, const auto& function) {
          Inputs value;
          value.add(Spec{m.variable.dtype(), m.variable.shape(), {}}, "value");
          archive_.programs.push_back(recorder_.record(
              kind + name, value, {},
              [&](const std::vector<Tensor>& tensors) { return std::vector<Tensor>{function(tensors[0])}; }));
        };
        if (m.origin->options.regularizer.defined())
          add(parts::penalty, [&](const Tensor& value) { return m.origin->options.regularizer(value); });
        if (const auto& constraint = m.variable.impl()->constraint) add(parts::constraint, constraint);
      }
  }

  void record_training() {
    const std::optional<detail::BatchForm> seen = trainer_.batch_form();
    if (!seen) {
      std::cerr << "tandem: the compiled model " << model_.name()
                << " has seen no batch yet; it is saved without its steps, and must be compiled again when "
                   "loaded\n";
      return;
    }
    const std::shared_ptr<const detail::Compiled> compiled = trainer_.compiled();
    archive_.metadata[parts::batch] =
        detail::form_text(Specs(std::vector<Specs>{seen->x, seen->y, seen->sample_weight}));
    if (compiled->options().optimizer || compiled->options().train_step)
      archive_.metadata[parts::train_results] = record_step(parts::train_step, *seen, true);
    archive_.metadata[parts::test_results] = record_step(parts::test_step, *seen, false);
    add_program(parts::reset_metrics, [&] {
      compiled->reset_metrics();
      return std::vector<Tensor>();
    });
    if (compiled->options().optimizer) record_optimizer(*compiled->options().optimizer);
  }

  /// The names of the results.
  std::string record_step(const char* name, const detail::BatchForm& form, bool training) {
    Inputs inputs;
    inputs.add(form.x, "x");
    inputs.add(form.y, "y");
    inputs.add(form.sample_weight, "sample_weight");
    std::vector<std::string> names;
    archive_.programs.push_back(recorder_.record(name, inputs, {}, [&](std::vector<Tensor> tensors) {
      Leaves leaves(std::move(tensors));
      Batch batch;
      batch.x = leaves.take(form.x);
      batch.y = leaves.take(form.y);
      batch.sample_weight = leaves.take(form.sample_weight);
      const detail::StepOutput output = detail::Trainer::step(model_, batch, training);
      std::vector<Tensor> results;
      for (const auto& [result, value] : output.results) {
        names.push_back(result);
        results.push_back(value);
      }
      if (output.loss) results.push_back(*output.loss);
      return results;
    }));
    archive_.programs.back().outputs = names;
    return detail::joined(names);
  }

  template <class F>
  void add_program(const char* name, const F& body) {
    archive_.programs.push_back(
        recorder_.record(name, {}, {}, [&](const std::vector<Tensor>&) { return body(); }));
  }

  void record_optimizer(const Optimizer& optimizer) {
    archive_.metadata[parts::optimizer_name] = optimizer.name();
    for (const auto& [name, variable] : optimizer.named_variables()) {
      archive_.variables.push_back({"optimizer/" + name, parts::optimizer, variable});
      if (variable.is(optimizer.iterations()))
        archive_.metadata[parts::optimizer_iterations] = archive_.variables.back().name;
      if (!optimizer.has_schedule() && variable.is(optimizer.learning_rate()))
        archive_.metadata[parts::optimizer_rate] = archive_.variables.back().name;
    }
    add_program(parts::learning_rate, [&] { return std::vector<Tensor>{optimizer.current_learning_rate()}; });
    add_program(parts::finish, [&] {
      optimizer.finalize_variable_values(model_.trainable_variables());
      return std::vector<Tensor>();
    });
  }

  const Model& model_;
  detail::Trainer& trainer_;
  const ModelSaveOptions& options_;
  Specs form_;
  Inputs inputs_;
  Recorder recorder_;
  onnx::Archive archive_;
};

}  // namespace

void save_model(const Model& model, const std::string& path, ModelSaveOptions options, Location where) {
  detail::at_line("save", where, [&] { Saver(model, options).save(path); });
}

}  // namespace tandem::nn
