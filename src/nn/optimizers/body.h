#pragma once
// What an optimizer is behind its handle.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "nn/layer_call.h"
#include "tandem/nn/module.h"
#include "tandem/nn/optimizers.h"
#include "tandem/ops.h"

namespace tandem::nn::detail {

class OptimizerBody {
 public:
  virtual ~OptimizerBody() = default;
  virtual const std::string& name() const = 0;
  virtual void apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables) = 0;
  virtual void build(const std::vector<Variable>& variables) = 0;
  virtual const Variable& iterations() const = 0;
  virtual bool has_schedule() const = 0;
  /// Errors: the rate is a function.
  virtual const Variable& rate() const = 0;
  virtual Tensor current_rate() const = 0;
  virtual Tensor scale_loss(const Tensor& loss) const = 0;
  /// Whether scale_loss does anything.
  virtual bool scales_loss() const { return false; }
  virtual std::vector<std::pair<std::string, Variable>> named_variables() const = 0;
  virtual bool is_built() const = 0;
  virtual void exclude_from_decay(const std::vector<Variable>& variables,
                                  const std::vector<std::string>& names) = 0;
  virtual Variable average_of(const Variable& variable) const = 0;
  virtual void finalize(const std::vector<Variable>& variables) = 0;
};

/// What one update knows. Its numbers are float64 scalars, worked out when asked for, each at most once.
class Update {
 public:
  Update(const Variable& iterations, std::function<Tensor()> rate)
      : iterations_(iterations), rate_function_(std::move(rate)) {}

  /// The updates before this one, as float64.
  const Tensor& before();
  /// The number of this one, from 1.
  const Tensor& number();
  const Tensor& rate();

 private:
  const Variable& iterations_;
  std::function<Tensor()> rate_function_;
  Tensor before_, number_, rate_;
};

/// One variable's part of an update. All tensors have its dtype.
struct Change {
  Tensor value, gradient;
  std::span<const Variable> slots;
  std::span<const Tensor> numbers;  ///< of this update, for all variables
  double decay = 0;                 ///< for optimizers that decay weights themselves
};

/// Variables that belong to a variable, of its shape and dtype.
struct SlotKind {
  const char* name;
  std::function<Tensor(const Variable& of)> initial = {};  ///< default: zeros
};

enum class Decay { coupled, decoupled, own };

/// An optimizer that is a formula: what a kind adds is how one variable moves.
class FormulaOptimizer : public OptimizerBody {
 public:
  FormulaOptimizer(const char* kind, LearningRate rate, OptimizerOptions options, Decay decay,
                   Location where);

  const std::string& name() const final { return name_; }
  void apply(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables) final;
  void build(const std::vector<Variable>& variables) final;
  const Variable& iterations() const final { return iterations_; }
  bool has_schedule() const final { return !rate_.is_number(); }
  const Variable& rate() const final;
  Tensor current_rate() const final;
  Tensor scale_loss(const Tensor& loss) const final;
  bool scales_loss() const final { return options_.loss_scale_factor.has_value(); }
  std::vector<std::pair<std::string, Variable>> named_variables() const final;
  bool is_built() const final;
  void exclude_from_decay(const std::vector<Variable>& variables,
                          const std::vector<std::string>& names) final;
  Variable average_of(const Variable& variable) const final;
  void finalize(const std::vector<Variable>& variables) final;

 protected:
  /// The kinds of slots, in order. Asked when a variable is first seen.
  virtual std::vector<SlotKind> slots() const { return {}; }
  /// The numbers that all variables need, float64 scalars; called once an update.
  virtual std::vector<Tensor> numbers(Update& update) { return {update.rate()}; }
  /// A variable's next value. Assigns its slots.
  virtual Tensor move(const Change& change) = 0;
  /// A float64 scalar of the optimizer itself. For constructors.
  Variable scalar(const char* slot_name, double initial);

 private:
  struct Slots {
    Variable variable;
    std::vector<Variable> own;
    Variable average, accumulator;
    bool decays = true;
  };
  using Moves = std::vector<std::pair<Tensor, const Slots*>>;  // a gradient and whose it is

  Variable make(const std::string& name, const std::function<Tensor()>& initial) const;
  std::unique_ptr<Slots> make_slots(const Variable& variable) const;
  bool decays(const Variable& variable) const;
  void update(Moves moves);
  void limit(Moves& moves) const;
  void accumulate(const Moves& moves);

  std::string kind_, name_;
  std::shared_ptr<const void> name_registration_;
  OptimizerOptions options_;
  Decay decay_;
  Location where_;
  LearningRate rate_;
  Variable rate_variable_, iterations_, accumulated_;
  std::vector<std::pair<std::string, Variable>> scalars_;

  mutable std::mutex mutex_;                          // guards what follows
  std::map<uint64_t, std::unique_ptr<Slots>> slots_;  // by the variable's serial number
  std::vector<const Slots*> order_;
  std::set<uint64_t> warned_;
  std::vector<Variable> excluded_;
  std::vector<std::string> excluded_names_;
};

/// Errors: outside low to high; with `open` high itself too.
void check_range(const char* what, double value, double low, double high, bool open = false);

/// What `module` is trained by: the optimizer with a dynamic loss scale where a layer computes in float16 and
/// the optimizer does not scale losses already, else itself.
Optimizer with_loss_scale_for(const Module& module, const Optimizer& optimizer, Location where);

/// kept * slot + (1 - kept) * value, which the slot takes.
Tensor running_mean(const Variable& slot, double kept, const Tensor& value);

/// What `make` makes, as the constructor `name` called at `where`.
template <class F>
std::shared_ptr<OptimizerBody> make_body(std::string_view name, Location where, const F& make) {
  return at_line(name, where, make);
}

}  // namespace tandem::nn::detail
