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
  /// One gradient a source, into `result`.
  void gradients(std::span<const Tensor> targets, std::span<const GradientSource> sources,
                 const GradientOptions& options, Location where, std::span<Tensor> result);
  /// As gradients(), with a weight for each target and added onto running sums (undefined ones are empty).
  std::vector<Tensor> gradients_onto(std::span<const Tensor> targets, std::span<const Tensor> weights,
                                     std::span<const GradientSource> sources, std::span<const Tensor> sums);
  /// One way back for each element of the target; see GradientTape::jacobian.
  Tensor jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                  Location where);
  /// See GradientTape::batch_jacobian.
  Tensor batch_jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                        Location where);
  /// An empty list with the memory that keep_source_list() was given last.
  std::vector<GradientSource> empty_source_list();
  void keep_source_list(std::vector<GradientSource> list);
  void start();
  void stop();
  bool recording() const { return recording_; }
  void reset();
  std::vector<Variable> watched_variables() const;

  // A training step makes a tape: its memory comes from the tensors' cache of blocks.
  static void* operator new(size_t bytes);
  static void operator delete(void* tape) noexcept;

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
    std::vector<GradientSource> source_list;
    /// What one way back needs, by id.
    struct WayBack {
      std::vector<int> source_ids;
      std::vector<bool> relevant;
      std::vector<Tensor> sums;
      /// When something arrives at each sum; null: always. Empty as long as all are.
      std::vector<std::shared_ptr<const Arrival>> arrivals;
      /// A gradient that always arrives.
      void add(int id, const Tensor& gradient);
      void clear();
    } way_back;
    void clear();
  };
  using WayBack = Recording::WayBack;
  /// A WayBack for one call of gradients(), with the memory of the last one.
  class BorrowedWayBack;
  friend struct RecordingPool;

  void check_unused() const;
  void track_variable(const std::shared_ptr<detail::VariableImpl>& variable);
  void apply_structured(const OpDef& op, const void* attributes, Operands operands, Location where,
                        Tensors& outputs);
  void pass_on(const OpDef& op, const void* attributes, Operands operands, Location where, Tensors& outputs);
  void go_back(size_t index, WayBack& way);
  void go_back_structured(Backward& backward, std::span<const Tensor> output_gradients,
                          std::span<const int> places, WayBack& way);
  /// The id of what the sources depend on or that depends on them; else -1.
  int relevant_id(const void* key, const WayBack& way) const;
  /// Calls use(id, spec) for each sum that a record adds to.
  template <class F>
  void for_each_receiver(const Record& record, const WayBack& way, F&& use) const;
  /// When anything reaches a record; null: always, or never.
  std::shared_ptr<const Arrival> arrival_at(size_t index, const WayBack& way) const;
  /// Goes back through record `last` and those before it that nothing else reaches, all under the same
  /// condition. Returns the first of them.
  size_t go_back_where(const std::shared_ptr<const Arrival>& arrival, size_t last, WayBack& way);
  size_t first_reached_only_where(const std::shared_ptr<const Arrival>& arrival, size_t last,
                                  const WayBack& way) const;
  void forget_record(size_t index, WayBack& way);
  void find_way_back(std::span<const GradientSource> sources, WayBack& way) const;
  void go_back_over_all(WayBack& way);

  TapeOptions options_;
  std::unique_ptr<Recording> recording_data_;
  bool recording_ = false;
  bool used_ = false;
};

}  // namespace tandem
