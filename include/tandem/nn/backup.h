#pragma once
// BackupAndRestore: training that survives being killed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "tandem/nn/callback.h"
#include "tandem/nn/checkpoint.h"

namespace tandem::nn {

/// Options of BackupAndRestore.
struct BackupOptions {
  /// Saves after every so many steps; by default after each epoch.
  std::optional<int64_t> save_freq = {};
  int64_t keep = 2;               ///< how many backups stay, the newest ones
  bool delete_checkpoint = true;  ///< when training has ended as it should
};

/// Saves the whole state of fit, and lets the next fit of the same program go on from there: with the same
/// bits as if nothing had happened, in either mode, whenever the process was killed. Give it last, behind the
/// callbacks whose state it saves.
///
///     model.fit(data, {.epochs = 100, .callbacks = {std::make_shared<nn::EarlyStopping>(),
///                                                   std::make_shared<nn::BackupAndRestore>("runs/first")}});
///
/// A backup that cannot be written is a warning, and the last good one stays; a damaged one is passed over.
/// Errors: a callback behind it; a backup of another model, optimizer or data set.
class BackupAndRestore : public Callback {
 public:
  explicit BackupAndRestore(std::string folder, BackupOptions options = {});

  void on_train_begin(Logs& logs) override;
  void on_epoch_begin(int64_t epoch, Logs& logs) override;
  void on_train_batch_end(int64_t batch, Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  void on_train_end(Logs& logs) override;

 private:
  /// Of the fit in progress.
  Checkpoint whole() const;
  void save();
  template <class F>
  void for_each_state(F f) const;

  CheckpointManager manager_;
  BackupOptions options_;
  FitPosition position_;           ///< what is saved, or was restored
  std::optional<Snapshot> again_;  ///< restored amid an epoch, and due once more when that begins
  int64_t steps_ = 0, saved_ = 0;  ///< done in all, and when the last backup was made
  int64_t batches_ = 0;            ///< of this epoch
};

}  // namespace tandem::nn
