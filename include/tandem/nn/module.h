#pragma once
// Module: what has parameters, and members that have parameters.

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "tandem/nn/constraint.h"
#include "tandem/nn/dtype_policy.h"
#include "tandem/nn/initializer.h"
#include "tandem/nn/regularizer.h"
#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::nn {

namespace detail {
struct ModuleState;
}

/// How a parameter is made.
struct ParameterOptions {
  bool trainable = true;
  DType dtype = DType::f32;
  /// A penalty that training adds to the loss.
  Regularizer regularizer = {};
  /// What optimizers make of each new value.
  Constraint constraint = {};
};

/// The base of models and layers that are written as classes. It is a handle: copies share members and
/// parameters.
///
///     struct Net : nn::Module {
///       nn::Dense hidden = member("hidden", nn::Dense(256, "relu"));
///       nn::Dense out = member("out", nn::Dense(10));
///       td::Tensor operator()(td::Tensor x) const { return out(hidden(x)); }
///     };
///     Net net;
///     td::Tensor y = net(x);             // "hidden/kernel" has its shape from here on
///     auto graph = td::function(net);
///     nn::Model model(net);              // compile, fit, evaluate, predict
class Module {
 public:
  /// `name` is what a model calls it in messages and summaries; the default comes from the class.
  explicit Module(std::string name = {});
  /// Shares members and parameters; see nn::clone for copies that do not.
  Module(const Module& other);
  Module(Module&& other) noexcept = default;
  Module& operator=(const Module& other) = default;
  Module& operator=(Module&& other) noexcept = default;
  ~Module() = default;

  /// The name it was given, or got in the module of which it first became a member.
  std::string name() const;
  /// Its place: the names from the outermost module down to it, "model/dense_1".
  std::string path() const;

  /// Every variable, each once: its own, then those of its members, in order, depth first.
  std::vector<Variable> variables() const;
  /// Those that gradients train: none in frozen modules.
  std::vector<Variable> trainable_variables() const;
  /// The others, in order.
  std::vector<Variable> non_trainable_variables() const;
  /// Freezes this module and all inside it, or trains them again. A frozen batch normalization uses its
  /// moving statistics in training too. Graphs of td::function that stand keep what they were traced with;
  /// those of models do not.
  void set_trainable(bool trainable) const;
  bool trainable() const;
  /// The dtypes of this module and all inside it, before their first call. Errors at that call: parameters
  /// that exist in another dtype.
  void set_dtype_policy(std::optional<DTypePolicy> policy) const;
  /// None: computes in the dtype of its inputs.
  std::optional<DTypePolicy> dtype_policy() const;
  /// The variables with their names from here on, "hidden/kernel".
  std::vector<std::pair<std::string, Variable>> named_parameters() const;
  /// The regularizers' penalties on the present values of the trainable variables that have one, each a
  /// scalar, in the order of the variables. losses() has them too.
  std::vector<Tensor> regularization_losses(Location where = here()) const;
  /// The values of all variables, in the order of variables().
  std::vector<Tensor> get_weights(Location where = here()) const;
  /// Gives all variables these values, in order; other floating dtypes are converted. Errors: another number
  /// of them, or another shape; then no variable has changed.
  void set_weights(const std::vector<Tensor>& values, Location where = here()) const;
  /// What this module and those inside added to the loss in the last outermost call on this thread, then the
  /// penalties of regularizers; scalars. Training adds them to the loss:
  /// `for (const td::Tensor& t : net.losses()) loss += t;`
  std::vector<Tensor> losses(Location where = here()) const;
  /// Number of elements in all variables. Layers have none before their first call.
  int64_t parameter_count() const;
  /// A table of the layers: names, types, output shapes, parameters. `std::cout << model.summary()`
  std::string summary() const;

  // For Tandem's own layers.
  const std::shared_ptr<detail::ModuleState>& state() const { return state_; }

 protected:
  explicit Module(std::shared_ptr<detail::ModuleState> state) : state_(std::move(state)) {}

  /// Registers a member under a name, and returns it. Errors: a name that is taken, empty or has a slash.
  template <std::derived_from<Module> M>
  M member(const std::string& name, M module, Location where = here()) {
    adopt(name, module, typeid(M), where);
    return module;
  }
  /// Registers a list of members as "name/0", "name/1" and so on.
  template <std::derived_from<Module> M>
  std::vector<M> member(const std::string& name, std::vector<M> modules, Location where = here()) {
    adopt(name, std::vector<Module>(modules.begin(), modules.end()), typeid(M), where);
    return modules;
  }
  /// The parameter of this name, made at the first call. For use in the class's own operator(), where the
  /// input's shape is known: `td::Variable scale = parameter("scale", {x.shape().back()}, "ones");` Errors:
  /// another shape than the first call's.
  Variable parameter(const std::string& name, const Shape& shape, const Initializer& initializer,
                     ParameterOptions options = {}, Location where = here()) const;

  /// Adds a term to what training minimizes, in the class's own operator(): `add_loss(0.1f *
  /// td::mean(td::square(x)));` Outermost calls of layers and models begin anew; where the class is called by
  /// itself, the next loss from the same line takes the last one's place. Errors: an undefined tensor.
  void add_loss(const Tensor& loss, Location where = here()) const;

  static void name_kind(const Module& module, const std::type_info& type);

 private:
  void adopt(const std::string& name, const Module& module, const std::type_info& type, Location where);
  void adopt(const std::string& name, const std::vector<Module>& modules, const std::type_info& type,
             Location where);

  std::shared_ptr<detail::ModuleState> state_;
};

}  // namespace tandem::nn
