#include "nn/callbacks/state.h"
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

Weights EarlyStopping::state() const {
  Weights state{{"wait", Tensor(wait_, DType::i64)}};
  if (stopped_epoch_) state["stopped_epoch"] = Tensor(*stopped_epoch_, DType::i64);
  if (best_epoch_) state["best_epoch"] = Tensor(*best_epoch_, DType::i64);
  if (best_) state["best"] = Tensor(*best_, DType::f64);
  for (size_t i = 0; i < best_weights_.size(); ++i) state["weights/" + std::to_string(i)] = best_weights_[i];
  return state;
}

void EarlyStopping::set_state(const Weights& state) {
  wait_ = detail::find_count(state, "wait").value_or(0);
  stopped_epoch_ = detail::find_count(state, "stopped_epoch");
  best_epoch_ = detail::find_count(state, "best_epoch");
  best_ = detail::find_number(state, "best");
  best_weights_.clear();
  const std::vector<Variable> variables = model().variables();
  for (auto found = state.find("weights/0"); found != state.end();
       found = state.find("weights/" + std::to_string(best_weights_.size()))) {
    const size_t i = best_weights_.size();
    const Tensor& value = found->second;
    TD_CHECK(i < variables.size() && value.dtype() == variables[i].dtype() &&
                 value.shape() == variables[i].value().shape(),
             ErrorCode::io, "the best weights are of another model");
    best_weights_.push_back(value);
  }
  TD_CHECK(best_weights_.empty() || best_weights_.size() == variables.size(), ErrorCode::io,
           "the best weights are {}; the model has {}", best_weights_.size(), variables.size());
}

void EarlyStopping::on_train_end(Logs&) {
  if (best_weights_.empty()) return;
  const std::vector<Variable> variables = model().variables();
  for (size_t i = 0; i < variables.size(); ++i) variables[i].assign(best_weights_[i]);
}

}  // namespace tandem::nn
