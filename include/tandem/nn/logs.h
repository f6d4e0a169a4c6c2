#pragma once
// Logs: named results, and History, the results of a fit.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "tandem/nest.h"

namespace tandem::nn {

/// Named results in order: "loss", then the metrics as they were named. `logs["accuracy"]`
class Logs {
 public:
  using Entries = std::vector<std::pair<std::string, double>>;

  /// Errors: no result of this name.
  double operator[](const std::string& name) const;
  bool contains(const std::string& name) const { return find(name) != nullptr; }
  /// Null where there is no such result.
  const double* find(const std::string& name) const;
  const Entries& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  /// Replaces the result of this name, or adds it at the end.
  void set(const std::string& name, double value);
  void clear();

  /// What the model gave for a batch, at the end of a batch of predict; else an empty list.
  const Nest& outputs() const { return outputs_; }
  void set_outputs(Nest outputs) { outputs_ = std::move(outputs); }

 private:
  Entries entries_;
  Nest outputs_;
};

/// `loss: 0.4212 - accuracy: 0.8731`.
std::ostream& operator<<(std::ostream& out, const Logs& logs);

/// What fit has seen.
struct History {
  /// One an epoch that was run, with "val_loss" and so on where there was validation.
  std::vector<Logs> epochs;
  /// The numbers of these epochs, from FitOptions::initial_epoch on.
  std::vector<int64_t> epoch_numbers;
  /// The loss of every step, before its update.
  std::vector<float> step_losses;
  /// One result over the epochs that have it. Errors: no epoch has a result of this name.
  std::vector<double> operator[](const std::string& name) const;
};

}  // namespace tandem::nn
