#pragma once
// The trainings whose checkpoints are fuzzed: the corpus and the target make the same.

#include <memory>
#include <string>

#include "tandem/nn.h"
#include "tandem/tandem.h"

namespace fuzz {

inline tandem::Tensor rows_of_x() {
  return tandem::Tensor({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 1}}, tandem::float32);
}
inline tandem::Tensor rows_of_y() { return tandem::Tensor({{1}, {2}, {3}, {4}, {5}}, tandem::float32); }

/// A loop of one's own, as docs/resuming.md has it.
struct Loop {
  tandem::nn::Sequential model{{tandem::nn::Dense(3, "tanh"), tandem::nn::Dense(1)}};
  tandem::nn::Adam optimizer{0.05};
  tandem::data::Iterator batches = tandem::data::Dataset::from_tensors({rows_of_x(), rows_of_y()})
                                       .shuffle(3, {.window = 4})
                                       .batch(2)
                                       .iterate();
  int64_t steps = 0;
  tandem::nn::Checkpoint all;

  Loop() {
    tandem::GradientTape tape;
    const tandem::Tensor loss = tandem::mean(tandem::square(model(rows_of_x()) - rows_of_y()));
    const auto variables = model.trainable_variables();
    optimizer.apply_gradients(tape.gradient(loss, variables), variables);
    all.add("model", model).add("optimizer", optimizer).add("data", batches).add("steps", steps);
  }
};

/// Two epochs of fit, which goes on from the backup in `folder`, if there is one. `keep`: leaves its own
/// there.
inline void fit(const std::string& folder, bool keep) {
  namespace nn = tandem::nn;
  nn::Sequential model({nn::Dense(3, "tanh"), nn::Dense(1)});
  model.compile({.optimizer = nn::SGD(0.05, {.momentum = 0.9}), .loss = "mse", .metrics = {"mae"}});
  model.fit(
      rows_of_x(), rows_of_y(),
      {.batch_size = 2,
       .epochs = 2,
       .callbacks = {std::make_shared<nn::EarlyStopping>(nn::EarlyStoppingOptions{
                         .monitor = "loss", .patience = 2, .restore_best_weights = true}),
                     std::make_shared<nn::ReduceLROnPlateau>(nn::ReduceLROnPlateauOptions{.monitor = "loss"}),
                     std::make_shared<nn::BackupAndRestore>(
                         folder, nn::BackupOptions{.save_freq = 2, .delete_checkpoint = !keep})},
       .verbose = 0});
}

}  // namespace fuzz
