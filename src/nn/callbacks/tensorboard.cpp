#include "tandem/nn/tensorboard.h"

#include <chrono>
#include <iostream>
#include <string_view>

#include "core/check.h"
#include "nn/training/trainer.h"

namespace tandem::nn {

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr std::string_view validation_prefix = "val_";

}  // namespace

UpdateFrequency::UpdateFrequency(const char* word, Location where) {
  const std::string_view given = word;
  if (given == "batch") batches_ = 1;
  if (given == "batch" || given == "epoch") return;
  Error e(ErrorCode::invalid_argument,
          fmt::format("the update frequency \"{}\" is not known; known: epoch, batch, or a number", given));
  e.set_origin("TensorBoard", where);
  throw e;
}

UpdateFrequency::UpdateFrequency(int batches, Location where) : batches_(batches) {
  if (batches > 0) return;
  Error e(ErrorCode::invalid_argument,
          fmt::format("the update frequency is {} batches; expected 1 or more", batches));
  e.set_origin("TensorBoard", where);
  throw e;
}

TensorBoard::TensorBoard(TensorBoardOptions options) : options_(std::move(options)) {}

const summary::Writer& TensorBoard::writer(const std::string& run) {
  const auto found = writers_.find(run);
  if (found != writers_.end()) return found->second;
  return writers_.emplace(run, summary::Writer(options_.log_dir + '/' + run)).first->second;
}

template <class F>
void TensorBoard::guarded(F f) {
  if (failed_) return;
  try {
    f();
  } catch (const Error& e) {
    if (e.code() != ErrorCode::io) throw;
    failed_ = true;
    std::cerr << "tandem: no more curves for TensorBoard: " << e.message() << "; training goes on\n";
  }
}

void TensorBoard::on_train_begin(Logs&) {
  failed_ = false;
  writer("train");
}

void TensorBoard::on_epoch_begin(int64_t, Logs&) {
  batches_before_epoch_ = batches_;
  epoch_began_ = seconds();
}

void TensorBoard::on_train_batch_end(int64_t batch, Logs& logs) {
  const int64_t before = batches_;
  batches_ = batches_before_epoch_ + batch + 1;  // a call may stand for several
  guarded([&] {
    if (options_.write_graph && !graph_written_ && model().trainer()->write_training_graph(writer("train")))
      graph_written_ = true;
    const int64_t every = options_.update_freq.batches();
    if (every == 0 || before / every == batches_ / every) return;
    for (const auto& [name, value] : logs.entries()) writer("train").scalar("batch_" + name, value, batches_);
  });
}

void TensorBoard::on_epoch_end(int64_t epoch, Logs& logs) {
  guarded([&] { write_epoch(epoch, logs); });
}

void TensorBoard::write_epoch(int64_t epoch, const Logs& logs) {
  for (const auto& [name, value] : logs.entries())
    if (name.starts_with(validation_prefix))
      writer("validation").scalar("epoch_" + name.substr(validation_prefix.size()), value, epoch);
    else
      writer("train").scalar("epoch_" + name, value, epoch);
  const summary::Writer& train = writer("train");
  const auto& optimizer = model().trainer()->compiled()->options().optimizer;
  if (optimizer && !logs.contains("learning_rate"))
    train.scalar("epoch_learning_rate", optimizer->current_learning_rate(), epoch);
  if (options_.write_steps_per_second)
    train.scalar("epoch_steps_per_second",
                 static_cast<double>(batches_ - batches_before_epoch_) / (seconds() - epoch_began_), epoch);
  if (options_.histogram_freq > 0 && epoch % options_.histogram_freq == 0)
    for (const auto& [name, variable] : model().named_parameters())
      train.histogram(name + "/histogram", variable.value(), epoch);
}

void TensorBoard::on_test_end(Logs& logs) {
  const auto& optimizer = model().trainer()->compiled()->options().optimizer;
  if (!optimizer) return;
  const auto updates = optimizer->iterations().value().item<int64_t>();
  guarded([&] {
    for (const auto& [name, value] : logs.entries())
      writer("validation").scalar("evaluation_" + name + "_vs_iterations", value, updates);
  });
}

void TensorBoard::on_train_end(Logs&) {
  guarded([&] {
    for (const auto& [run, writer] : writers_) writer.flush();
  });
}

}  // namespace tandem::nn
