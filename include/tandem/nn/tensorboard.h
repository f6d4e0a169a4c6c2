#pragma once
// TensorBoard: a callback that writes down a training for the program of that name.

#include <map>
#include <optional>
#include <string>

#include "tandem/nn/callback.h"
#include "tandem/summary.h"

namespace tandem::nn {

/// When TensorBoard writes the results of batches: "epoch" for never, "batch" for each, or a number for every
/// so many. Errors: other words, a number below 1.
class UpdateFrequency {
 public:
  UpdateFrequency(const char* word, Location where = here());
  UpdateFrequency(int batches, Location where = here());
  /// Batches between two; 0: never.
  int64_t batches() const { return batches_; }

 private:
  int64_t batches_ = 0;
};

/// What TensorBoard writes of a run, where and how often.
struct TensorBoardOptions {
  /// Runs go into its folders "train" and "validation".
  std::string log_dir = "logs";
  /// Writes histograms of the weights after every so many epochs; 0: never.
  int64_t histogram_freq = 0;
  /// Writes the graph of the training step, of models that train as graphs.
  bool write_graph = true;
  /// Writes how many batches a second an epoch did.
  bool write_steps_per_second = false;
  UpdateFrequency update_freq = "epoch";
};

/// Writes curves of every result of every epoch ("epoch_loss", and the learning rate), for training and
/// validation; those of batches ("batch_loss") as update_freq says; those of evaluations over the number of
/// updates ("evaluation_loss_vs_iterations"); histograms of the weights and the graph as the options say.
///
///     model.fit(x, y, {.callbacks = {std::make_shared<nn::TensorBoard>(nn::TensorBoardOptions{.log_dir =
///     "runs/first", .update_freq = 100})}});
///
/// then `tensorboard --logdir runs`. Once a file cannot be written, as on a full disk, it says so and writes
/// no more; training goes on. Errors (io): a file that cannot be made at the begin.
class TensorBoard : public Callback {
 public:
  explicit TensorBoard(TensorBoardOptions options = {});
  void on_train_begin(Logs& logs) override;
  void on_epoch_begin(int64_t epoch, Logs& logs) override;
  void on_train_batch_end(int64_t batch, Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  void on_test_end(Logs& logs) override;
  void on_train_end(Logs& logs) override;

 private:
  /// Of "train" or "validation", made when first needed.
  const summary::Writer& writer(const std::string& run);
  /// Calls `f`, which writes; not any more after it has failed.
  template <class F>
  void guarded(F f);
  void write_epoch(int64_t epoch, const Logs& logs);

  TensorBoardOptions options_;
  std::map<std::string, summary::Writer> writers_;
  bool graph_written_ = false, failed_ = false;
  int64_t batches_before_epoch_ = 0, batches_ = 0;
  double epoch_began_ = 0;
};

}  // namespace tandem::nn
