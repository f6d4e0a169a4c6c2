#include "tandem/nn/callbacks.h"

namespace tandem::nn {

EarlyStopping::EarlyStopping(EarlyStoppingOptions options)
    : options_(std::move(options)), monitor_(options_.monitor, options_.mode, options_.min_delta) {}

void EarlyStopping::on_train_begin(Logs&) {
  wait_ = 0;
  stopped_epoch_.reset();
  best_epoch_.reset();
  best_.reset();
  best_weights_.clear();
  monitor_.forget_warning();
}

void EarlyStopping::on_epoch_end(int64_t epoch, Logs& logs) {
  if (epoch < options_.start_from_epoch) return;
  const std::optional<double> current = monitor_.find(logs, "EarlyStopping");
  if (!current) return;
  const bool better = monitor_.improves(*current, best_);
  if (better) {
    best_ = current;
    best_epoch_ = epoch;
    if (options_.restore_best_weights) {
      best_weights_.clear();
      for (const Variable& v : model().variables()) best_weights_.push_back(v);
    }
  }
  ++wait_;
  if (better && (!options_.baseline || monitor_.improves(*current, options_.baseline))) {
    wait_ = 0;
    return;
  }
  if (wait_ >= options_.patience && epoch > 0) {
    stopped_epoch_ = epoch;
    model().stop_training();
  }
}

void EarlyStopping::on_train_end(Logs&) {
  if (best_weights_.empty()) return;
  const std::vector<Variable> variables = model().variables();
  for (size_t i = 0; i < variables.size(); ++i) variables[i].assign(best_weights_[i]);
}

}  // namespace tandem::nn
