#include "tandem/nn/backup.h"

#include <cstdlib>
#include <iostream>
#include <sstream>

#include "core/check.h"
#include "nn/callbacks/state.h"
#include "nn/training/trainer.h"
#include "tandem/ops/random.h"

namespace tandem::nn {

namespace {

/// Histories as text: a line an epoch, "3<tab>loss<tab>0x1.8p-1<tab>...". Hexadecimal numbers keep every bit.
std::string text_of(int64_t number, const Logs& logs) {
  std::string text = std::to_string(number);
  for (const auto& [name, value] : logs.entries()) text += fmt::format("\t{}\t{:a}", name, value);
  return text + '\n';
}

std::string text_of(const History& history) {
  std::string text;
  for (size_t i = 0; i < history.epochs.size(); ++i)
    text += text_of(history.epoch_numbers[i], history.epochs[i]);
  return text;
}

void read_text(const std::string& text, History& history) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string number, name, value;
    std::getline(fields, number, '\t');
    history.epoch_numbers.push_back(std::atoll(number.c_str()));
    Logs& logs = history.epochs.emplace_back();
    while (std::getline(fields, name, '\t') && std::getline(fields, value, '\t'))
      logs.set(name, std::strtod(value.c_str(), nullptr));
  }
}

}  // namespace

BackupAndRestore::BackupAndRestore(std::string folder, BackupOptions options)
    : manager_(std::move(folder), {.keep = options.keep, .name = "backup"}), options_(options) {
  TD_CHECK(!options_.save_freq || *options_.save_freq > 0,
           "a backup every {} steps was asked for; expected 1 or more", *options_.save_freq);
}

template <class F>
void BackupAndRestore::for_each_state(F f) const {
  const auto& callbacks = model().trainer()->running_fit->callbacks();
  for (size_t i = 0; i < callbacks.size(); ++i) f(fmt::format("fit/callbacks/{}/", i), *callbacks[i]);
}

Checkpoint BackupAndRestore::whole() const {
  auto* self = const_cast<BackupAndRestore*>(this);
  Checkpoint all;
  all.add("model", model());
  if (const auto& optimizer = model().trainer()->compiled()->options().optimizer)
    all.add("optimizer", *optimizer);
  all.add("generator", random::generator());
  all.add("epoch", self->position_.epoch).add("batch", self->position_.batch).add("steps", self->steps_);
  all.add_values(
      "fit",
      [this](Snapshot& s) {
        s.tensors["fit/data"] = from_range(position_.data);
        s.tensors["fit/step_losses"] = from_range(position_.history.step_losses);
        s.tensors["fit/stopped"] = Tensor(model().trainer()->stop_training.load());
        for (size_t i = 0; i < position_.metrics.size(); ++i)
          s.tensors[fmt::format("fit/metrics/{}", i)] = position_.metrics[i];
        s.texts["fit/history"] = text_of(position_.history);
        s.texts["fit/logs"] = text_of(position_.epoch, position_.logs);
        for_each_state([&](const std::string& name, Callback& callback) {
          for (const auto& [inner, value] : callback.state()) s.tensors[name + inner] = value;
        });
      },
      [self](const Snapshot& s) {
        FitPosition& p = self->position_;
        // Read before; numbers that no training reaches would overflow.
        for (const int64_t number : {p.epoch, p.batch, self->steps_})
          TD_CHECK(number >= 0 && number <= detail::most_steps, ErrorCode::io,
                   "the backup stands at epoch {}, batch {} and step {}, which cannot be", p.epoch, p.batch,
                   self->steps_);
        p.data = s.tensor("fit/data").to_vector<int64_t>();
        p.history = {};
        p.history.step_losses = s.tensor("fit/step_losses").to_vector<float>();
        read_text(s.text("fit/history"), p.history);
        History now;
        read_text(s.text("fit/logs"), now);
        TD_CHECK(!now.epochs.empty(), ErrorCode::io, "the backup has no results");
        p.logs = now.epochs[0];
        p.metrics.clear();
        for (size_t i = 0; s.tensors.contains(fmt::format("fit/metrics/{}", i)); ++i)
          p.metrics.push_back(s.tensor(fmt::format("fit/metrics/{}", i)));
        self->for_each_state([&](const std::string& name, Callback& callback) {
          Weights state;
          for (const auto& [full, value] : s.tensors)
            if (full.starts_with(name)) state[full.substr(name.size())] = value;
          if (!state.empty()) callback.set_state(state);
        });
        if (s.tensor("fit/stopped").item<bool>()) self->model().stop_training();
      });
  return all;
}

void BackupAndRestore::on_train_begin(Logs&) {
  detail::RunningFit& fit = *model().trainer()->running_fit;
  TD_CHECK(
      fit.callbacks().back().get() == this,
      "BackupAndRestore stands before other callbacks; give it last, so that it saves what they have done");
  position_ = {};
  again_.reset();
  steps_ = saved_ = batches_ = 0;
  const auto found = manager_.latest();
  if (!found) return;
  const Snapshot& snapshot = found->second;
  // A step that builds what had no variables yet; everything that it changes is overwritten.
  if (!whole().fits(snapshot)) fit.build();
  try {
    whole().apply(snapshot);
  } catch (Error& e) {
    e.add_context("in " + manager_.path_of(found->first));
    throw;
  }
  saved_ = steps_;
  batches_ = position_.batch;
  if (position_.batch > 0) again_ = snapshot;
  resume(position_);
}

// Amid an epoch: the callbacks that began it again just now did so before the state was saved, too.
void BackupAndRestore::on_epoch_begin(int64_t, Logs&) {
  if (again_)
    whole().apply(*std::exchange(again_, std::nullopt));
  else
    batches_ = 0;
}

void BackupAndRestore::on_train_batch_end(int64_t batch, Logs& logs) {
  steps_ += batch + 1 - batches_;
  batches_ = batch + 1;
  // Whoever stops training does so before the next batch: the epoch's end belongs to that.
  if (options_.save_freq && steps_ - saved_ >= *options_.save_freq && !model().trainer()->stop_training) {
    position_ = position();
    position_.logs = logs;
    save();
  }
}

void BackupAndRestore::on_epoch_end(int64_t, Logs& logs) {
  if (options_.save_freq) return;
  position_ = position();
  // What other callbacks have added is not there yet.
  if (!position_.history.epochs.empty()) position_.history.epochs.back() = logs;
  save();
}

void BackupAndRestore::on_train_end(Logs&) {
  if (options_.delete_checkpoint) manager_.clear();
}

void BackupAndRestore::save() {
  saved_ = steps_;
  try {
    manager_.save(whole(), steps_);
  } catch (const Error& e) {
    if (e.code() != ErrorCode::io) throw;
    std::cerr << "tandem: no backup at step " << steps_ << ": " << e.message() << "; training goes on\n";
  }
}

}  // namespace tandem::nn
