#pragma once
// The callbacks that come with Tandem, by Keras's names.

#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tandem/nn/callback.h"

namespace tandem::nn {

/// Which way a monitored result gets better. Automatic: up for accuracy, auc, precision, recall, f1 and their
/// like, down for all others.
enum class MonitorMode { automatic, min, max };

namespace detail {

/// Compares a result with the best so far.
class Monitor {
 public:
  Monitor(std::string name, MonitorMode mode, double min_delta);
  const std::string& name() const { return name_; }
  /// The result in these logs; none where it is missing, which is said once on standard error.
  std::optional<double> find(const Logs& logs, const char* who);
  /// Whether `value` is better than `than` by more than min_delta.
  bool improves(double value, std::optional<double> than) const;
  void forget_warning() { warned_ = false; }

 private:
  std::string name_;
  bool up_;
  double min_delta_;
  bool warned_ = false;
};

}  // namespace detail

/// What ends training early, and what then stays.
struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  double min_delta = 0;  ///< smaller changes are none
  int64_t patience = 0;  ///< epochs without getting better before training ends
  MonitorMode mode = MonitorMode::automatic;
  /// Epochs count as better only when they also beat this.
  std::optional<double> baseline = {};
  /// Gives the model the weights of its best epoch when training ends.
  bool restore_best_weights = false;
  int64_t start_from_epoch = 0;  ///< epochs before it are not looked at
};

/// Ends training when a result stops getting better.
/// `std::make_shared<nn::EarlyStopping>(nn::EarlyStoppingOptions{.patience = 3})`
class EarlyStopping : public Callback {
 public:
  explicit EarlyStopping(EarlyStoppingOptions options = {});
  void on_train_begin(Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  void on_train_end(Logs& logs) override;
  Weights state() const override;
  void set_state(const Weights& state) override;
  /// The epoch that ended training, where this callback did.
  std::optional<int64_t> stopped_epoch() const { return stopped_epoch_; }
  std::optional<int64_t> best_epoch() const { return best_epoch_; }
  std::optional<double> best() const { return best_; }

 private:
  EarlyStoppingOptions options_;
  detail::Monitor monitor_;
  int64_t wait_ = 0;
  std::optional<int64_t> stopped_epoch_, best_epoch_;
  std::optional<double> best_;
  std::vector<Tensor> best_weights_;
};

/// When the learning rate falls, and how far.
struct ReduceLROnPlateauOptions {
  std::string monitor = "val_loss";
  double factor = 0.1;
  int64_t patience = 10;
  MonitorMode mode = MonitorMode::automatic;
  double min_delta = 1e-4;
  int64_t cooldown = 0;  ///< epochs to wait after a change
  double min_lr = 0;
};

/// Multiplies the learning rate by a factor when a result stops getting better. Adds "learning_rate" to the
/// logs of epochs. Errors: a factor of 1 or more; an optimizer whose rate follows a schedule.
class ReduceLROnPlateau : public Callback {
 public:
  explicit ReduceLROnPlateau(ReduceLROnPlateauOptions options = {}, Location where = here());
  void on_train_begin(Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  Weights state() const override;
  void set_state(const Weights& state) override;

 private:
  ReduceLROnPlateauOptions options_;
  detail::Monitor monitor_;
  std::optional<double> best_;
  int64_t wait_ = 0, cooling_ = 0;
};

/// Sets the learning rate at the begin of each epoch to what a function of the epoch and the present rate
/// says. Adds "learning_rate" to the logs of epochs. Errors: an optimizer whose rate follows a schedule.
class LearningRateScheduler : public Callback {
 public:
  using Schedule = std::function<double(int64_t epoch, double rate)>;
  explicit LearningRateScheduler(Schedule schedule) : schedule_(std::move(schedule)) {}
  void on_train_begin(Logs& logs) override;
  void on_epoch_begin(int64_t epoch, Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;

 private:
  Schedule schedule_;
};

/// How CSVLogger writes its file.
struct CSVLoggerOptions {
  char separator = ',';
  bool append = false;  ///< go on in a file that exists
};

/// Writes the results of each epoch as a line of a CSV file, "NA" where there is none. The first epoch's
/// results are the columns. A line that cannot be written, as on a full disk, is left out with a warning.
/// Errors (io): a file that cannot be opened.
class CSVLogger : public Callback {
 public:
  explicit CSVLogger(std::string path, CSVLoggerOptions options = {});
  void on_train_begin(Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  void on_train_end(Logs& logs) override;

 private:
  void write(const std::string& lines, int64_t epoch);

  std::string path_;
  CSVLoggerOptions options_;
  std::ofstream file_;
  std::uintmax_t size_ = 0;  ///< of the file, up to its last whole line
  std::vector<std::string> columns_;
  bool has_header_ = false;
};

/// How a loss that is not finite ends training.
struct TerminateOnNaNOptions {
  bool raise_error = false;  ///< an error that names the batch, rather than a quiet end
};

/// Ends training at the first batch whose loss is not finite. Without it fit ends with an error then, unless
/// FitOptions::stop_on_nan is off.
class TerminateOnNaN : public Callback {
 public:
  explicit TerminateOnNaN(TerminateOnNaNOptions options = {}) : options_(options) {}
  void on_train_batch_end(int64_t batch, Logs& logs) override;

 private:
  TerminateOnNaNOptions options_;
};

/// What ModelCheckpoint saves, when, and how often.
struct ModelCheckpointOptions {
  std::string monitor = "val_loss";
  bool save_best_only = false;
  MonitorMode mode = MonitorMode::automatic;
  /// Saves every so many batches, rather than after each epoch.
  std::optional<int64_t> save_every_batches = {};
  /// What a result must beat to be the first best one.
  std::optional<double> initial_value_threshold = {};
  /// What writes the file; default: the weights, as td::save_weights.
  std::function<void(const Model& model, const std::string& path)> save = {};
};

/// Saves the model while it trains. The path may name the epoch (from 1), the batch (from 1) and results:
/// `nn::ModelCheckpoint("runs/{epoch:02d}-{val_loss:.3f}.safetensors")`. Folders are made.
/// A file that cannot be written, as on a full disk, is a warning: training goes on, and the file of before
/// stays. Errors: a path that names another result (which says which there are).
class ModelCheckpoint : public Callback {
 public:
  explicit ModelCheckpoint(std::string path, ModelCheckpointOptions options = {});
  void on_train_begin(Logs& logs) override;
  void on_epoch_begin(int64_t epoch, Logs& logs) override;
  void on_train_batch_end(int64_t batch, Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  Weights state() const override;
  void set_state(const Weights& state) override;
  std::optional<double> best() const { return best_; }

 private:
  void save(int64_t epoch, int64_t batch, const Logs& logs);
  void write(const std::string& path) const;

  std::string path_;
  ModelCheckpointOptions options_;
  detail::Monitor monitor_;
  std::optional<double> best_;
  int64_t epoch_ = 0, last_batch_ = -1, batches_since_ = 0;
};

/// A callback made of functions.
///
///     auto c = std::make_shared<nn::LambdaCallback>();
///     c->epoch_end = [](int64_t epoch, nn::Logs& logs) { std::cout << epoch << ' ' << logs << '\n'; };
class LambdaCallback : public Callback {
 public:
  std::function<void(Logs&logs)> train_begin, train_end;
  std::function<void(int64_t epoch, Logs&logs)> epoch_begin, epoch_end;
  std::function<void(int64_t batch, Logs&logs)> train_batch_begin, train_batch_end;

  void on_train_begin(Logs& logs) override;
  void on_train_end(Logs& logs) override;
  void on_epoch_begin(int64_t epoch, Logs& logs) override;
  void on_epoch_end(int64_t epoch, Logs& logs) override;
  void on_train_batch_begin(int64_t batch, Logs& logs) override;
  void on_train_batch_end(int64_t batch, Logs& logs) override;
};

}  // namespace tandem::nn
