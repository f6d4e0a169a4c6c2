#pragma once
// What models are trained on: arrays, datasets, or a function that gives batches.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "tandem/data/dataset.h"
#include "tandem/nest.h"

namespace tandem::nn {

namespace detail {
class DataBody;
}

/// What one step of training, evaluation or prediction works on. Absent targets and weights are empty lists.
struct Batch {
  Nest x, y, sample_weight;
  static constexpr auto fields() { return std::tuple{&Batch::x, &Batch::y, &Batch::sample_weight}; }
};

/// Batches made by a function of one's own.
///
///     nn::BatchGenerator source{[&]() -> std::optional<td::Nest> {
///       return td::Nest{read_images(32), read_labels(32)};
///     }};
struct BatchGenerator {
  /// The next batch, [x], [x, y] or [x, y, sample_weight]; none at the end of a pass, after which the next
  /// call begins another.
  std::function<std::optional<Nest>()> next;
  /// Called at the begin and the end of each epoch, with its number.
  std::function<void(int64_t epoch)> on_epoch_begin = {}, on_epoch_end = {};
  /// How many batches a pass has, where it is known.
  std::optional<int64_t> batches = {};
};

/// Where batches come from. It is a handle.
///
///     model.fit(nn::TrainingData(images, labels, weights), {.epochs = 3});
///     model.fit(data::Dataset::from_tensors({images, labels}).shuffle(42).batch(32).prefetch());
///     model.fit(generator, {.steps_per_epoch = 100});
class TrainingData {
 public:
  /// None.
  TrainingData() = default;
  /// Arrays, whose first dimension counts the examples. They are cut into batches by whoever trains.
  TrainingData(Nest x, Nest y, Nest sample_weight = {});
  /// Batches, as the data set has them: elements [x], [x, y] or [x, y, sample_weight]. Each epoch is a pass
  /// of its own, numbered from FitOptions::initial_epoch on.
  TrainingData(data::Dataset dataset);
  /// Batches, as their function makes them.
  TrainingData(BatchGenerator generator);

  bool defined() const { return body_ != nullptr; }
  // For Tandem's own loops.
  const std::shared_ptr<detail::DataBody>& body() const { return body_; }

 private:
  std::shared_ptr<detail::DataBody> body_;
};

}  // namespace tandem::nn
