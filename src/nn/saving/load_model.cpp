// A model made of graphs from a file.

#include <algorithm>

#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "nn/optimizers/body.h"
#include "nn/saving/restored_body.h"
#include "nn/training/trainer.h"
#include "ops/variable_impl.h"
#include "tandem/nn/model.h"
#include "tandem/ops/random.h"

namespace tandem::nn {

namespace {

namespace parts = detail::parts;
using detail::Restored;
using detail::RestoredBody;
using onnx::Program;

struct RestoredModel : Model {
  RestoredModel(std::string name, Location where, std::shared_ptr<detail::LayerBody> body)
      : Model("Model", std::move(name), where, std::move(body)) {}
};

/// The optimizer of saved steps: its state can be seen and set, but only these steps make updates.
class RestoredOptimizer final : public detail::OptimizerBody {
 public:
  explicit RestoredOptimizer(const Restored& from)
      : name_(from.needed(parts::optimizer_name)),
        iterations_(from.variable(from.needed(parts::optimizer_iterations))),
        current_rate_(from.program(parts::learning_rate)),
        finish_(from.program(parts::finish)) {
    if (const std::string* rate = from.text(parts::optimizer_rate)) rate_ = from.variable(*rate);
    constexpr std::string_view prefix = "optimizer/";
    for (const onnx::ArchivedVariable& v : from.archive.variables)
      if (v.role == parts::optimizer)
        variables_.emplace_back(v.name.starts_with(prefix) ? v.name.substr(prefix.size()) : v.name,
                                v.variable);
    TD_CHECK(current_rate_.defined() && current_rate_.inputs().empty() &&
                 current_rate_.outputs().size() == 1 && finish_.defined() && finish_.inputs().empty(),
             ErrorCode::io, "{}: parts of the optimizer are missing", from.path);
  }

  const std::string& name() const override { return name_; }
  void apply(const std::vector<Tensor>&, const std::vector<Variable>&) override { refuse(); }
  void build(const std::vector<Variable>&) override {}
  const Variable& iterations() const override { return iterations_; }
  bool has_schedule() const override { return !rate_.defined(); }
  const Variable& rate() const override {
    TD_CHECK(rate_.defined(), "the learning rate of optimizer {} is a function; it has no variable", name_);
    return rate_;
  }
  Tensor current_rate() const override { return current_rate_.run({})[0]; }
  Tensor scale_loss(const Tensor&) const override { refuse(); }
  std::vector<std::pair<std::string, Variable>> named_variables() const override { return variables_; }
  bool is_built() const override { return true; }
  void exclude_from_decay(const std::vector<Variable>&, const std::vector<std::string>&) override {
    refuse();
  }
  Variable average_of(const Variable&) const override { refuse(); }
  void finalize(const std::vector<Variable>&) override { finish_.run({}); }

 private:
  [[noreturn]] void refuse() const {
    fail(
        "the optimizer {} was loaded with a model and is part of its saved step; compile the model with "
        "another to "
        "train otherwise",
        name_);
  }

  std::string name_;
  Variable iterations_, rate_;
  Program current_rate_, finish_;
  std::vector<std::pair<std::string, Variable>> variables_;
};

/// A saved step of training or evaluation.
class RestoredStep {
 public:
  RestoredStep(const Restored& from, const char* program, const char* results)
      : program_(from.program(program)), names_(detail::split_names(from.needed(results))) {
    TD_CHECK(program_.defined() && program_.outputs().size() >= names_.size() &&
                 program_.outputs().size() <= names_.size() + 1,
             ErrorCode::io, "{}: the program \"{}\" is missing or gives other results", from.path, program);
    form_ = from.form(parts::batch, program_.inputs().size());
    TD_CHECK(form_.is_list() && form_.size() == 3, ErrorCode::io, "{}: a batch is {}", from.path,
             form_.form());
  }

  detail::BatchForm batch_form() const {
    const NestOf<Spec> specs = form_.map([&](int i) {
      const ModelValue& v = program_.inputs()[static_cast<size_t>(i)];
      return Spec{v.dtype, v.shape, {}};
    });
    return {specs[size_t{0}], specs[size_t{1}], specs[size_t{2}]};
  }

  StepResults operator()(const Batch& batch) const {
    std::vector<Tensor> inputs;
    const auto add = [&](const Nest& given, const detail::Form& expected, const char* what) {
      const std::vector<Tensor> leaves = given.flatten();
      TD_CHECK(leaves.size() == expected.flatten().size(), "{} is {}; the saved step takes {}", what,
               given.form(), expected.form());
      for (const Tensor& t : leaves) {
        const ModelValue& v = program_.inputs()[inputs.size()];
        TD_CHECK(t.defined() && t.dtype() == v.dtype && (!v.has_shape || t.rank() == v.shape.rank()),
                 "{} is {}; the saved step takes {}", what,
                 t.defined() ? fmt::format("{}{}", t.dtype(), t.shape()) : "an empty tensor handle",
                 v.to_string());
        inputs.push_back(t);
      }
    };
    add(batch.x, form_[size_t{0}], "x");
    add(batch.y, form_[size_t{1}], "y");
    add(batch.sample_weight, form_[size_t{2}], "sample_weight");
    const std::vector<Tensor> found = program_.run(inputs);
    StepResults results;
    for (size_t i = 0; i < names_.size(); ++i) results.emplace_back(names_[i], found[i]);
    if (found.size() > names_.size()) detail::Trainer::note_loss(found.back());
    return results;
  }

 private:
  Program program_;
  std::vector<std::string> names_;
  detail::Form form_;
};

bool same_variables(const std::vector<Variable>& a, const std::vector<Variable>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Variable& x, const Variable& y) { return x.is(y); });
}

void compile(const Model& model, const Restored& from, Location where) {
  CompileOptions options;
  if (from.text(parts::optimizer_name)) {
    struct Handle : Optimizer {
      explicit Handle(std::shared_ptr<detail::OptimizerBody> body) : Optimizer(std::move(body)) {}
    };
    options.optimizer = Handle(std::make_shared<RestoredOptimizer>(from));
  }
  if (from.text(parts::train_results)) {
    const RestoredStep step(from, parts::train_step, parts::train_results);
    options.train_step = [step, trained = model.trainable_variables()](const Model& m, const Batch& batch) {
      TD_CHECK(same_variables(m.trainable_variables(), trained),
               "other variables train than when the model was saved; compile it anew");
      return step(batch);
    };
  }
  const RestoredStep test(from, parts::test_step, parts::test_results);
  options.test_step = [test](const Model&, const Batch& batch) { return test(batch); };
  const Program reset = from.program(parts::reset_metrics);
  TD_CHECK(reset.defined() && reset.inputs().empty(), ErrorCode::io, "{}: the program \"{}\" is missing",
           from.path, parts::reset_metrics);
  options.reset_metrics = [reset] { reset.run({}); };
  model.compile(std::move(options), where);
  model.trainer()->set_batch_form(test.batch_form());
}

/// A program of one tensor in and out; none if there is none.
std::function<Tensor(const Tensor&)> function_of_value(const Restored& from, const std::string& name) {
  const Program program = from.program(name);
  if (!program.defined()) return {};
  TD_CHECK(program.inputs().size() == 1 && program.outputs().size() == 1, ErrorCode::io,
           "{}: the program \"{}\" is not of one tensor", from.path, name);
  return [program](const Tensor& value) { return program.run({value})[0]; };
}

constexpr std::ptrdiff_t deepest_module = 64;

/// Modules and variables under their old names.
void build_tree(const std::shared_ptr<detail::ModuleState>& root, const Restored& from, Location where) {
  std::map<std::string, std::shared_ptr<detail::ModuleState>> modules{{"", root}};
  const auto module = [&](const auto& self,
                          const std::string& path) -> const std::shared_ptr<detail::ModuleState>& {
    std::shared_ptr<detail::ModuleState>& made = modules[path];
    if (made) return made;
    const size_t slash = path.rfind('/');
    const std::shared_ptr<detail::ModuleState> above =
        self(self, slash == std::string::npos ? "" : path.substr(0, slash));
    auto state = std::make_shared<detail::ModuleState>();
    state->where = where;
    above->add_module(slash == std::string::npos ? path : path.substr(slash + 1), state, where);
    return modules[path] = state;
  };
  for (const onnx::ArchivedVariable& v : from.archive.variables) {
    if (v.role != parts::trainable && v.role != parts::fixed) continue;
    TD_CHECK(std::count(v.name.begin(), v.name.end(), '/') <= deepest_module, ErrorCode::io,
             "{}: the variable \"{}...\" stands in more than {} modules", from.path, v.name.substr(0, 60),
             deepest_module);
    const size_t slash = v.name.rfind('/');
    ParameterOptions options{.trainable = v.variable.trainable(), .dtype = v.variable.dtype()};
    if (const auto penalty = function_of_value(from, parts::penalty + v.name))
      options.regularizer = Regularizer(penalty);
    v.variable.impl()->constraint = function_of_value(from, parts::constraint + v.name);
    const auto origin =
        std::make_shared<const detail::ParameterOrigin>(detail::ParameterOrigin{"zeros", std::move(options)});
    const auto& owner = module(module, slash == std::string::npos ? "" : v.name.substr(0, slash));
    owner->members.push_back(
        {slash == std::string::npos ? v.name : v.name.substr(slash + 1), nullptr, v.variable, origin});
  }
  constexpr std::string_view frozen = " frozen";
  for (const auto& [key, value] : from.archive.metadata) {
    if (!key.starts_with(parts::module)) continue;
    const auto found = modules.find(key.substr(std::string_view(parts::module).size()));
    if (found == modules.end() || !found->second) continue;
    const bool trains = !value.ends_with(frozen);
    found->second->kind =
        detail::unescaped(std::string_view(value).substr(0, value.size() - (trains ? 0 : frozen.size())));
    found->second->trainable = trains;
  }
}

}  // namespace

Model load_model(const std::string& path, ModelLoadOptions options, Location where) {
  return detail::at_line("load_model", where, [&] {
    std::optional<Tensor> generator;
    Restored from{
        path,
        onnx::read_archive(path, [&](const std::string& name, const std::string& role, const Tensor& value) {
          if (role == parts::generator) {
            const Variable& own = random::generator();
            TD_CHECK(value.dtype() == own.dtype() && value.shape() == own.shape(), ErrorCode::io,
                     "{}: the random generator is {}{}", path, value.dtype(), value.shape());
            generator = value;
            return own;
          }
          return Variable(value, {.name = name, .trainable = role == parts::trainable, .unique_name = false});
        })};
    auto body = std::make_shared<RestoredBody>(from);
    const std::string* name = from.text(parts::name);
    const RestoredModel model(name ? *name : "", where, body);
    build_tree(model.state(), from, where);
    if (options.compile && from.text(parts::test_results)) compile(model, from, where);
    if (options.random_state && generator) random::generator().assign(*generator);
    return Model(model);
  });
}

}  // namespace tandem::nn
