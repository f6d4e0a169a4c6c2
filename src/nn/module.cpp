#include "tandem/nn/module.h"

#include <cxxabi.h>

#include <algorithm>
#include <set>

#include "core/check.h"
#include "core/named.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "ops/variable_impl.h"

namespace tandem::nn {

namespace detail {

std::string snake_case(const std::string& name) {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool upper = name[i] >= 'A' && name[i] <= 'Z';
    // A word begins at a capital that follows a small letter or comes before one.
    const bool after_small = i > 0 && name[i - 1] >= 'a' && name[i - 1] <= 'z';
    const bool before_small = i > 0 && i + 1 < name.size() && name[i + 1] >= 'a' && name[i + 1] <= 'z';
    if (upper && (after_small || before_small)) text += '_';
    text += upper ? static_cast<char>(name[i] - 'A' + 'a') : name[i];
  }
  return text;
}

std::string ModuleState::display_name() const { return name.empty() ? snake_case(class_name()) : name; }

std::string ModuleState::path() const {
  const std::shared_ptr<ModuleState> above = parent.lock();
  return above ? above->path() + '/' + display_name() : display_name();
}

void ModuleState::check_name(const std::string& member_name) const {
  TD_CHECK(!member_name.empty() && member_name.find('/') == std::string::npos,
           "a member of module {} is named \"{}\"; a name is not empty and has no slash", display_name(),
           member_name);
  for (const Member& m : members)
    TD_CHECK(m.name != member_name, "module {} has two members named {}", display_name(), member_name);
}

void ModuleState::add_module(const std::string& member_name, const std::shared_ptr<ModuleState>& module,
                             Location at) {
  const std::lock_guard<std::mutex> lock(mutex);
  tandem::detail::named("member", at, [&] { check_name(member_name); });
  members.push_back({member_name, module, {}, {}});
  if (!module->parent.expired()) return;  // shared: it keeps its first place
  module->parent = weak_from_this();
  module->name = member_name;
  module->rename_variables();
}

// What was made before the module got its place is called after it from now on.
void ModuleState::rename_variables() {
  for (const Member& m : members_now()) {
    if (m.module)
      m.module->rename_variables();
    else
      m.variable.impl()->name = path() + '/' + m.name;
  }
}

Variable ModuleState::parameter(const std::string& parameter_name, const Shape& shape,
                                const Initializer& initializer, const ParameterOptions& options,
                                Location at) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (const Member& m : members) {
    if (m.name != parameter_name || m.module) continue;
    TD_CHECK(m.variable.shape() == shape, "parameter {} has shape {} and is asked for with shape {}",
             parameter_name, m.variable.shape(), shape);
    return m.variable;
  }
  check_name(parameter_name);
  TD_CHECK(shape.is_static(), "parameter {} of shape {} would have a size that is unknown while tracing",
           parameter_name, shape);
  // As a callable: the value is made at once even where the first call is traced.
  const DType dtype = is_floating(options.dtype) ? variable_dtype(options.dtype) : options.dtype;
  const std::function<Tensor()> make = [&] { return initializer(shape, dtype); };
  // The path tells it from others of its model; two models may both have a "dense/kernel".
  Variable v(make,
             {.name = path() + '/' + parameter_name,
              .trainable = options.trainable,
              .constraint = options.constraint.function(),
              .unique_name = false},
             at);
  members.push_back({parameter_name, nullptr, v,
                     std::make_shared<const ParameterOrigin>(ParameterOrigin{initializer, options})});
  return v;
}

void ModuleState::add_variable(Member member) {
  const std::lock_guard<std::mutex> lock(mutex);
  members.push_back(std::move(member));
}

void ModuleState::remove_module(const std::shared_ptr<ModuleState>& module) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::erase_if(members, [&](const Member& m) { return m.module == module; });
  if (module->parent.lock().get() == this) module->parent.reset();
}

void ModuleState::note_call(const NestOf<Spec>& inputs, bool on_list, const Shape& output) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (has_output_shape.load(std::memory_order_relaxed)) return;
  const auto without_batch = [](Shape shape) {
    for (int64_t& d : shape) d = std::max<int64_t>(d, -1);
    if (shape.rank() > 0) shape[0] = -1;
    return shape;
  };
  output_shape = without_batch(output);
  input_specs = inputs.map([&](const Spec& s) { return Spec{s.dtype, without_batch(s.shape), s.device}; });
  called_on_list = on_list;
  has_output_shape.store(true, std::memory_order_release);
}

void ModuleState::note_description(const std::shared_ptr<const ValueNode>& call) {
  const std::lock_guard<std::mutex> lock(mutex);
  std::erase_if(calls, [](const auto& known) { return known.expired(); });
  calls.push_back(call);
}

namespace {

void visit(const std::shared_ptr<const ModuleState>& module, const std::string& path, bool trainable,
           std::set<const ModuleState*>& seen, std::vector<Visit>& found) {
  if (!seen.insert(module.get()).second) return;
  trainable = trainable && module->trainable.load(std::memory_order_relaxed);
  found.push_back({path, module, trainable});
  for (const ModuleState::Member& m : module->members_now())
    if (m.module) visit(m.module, path.empty() ? m.name : path + '/' + m.name, trainable, seen, found);
}

std::atomic<uint64_t> version{0};

/// Each variable once, in order; `f(visit, member)`.
template <class F>
void for_each_variable(const std::shared_ptr<ModuleState>& root, const F& f) {
  std::set<const void*> seen;
  for (const Visit& v : walk(root))
    for (const ModuleState::Member& m : v.module->members_now())
      if (!m.module && seen.insert(m.variable.impl().get()).second) f(v, m);
}

}  // namespace

std::vector<Visit> walk(const std::shared_ptr<const ModuleState>& root) {
  std::set<const ModuleState*> seen;
  std::vector<Visit> found;
  visit(root, "", true, seen, found);
  return found;
}

uint64_t next_module_serial() {
  static std::atomic<uint64_t> serials{1};
  return serials++;
}

uint64_t structure_version() { return version.load(std::memory_order_acquire); }
void note_structure_change() { version.fetch_add(1, std::memory_order_acq_rel); }

uint64_t structure_signature(const ModuleState& root) {
  uint64_t hash = 0;
  for (const Visit& v : walk(root.shared_from_this()))
    for (const uint64_t part : {v.module->serial, uint64_t{v.trainable}, uint64_t{v.module->policy.load()}})
      hash = (hash ^ part) * 0x9e3779b97f4a7c15 + (hash >> 29);
  return hash;
}

}  // namespace detail

Module::Module(std::string name) : state_(std::make_shared<detail::ModuleState>()) {
  state_->name = state_->given_name = std::move(name);
}

std::string Module::name() const { return state_->display_name(); }
std::string Module::path() const { return state_->path(); }

std::vector<std::pair<std::string, Variable>> Module::named_parameters() const {
  std::vector<std::pair<std::string, Variable>> result;
  detail::for_each_variable(state_, [&](const detail::Visit& v, const detail::ModuleState::Member& m) {
    result.emplace_back(v.path.empty() ? m.name : v.path + '/' + m.name, m.variable);
  });
  return result;
}

std::vector<Variable> Module::variables() const {
  std::vector<Variable> result;
  for (auto& [name, variable] : named_parameters()) result.push_back(std::move(variable));
  return result;
}

std::vector<Variable> Module::trainable_variables() const {
  std::vector<Variable> result;
  detail::for_each_variable(state_, [&](const detail::Visit& v, const detail::ModuleState::Member& m) {
    if (v.trainable && m.variable.trainable()) result.push_back(m.variable);
  });
  return result;
}

std::vector<Variable> Module::non_trainable_variables() const {
  std::vector<Variable> result;
  detail::for_each_variable(state_, [&](const detail::Visit& v, const detail::ModuleState::Member& m) {
    if (!v.trainable || !m.variable.trainable()) result.push_back(m.variable);
  });
  return result;
}

void Module::set_trainable(bool trainable) const {
  for (const detail::Visit& v : detail::walk(state_))
    const_cast<detail::ModuleState&>(*v.module).trainable.store(trainable, std::memory_order_relaxed);
  detail::note_structure_change();
}

bool Module::trainable() const { return state_->trainable.load(std::memory_order_relaxed); }

std::vector<Tensor> Module::regularization_losses(Location where) const {
  std::vector<Tensor> losses;
  detail::for_each_variable(state_, [&](const detail::Visit& v, const detail::ModuleState::Member& m) {
    const Regularizer& regularizer = m.origin->options.regularizer;
    if (regularizer.defined() && v.trainable && m.variable.trainable())
      losses.push_back(regularizer(m.variable.value(where), where));
  });
  return losses;
}

std::vector<Tensor> Module::losses(Location where) const {
  std::vector<Tensor> all = detail::recorded_losses(*state_);
  for (Tensor& penalty : regularization_losses(where)) all.push_back(std::move(penalty));
  return all;
}

std::vector<Tensor> Module::get_weights(Location where) const {
  std::vector<Tensor> values;
  for (const Variable& v : variables()) values.push_back(v.value(where));
  return values;
}

void Module::set_weights(const std::vector<Tensor>& values, Location where) const {
  const std::vector<std::pair<std::string, Variable>> parameters = named_parameters();
  std::vector<Tensor> converted;
  detail::in_call("set_weights", where, [&] {
    const auto name = [&](size_t i) { return fmt::format("\"{}\"", parameters[i].first); };
    TD_CHECK(values.size() >= parameters.size(),
             "{} tensors were given for {} variables; the first without one is {} of shape {}", values.size(),
             parameters.size(), name(values.size()), parameters[values.size()].second.shape());
    TD_CHECK(values.size() == parameters.size(),
             "{} tensors were given for {} variables; the first without a variable has shape {}",
             values.size(), parameters.size(), values[parameters.size()].shape());
    for (size_t i = 0; i < values.size(); ++i) {
      const Variable& v = parameters[i].second;
      TD_CHECK(values[i].defined() && values[i].shape() == v.shape(), "{} has shape {} and was given {}",
               name(i), v.shape(),
               values[i].defined() ? to_string(values[i].shape()) : "an empty tensor handle");
      const bool floats = is_floating(values[i].dtype()) && is_floating(v.dtype());
      TD_CHECK(values[i].dtype() == v.dtype() || floats, "{} has dtype {} and was given {}", name(i),
               v.dtype(), values[i].dtype());
      converted.push_back(values[i].to(v.dtype()));
    }
  });
  for (size_t i = 0; i < values.size(); ++i) parameters[i].second.assign(Operand(converted[i], where));
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const Variable& v : variables()) count += v.shape().element_count();
  return count;
}

Variable Module::parameter(const std::string& name, const Shape& shape, const Initializer& initializer,
                           ParameterOptions options, Location where) const {
  return tandem::detail::named("parameter", where,
                               [&] { return state_->parameter(name, shape, initializer, options, where); });
}

void Module::name_kind(const Module& module, const std::type_info& type) {
  if (!module.state_->kind.empty()) return;
  int status = 0;
  char* text = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string kind = text ? text : type.name();
  std::free(text);
  if (const size_t arguments = kind.find('<'); arguments != std::string::npos) kind.resize(arguments);
  if (const size_t scope = kind.rfind("::"); scope != std::string::npos) kind.erase(0, scope + 2);
  module.state_->kind = std::move(kind);
}

void Module::adopt(const std::string& name, const Module& module, const std::type_info& type,
                   Location where) {
  name_kind(module, type);
  state_->add_module(name, module.state_, where);
}

void Module::adopt(const std::string& name, const std::vector<Module>& modules, const std::type_info& type,
                   Location where) {
  auto list = std::make_shared<detail::ModuleState>();
  list->kind = "list";
  list->name = name;
  for (size_t i = 0; i < modules.size(); ++i) {
    name_kind(modules[i], type);
    list->add_module(std::to_string(i), modules[i].state_, where);
  }
  state_->add_module(name, list, where);
}

}  // namespace tandem::nn
