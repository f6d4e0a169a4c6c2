#include <fmt/args.h>

#include <filesystem>
#include <iostream>

#include "core/check.h"
#include "nn/callbacks/state.h"
#include "tandem/nn/callbacks.h"
#include "tandem/nn/weights.h"

namespace tandem::nn {

ModelCheckpoint::ModelCheckpoint(std::string path, ModelCheckpointOptions options)
    : path_(std::move(path)),
      options_(std::move(options)),
      monitor_(options_.monitor, options_.mode, 0),
      best_(options_.initial_value_threshold) {}

void ModelCheckpoint::on_train_begin(Logs&) {
  batches_since_ = 0;
  monitor_.forget_warning();
}

void ModelCheckpoint::on_epoch_begin(int64_t epoch, Logs&) {
  epoch_ = epoch;
  last_batch_ = -1;
}

void ModelCheckpoint::on_train_batch_end(int64_t batch, Logs& logs) {
  // With steps_per_execution a call stands for several batches.
  batches_since_ += batch - std::exchange(last_batch_, batch);
  if (!options_.save_every_batches || batches_since_ < *options_.save_every_batches) return;
  batches_since_ = 0;
  save(epoch_, batch, logs);
}

void ModelCheckpoint::on_epoch_end(int64_t epoch, Logs& logs) {
  if (!options_.save_every_batches) save(epoch, last_batch_, logs);
}

Weights ModelCheckpoint::state() const {
  Weights state{{"last_batch", Tensor(last_batch_, DType::i64)},
                {"batches_since", Tensor(batches_since_, DType::i64)}};
  if (best_) state["best"] = Tensor(*best_, DType::f64);
  return state;
}

void ModelCheckpoint::set_state(const Weights& state) {
  last_batch_ = detail::count_in(state, "last_batch");
  batches_since_ = detail::count_in(state, "batches_since");
  if (const auto best = detail::find_number(state, "best")) best_ = best;
}

void ModelCheckpoint::save(int64_t epoch, int64_t batch, const Logs& logs) {
  std::optional<double> current = best_;
  if (options_.save_best_only) {
    current = monitor_.find(logs, "ModelCheckpoint");
    if (!current || !monitor_.improves(*current, best_)) return;
  }
  fmt::dynamic_format_arg_store<fmt::format_context> values;
  values.push_back(fmt::arg("epoch", epoch + 1));
  values.push_back(fmt::arg("batch", batch + 1));
  std::string names = "epoch, batch";
  for (const auto& [name, value] : logs.entries()) {
    values.push_back(fmt::arg(name.c_str(), value));
    names += ", " + name;
  }
  std::string path;
  try {
    path = fmt::vformat(path_, values);
  } catch (const fmt::format_error& e) {
    fail("the path \"{}\" of ModelCheckpoint cannot be filled in: {}; there are: {}", path_, e.what(), names);
  }
  // A full disk is no reason to lose what was learned since the last file.
  try {
    write(path);
    best_ = current;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::io) throw;
    std::cerr << "tandem: no checkpoint in epoch " << epoch + 1 << ": " << e.message()
              << "; training goes on\n";
  }
}

void ModelCheckpoint::write(const std::string& path) const {
  if (const auto folder = std::filesystem::path(path).parent_path(); !folder.empty()) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    TD_CHECK(!error, ErrorCode::io, "the folder {} cannot be made: {}", folder.string(), error.message());
  }
  if (options_.save)
    options_.save(model(), path);
  else
    save_weights(model(), path);
}

}  // namespace tandem::nn
