#pragma once
// Callback: what is called while a model trains, evaluates or predicts.

#include <cstdint>
#include <optional>

#include "tandem/data/safetensors.h"
#include "tandem/nn/logs.h"
#include "tandem/nn/model.h"

namespace tandem::nn {

/// What a loop is about to do.
struct LoopInfo {
  int64_t epochs = 1;         ///< of fit
  int64_t initial_epoch = 0;  ///< of fit
  int64_t steps = -1;         ///< batches an epoch, or in all; -1 where nobody knows
  bool validates = false;     ///< whether fit has validation data
};

/// Where a fit stands between two batches: all that its loop knows, beside the model, the optimizer and
/// td::random's generator.
struct FitPosition {
  int64_t epoch = 0;            ///< the one in progress, or the next
  int64_t batch = 0;            ///< how many of its batches are done
  std::vector<int64_t> data;    ///< where the next batch comes from
  std::vector<Tensor> metrics;  ///< the sums behind the results of the epoch so far
  History history;
  Logs logs;  ///< the results of the epoch so far
};

/// A base for classes that follow a loop. Override what is of interest, and give it in the options of fit,
/// evaluate or predict:
///
///     struct Printer : nn::Callback {
///       void on_epoch_end(int64_t epoch, nn::Logs& logs) override {
///         std::cout << epoch << ": " << logs << '\n';
///         if (logs["loss"] < 0.1) model().stop_training();
///       }
///     };
///     model.fit(x, y, {.epochs = 100, .callbacks = {std::make_shared<Printer>()}});
///
/// Logs are empty at begins; they hold loss and metrics at the end of a batch, the val_ ones too at the end
/// of an epoch. What a callback adds to them, later callbacks and the history see. Epochs and batches are
/// counted from 0; with steps_per_execution the batch is the first of its group at begins, the last at ends.
/// An exception ends the loop at once.
class Callback {
 public:
  virtual ~Callback();

  virtual void on_train_begin(Logs& logs);
  virtual void on_train_end(Logs& logs);
  virtual void on_epoch_begin(int64_t epoch, Logs& logs);
  virtual void on_epoch_end(int64_t epoch, Logs& logs);
  virtual void on_train_batch_begin(int64_t batch, Logs& logs);
  virtual void on_train_batch_end(int64_t batch, Logs& logs);
  /// Evaluation, by itself or as validation inside fit.
  virtual void on_test_begin(Logs& logs);
  virtual void on_test_end(Logs& logs);
  virtual void on_test_batch_begin(int64_t batch, Logs& logs);
  virtual void on_test_batch_end(int64_t batch, Logs& logs);
  virtual void on_predict_begin(Logs& logs);
  virtual void on_predict_end(Logs& logs);
  virtual void on_predict_batch_begin(int64_t batch, Logs& logs);
  /// `logs.outputs()` is what the model gave.
  virtual void on_predict_batch_end(int64_t batch, Logs& logs);

  /// The model at work. Errors: outside of a loop that has begun.
  const Model& model() const;
  const LoopInfo& info() const { return info_; }
  /// Where the fit in progress stands. In on_train_batch_end and on_epoch_end. Errors: elsewhere.
  FitPosition position() const;
  /// Lets the fit that begins go on from a position. In on_train_begin, after the model, the optimizer and
  /// the generator have their values of then; the fit has the same options and data. Errors: elsewhere.
  void resume(FitPosition position) const;

  /// What it must not forget when training goes on in another process, as tensors by name. Errors: none.
  virtual Weights state() const;
  /// Takes it back, after on_train_begin.
  virtual void set_state(const Weights& state);

  // Called by the loops, before their begin.
  void attach(const Model& model, const LoopInfo& info);

 private:
  std::optional<Model> model_;
  LoopInfo info_;
};

}  // namespace tandem::nn
