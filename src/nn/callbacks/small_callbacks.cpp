// TerminateOnNaN, LambdaCallback.

#include <cmath>

#include "core/check.h"
#include "tandem/nn/callbacks.h"

namespace tandem::nn {

void TerminateOnNaN::on_train_batch_end(int64_t batch, Logs& logs) {
  const double* loss = logs.find("loss");
  if (loss == nullptr || std::isfinite(*loss)) return;
  TD_CHECK(!options_.raise_error, "the loss is {} at batch {}", *loss, batch);
  model().stop_training();
}

void LambdaCallback::on_train_begin(Logs& logs) {
  if (train_begin) train_begin(logs);
}
void LambdaCallback::on_train_end(Logs& logs) {
  if (train_end) train_end(logs);
}
void LambdaCallback::on_epoch_begin(int64_t epoch, Logs& logs) {
  if (epoch_begin) epoch_begin(epoch, logs);
}
void LambdaCallback::on_epoch_end(int64_t epoch, Logs& logs) {
  if (epoch_end) epoch_end(epoch, logs);
}
void LambdaCallback::on_train_batch_begin(int64_t batch, Logs& logs) {
  if (train_batch_begin) train_batch_begin(batch, logs);
}
void LambdaCallback::on_train_batch_end(int64_t batch, Logs& logs) {
  if (train_batch_end) train_batch_end(batch, logs);
}

}  // namespace tandem::nn
