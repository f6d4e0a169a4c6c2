#include "tandem/nn/callback.h"

#include "core/check.h"
#include "nn/training/trainer.h"

namespace tandem::nn {

Callback::~Callback() = default;
void Callback::on_train_begin(Logs&) {}
void Callback::on_train_end(Logs&) {}
void Callback::on_epoch_begin(int64_t, Logs&) {}
void Callback::on_epoch_end(int64_t, Logs&) {}
void Callback::on_train_batch_begin(int64_t, Logs&) {}
void Callback::on_train_batch_end(int64_t, Logs&) {}
void Callback::on_test_begin(Logs&) {}
void Callback::on_test_end(Logs&) {}
void Callback::on_test_batch_begin(int64_t, Logs&) {}
void Callback::on_test_batch_end(int64_t, Logs&) {}
void Callback::on_predict_begin(Logs&) {}
void Callback::on_predict_end(Logs&) {}
void Callback::on_predict_batch_begin(int64_t, Logs&) {}
void Callback::on_predict_batch_end(int64_t, Logs&) {}

Weights Callback::state() const { return {}; }
void Callback::set_state(const Weights&) {}

const Model& Callback::model() const {
  TD_CHECK(model_.has_value(),
           "the callback has no model yet; it gets one when fit, evaluate or predict begin");
  return *model_;
}

FitPosition Callback::position() const {
  detail::RunningFit* fit = model().trainer()->running_fit;
  TD_CHECK(fit != nullptr, "no fit is in progress");
  return fit->position();
}

void Callback::resume(FitPosition position) const {
  detail::RunningFit* fit = model().trainer()->running_fit;
  TD_CHECK(fit != nullptr, "no fit is in progress");
  fit->resume(std::move(position));
}

void Callback::attach(const Model& model, const LoopInfo& info) {
  model_ = model;
  info_ = info;
}

}  // namespace tandem::nn
