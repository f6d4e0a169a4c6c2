#pragma once
// Ops whose attributes hold graphs: calls, branches, loops. They tell the tape how to go back through them.

#include <functional>
#include <memory>
#include <vector>

#include "ops/op_def.h"
#include "tandem/location.h"

namespace tandem {

namespace detail {
struct VariableImpl;
}

/// When a gradient arrives that not every run sends back: one of a branch.
class Arrival {
 public:
  virtual ~Arrival() = default;
  /// What `then` gives where it arrives, else what `otherwise` gives: the same number of tensors, of the same
  /// dtypes and ranks. Runs `then` first, then `otherwise`.
  virtual std::vector<Tensor> choose(const std::function<std::vector<Tensor>()>& then,
                                     const std::function<std::vector<Tensor>()>& otherwise,
                                     Location where) const = 0;
  /// When this or another one arrives.
  virtual std::shared_ptr<const Arrival> either(const Arrival& other) const = 0;
};

/// One step of a backward pass that adds its contributions itself, in the order in which eager code would add
/// them: a graph's backward takes each running sum as an input (law 3).
class Backward {
 public:
  virtual ~Backward() = default;
  /// `output_gradients`: one an output, undefined where none arrives. `sums`: one an input, then one a
  /// variable read; those not asked for are left alone, undefined ones are empty sums.
  virtual void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) = 0;
  /// After run: when something was added to sum `i`; null: always, or, if that sum is as it was, never.
  virtual std::shared_ptr<const Arrival> arrival(size_t) const { return nullptr; }
};

/// Base of what structured ops hold in their attributes.
class Structured {
 public:
  virtual ~Structured() = default;
  /// Trainable floating variables read inside, in order of first read.
  virtual std::vector<std::shared_ptr<detail::VariableImpl>> variables() const = 0;
  /// Whether running it again would do more than compute: random numbers, assignments, prints.
  virtual bool has_effects() const = 0;
  /// Applies the op through the current mode and keeps what the way back needs. `needed`: one flag an input,
  /// then one a variable.
  virtual std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs,
                                                    const std::vector<bool>& needed, Location where,
                                                    Tensors& outputs) = 0;
};

/// The attributes of every op with the trait has_bodies begin with this.
struct StructuredAttributes {
  std::shared_ptr<Structured> structured;
  static constexpr bool opaque = true;
  bool operator==(const StructuredAttributes&) const = default;
};

}  // namespace tandem
