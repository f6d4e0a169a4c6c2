#pragma once
// The Mode behind a GradientTape: it records what it sees and hands on to the mode below.

#include <memory>
#include <vector>

#include "ops/dispatch.h"
#include "ops/structured.h"
#include "ops/variable_impl.h"
#include "tandem/tape.h"

namespace tandem {

/// Ids of tracked tensors and variables, by address. Open addressing; emptied without giving memory back.
class TrackedIds {
 public:
  /// -1 when unknown.
  int find(const void* key) const;
  /// The id of `key`, new if need be.
  int add(const void* key);
  int size() const { return count_; }
  void clear();

 private:
  void grow();
  static size_t hash(const void* key) {
    return (reinterpret_cast<uintptr_t>(key) >> 6) * 0x9e3779b97f4a7c15ull;
  }

  struct Slot {
    const void* key = nullptr;
    int id = 0;
  };
  std::vector<Slot> slots_;
  int count_ = 0;
};

class TapeMode final : public Mode {
 public:
  explicit TapeMode(TapeOptions options);
  ~TapeMode() override;

  void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
             Tensors& outputs) override;

  void watch(const GradientSource& source);
  std::vector<Tensor> gradients(std::span<const Tensor> targets, std::span<const GradientSource> sources,
                                const GradientOptions& options, Location where);
  /// As gradients(), with a weight for each target and added onto running sums (undefined ones are empty).
  std::vector<Tensor> gradients_onto(std::span<const Tensor> targets, std::span<const Tensor> weights,
                                     std::span<const GradientSource> sources, std::span<const Tensor> sums);
  /// One way back for each element of the target; see GradientTape::jacobian.
  Tensor jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                  Location where);
  /// See GradientTape::batch_jacobian.
  Tensor batch_jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                        Location where);
  void start();
  void stop();
  bool recording() const { return recording_; }
  void reset();
  std::vector<Variable> watched_variables() const;

 private:
  class ManyGradients;
  struct Record {
    const OpDef* op = nullptr;
    AttributeBox attributes;
    SmallVector<Tensor, 3> inputs;
    SmallVector<Tensor, 1> outputs;
    std::unique_ptr<Backward> backward;  // structured ops; then `variables` follow the inputs
    std::vector<std::shared_ptr<detail::VariableImpl>> variables;
    Location where;
  };
  /// Everything a tape gathers; kept per thread for the next tape, so that steady-state steps need no heap.
  struct Recording {
    std::vector<Record> records;
    TrackedIds ids;
    std::vector<Tensor> watched;  // keeps their addresses from being used again
    std::vector<std::shared_ptr<detail::VariableImpl>> variables;
    void clear();
  };
  friend struct RecordingPool;

  void check_unused() const;
  void track_variable(const std::shared_ptr<detail::VariableImpl>& variable);
  void apply_structured(const OpDef& op, const void* attributes, Operands operands, Location where,
                        Tensors& outputs);
  void pass_on(const OpDef& op, const void* attributes, Operands operands, Location where, Tensors& outputs);
  void go_back(size_t index, const std::vector<bool>& relevant, std::vector<Tensor>& sums);
  std::vector<int> ids_of(std::span<const GradientSource> sources) const;
  void go_back_over_all(std::span<const int> source_ids, const std::vector<bool>& relevant,
                        std::vector<Tensor>& sums);
  std::vector<bool> relevant_ids(std::span<const int> sources, size_t records) const;

  TapeOptions options_;
  std::unique_ptr<Recording> recording_data_;
  bool recording_ = false;
  bool used_ = false;
};

}  // namespace tandem
