#pragma once
// What the copies of a Module share.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tandem/nest.h"
#include "tandem/nn/module.h"

namespace tandem::nn::detail {

class LayerBody;
struct ValueNode;

/// What a parameter was made from.
struct ParameterOrigin {
  Initializer initializer;
  ParameterOptions options;
};

/// Modules are numbered in the order in which they were made.
uint64_t next_module_serial();
/// The code of the policy that modules get.
uint16_t default_policy();

struct ModuleState : std::enable_shared_from_this<ModuleState> {
  /// A parameter, or a module.
  struct Member {
    std::string name;
    std::shared_ptr<ModuleState> module;
    Variable variable;
    std::shared_ptr<const ParameterOrigin> origin;  ///< of the variable
  };

  const uint64_t serial = next_module_serial();
  std::string kind;        ///< the class's name; empty while nobody knows it
  std::string given_name;  ///< by the user
  std::string name;        ///< that, or the name in the first module that took this one; empty before
  Location where;          ///< the line that made it
  std::weak_ptr<ModuleState> parent;
  std::vector<Member> members;
  std::weak_ptr<LayerBody> body;  ///< of a layer
  std::atomic<bool> trainable = true;
  std::atomic<uint16_t> policy = default_policy();  ///< a DTypePolicy's code; 0: none
  /// The penalty of each result, which is divided by the batch's size and added to the loss; layers set it
  /// from their options.
  std::function<Tensor(const Tensor&)> activity_regularizer;
  mutable std::mutex mutex;  ///< guards members after construction: two threads may make the first call

  std::atomic<bool> has_output_shape = false;  ///< set last, after the first call
  Shape output_shape;
  NestOf<Spec> input_specs;  ///< of the first call; unknown sizes, as the batch, are -1
  bool called_on_list = false;
  std::vector<std::weak_ptr<const ValueNode>> calls;  ///< on Values, in order

  /// The name, or the class's in snake_case.
  std::string display_name() const;
  std::string path() const;
  std::string class_name() const { return kind.empty() ? "Module" : kind; }
  /// Takes out a member; its variables keep their names until another module takes it.
  void remove_module(const std::shared_ptr<ModuleState>& module);
  void add_module(const std::string& member_name, const std::shared_ptr<ModuleState>& module, Location where);
  /// A parameter of a known shape, made at most once.
  Variable parameter(const std::string& parameter_name, const Shape& shape, const Initializer& initializer,
                     const ParameterOptions& options, Location where);
  /// Another name for a variable that stands elsewhere.
  void add_variable(Member member);
  /// The dtype to compute in, for layers that convert for themselves: the policy's, else the input's.
  DType compute_dtype(const Tensor& x) const;
  /// The dtype of a floating parameter.
  DType variable_dtype(DType asked) const;
  /// Remembers what the first call took and gave; the batch is unknown.
  void note_call(const NestOf<Spec>& inputs, bool on_list, const Shape& output);
  /// After the layers inside changed.
  void forget_call() { has_output_shape = false; }
  void note_description(const std::shared_ptr<const ValueNode>& call);
  std::vector<Member> members_now() const {
    const std::lock_guard<std::mutex> lock(mutex);
    return members;
  }

 private:
  void check_name(const std::string& member_name) const;
  void rename_variables();
};

/// Every module once, depth first, with its path from `root`; the root's own is "".
struct Visit {
  std::string path;
  std::shared_ptr<const ModuleState> module;
  bool trainable;  ///< and so is every module around it
};
std::vector<Visit> walk(const std::shared_ptr<const ModuleState>& root);

/// Rises whenever a module is frozen or thawed, or a model's layers change: graphs made before may be stale.
uint64_t structure_version();
void note_structure_change();
/// Tells the states of a module apart that need other graphs: its layers, which are frozen, their dtypes.
uint64_t structure_signature(const ModuleState& root);

/// Keeps a term of the loss for Module::losses(). `replaces`: in place of the one that the same line gave.
void record_loss(const ModuleState& owner, const Tensor& loss, bool replaces, Location where);
/// Forgets what this thread's last calls recorded for a module and those inside.
void forget_losses(const ModuleState& root);
/// In the order in which they were recorded.
std::vector<Tensor> recorded_losses(const ModuleState& root);

/// "LayerNormalization" as "layer_normalization".
std::string snake_case(const std::string& name);

}  // namespace tandem::nn::detail
