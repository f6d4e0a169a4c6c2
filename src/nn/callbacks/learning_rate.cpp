// Callbacks that change the learning rate.

#include <algorithm>

#include "core/check.h"
#include "nn/callbacks/state.h"
#include "nn/layer_call.h"
#include "tandem/nn/callbacks.h"

namespace tandem::nn {

namespace {

double rate_of(const Model& model) { return model.optimizer().learning_rate().value().item<double>(); }

void refuse_schedule(const Model& model, const char* who) {
  TD_CHECK(!model.optimizer().has_schedule(), "{} sets the learning rate, and that of {} follows a schedule",
           who, model.optimizer().name());
}

}  // namespace

ReduceLROnPlateau::ReduceLROnPlateau(ReduceLROnPlateauOptions options, Location where)
    : options_(std::move(options)), monitor_(options_.monitor, options_.mode, options_.min_delta) {
  detail::in_call("reduce_lr_on_plateau", where, [&] {
    TD_CHECK(options_.factor < 1, "the factor is {}; expected less than 1", options_.factor);
  });
}

void ReduceLROnPlateau::on_train_begin(Logs&) {
  refuse_schedule(model(), "ReduceLROnPlateau");
  best_.reset();
  wait_ = cooling_ = 0;
  monitor_.forget_warning();
}

void ReduceLROnPlateau::on_epoch_end(int64_t, Logs& logs) {
  logs.set("learning_rate", rate_of(model()));
  const std::optional<double> current = monitor_.find(logs, "ReduceLROnPlateau");
  if (!current) return;
  if (cooling_ > 0) {
    --cooling_;
    wait_ = 0;
  }
  if (monitor_.improves(*current, best_)) {
    best_ = current;
    wait_ = 0;
  } else if (cooling_ == 0 && ++wait_ >= options_.patience) {
    if (const double old = rate_of(model()); old > options_.min_lr) {
      model().optimizer().set_learning_rate(std::max(old * options_.factor, options_.min_lr));
      cooling_ = options_.cooldown;
      wait_ = 0;
    }
  }
}

void LearningRateScheduler::on_train_begin(Logs&) { refuse_schedule(model(), "LearningRateScheduler"); }

Weights ReduceLROnPlateau::state() const {
  Weights state{{"wait", Tensor(wait_, DType::i64)}, {"cooling", Tensor(cooling_, DType::i64)}};
  if (best_) state["best"] = Tensor(*best_, DType::f64);
  return state;
}

void ReduceLROnPlateau::set_state(const Weights& state) {
  wait_ = detail::count_in(state, "wait");
  cooling_ = detail::count_in(state, "cooling");
  best_ = detail::find_number(state, "best");
}

void LearningRateScheduler::on_epoch_begin(int64_t epoch, Logs&) {
  model().optimizer().set_learning_rate(schedule_(epoch, rate_of(model())));
}

void LearningRateScheduler::on_epoch_end(int64_t, Logs& logs) { logs.set("learning_rate", rate_of(model())); }

}  // namespace tandem::nn
