#pragma once
// Checkpoints: the whole state of a training in one file, so that it goes on as if it had never stopped.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tandem/data/dataset.h"
#include "tandem/data/safetensors.h"
#include "tandem/nn/module.h"
#include "tandem/nn/optimizer.h"

namespace tandem::nn {

/// What a checkpoint file holds.
struct Snapshot {
  Weights tensors;
  WeightsMetadata texts;

  /// Errors (io): it has nothing of this name.
  const Tensor& tensor(const std::string& name) const;
  const std::string& text(const std::string& name) const;
};

/// Everything that a training loop of one's own must not forget. Files are safetensors, with a checksum;
/// their content does not depend on the mode that trained.
///
///     int64_t epoch = 0;
///     nn::Checkpoint all;
///     all.add("model", model).add("optimizer", optimizer).add("generator", td::random::generator());
///     all.add("data", iterator).add("epoch", epoch);
///     all.save("run.safetensors");
///     all.restore("run.safetensors");     // in another process, too
///
/// What is added by reference must outlive it. Names must be unique and without slashes.
class Checkpoint {
 public:
  using NamedVariables = std::vector<std::pair<std::string, Variable>>;

  /// The variables of a module: "model/hidden/kernel".
  Checkpoint& add(const std::string& name, const Module& module);
  /// An optimizer's state: "optimizer/adam/iterations".
  Checkpoint& add(const std::string& name, const Optimizer& optimizer);
  Checkpoint& add(const std::string& name, const Variable& variable);
  /// The place in a data set.
  Checkpoint& add(const std::string& name, data::Iterator& iterator);
  Checkpoint& add(const std::string& name, int64_t& number);
  /// Variables that are listed when they are needed.
  Checkpoint& add_variables(const std::string& name, std::function<NamedVariables()> list);
  /// Anything else: `write` puts it into a snapshot, under names that begin with `name` and a slash; `read`
  /// takes it back, before any variable changes.
  Checkpoint& add_values(const std::string& name, std::function<void(Snapshot&)> write,
                         std::function<void(const Snapshot&)> read);

  /// Writes the file: aside, then moved into place. Errors (io): it cannot be written; the old one stays.
  void save(const std::string& path) const;
  /// Errors: as apply; (io): unreadable or damaged. Then nothing has changed.
  void restore(const std::string& path) const;

  /// The present state.
  Snapshot capture() const;
  /// Errors: a variable that the snapshot lacks, another dtype or shape, tensors that nothing here takes.
  void apply(const Snapshot& snapshot) const;
  /// Whether the snapshot has exactly what is here: a model that was never called has no variables yet.
  bool fits(const Snapshot& snapshot) const;

 private:
  struct Part {
    std::string name;
    std::function<NamedVariables()> variables;
    std::function<void(Snapshot&)> write;
    std::function<void(const Snapshot&)> read;
  };
  Checkpoint& add_part(Part part);
  /// Why the snapshot does not fit; empty if it does.
  std::string mismatch(const Snapshot& snapshot) const;

  std::vector<Part> parts_;
};

/// Writes a snapshot as a safetensors file whose metadata have a checksum of all. Errors (io): as
/// td::save_weights.
void save_snapshot(const Snapshot& snapshot, const std::string& path);
/// Reads one. Errors (io): unreadable, damaged, without a checksum.
Snapshot load_snapshot(const std::string& path);

/// Options of CheckpointManager.
struct CheckpointManagerOptions {
  int64_t keep = 3;                 ///< how many files stay, the newest ones
  std::string name = "checkpoint";  ///< what file names begin with
};

/// The last few checkpoints in a folder: "checkpoint-00000100.safetensors" is that of step 100.
///
///     nn::CheckpointManager manager("runs/first", {.keep = 3});
///     const int64_t begin = manager.restore_latest(all).value_or(0);
///     for (int64_t step = begin; step < 1000; ++step) {
///       train(step);
///       if ((step + 1) % 100 == 0) manager.save(all, step + 1);
///     }
///
/// One process at a time may write to a folder.
class CheckpointManager {
 public:
  /// Makes the folder, and removes what a killed process left half written. Errors: nothing to keep; (io): no
  /// such folder can be made.
  explicit CheckpointManager(std::string folder, CheckpointManagerOptions options = {});

  /// Writes the checkpoint of a step, then removes the oldest. Gives its path. Errors (io): the disk is full,
  /// and the like; then those before are still there.
  std::string save(const Checkpoint& checkpoint, int64_t step) const;
  std::string save(const Snapshot& snapshot, int64_t step) const;
  /// Restores the newest one that is whole, and gives its step; none where there are no files. Damaged ones
  /// are named on standard error. Errors: those of apply; (io): all that are there are damaged.
  std::optional<int64_t> restore_latest(const Checkpoint& checkpoint) const;
  /// The newest one that is whole, with its step. Errors as restore_latest.
  std::optional<std::pair<int64_t, Snapshot>> latest() const;
  /// Oldest first.
  std::vector<std::string> paths() const;
  /// Removes all.
  void clear() const;

  /// Where a step's checkpoint stands.
  std::string path_of(int64_t step) const;

 private:
  std::vector<std::pair<int64_t, std::string>> files() const;

  std::string folder_;
  CheckpointManagerOptions options_;
};

}  // namespace tandem::nn
