// An epoch of a small CNN, by fit in graph mode.

#include <fmt/format.h>
#include <tandem/tandem.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr int64_t batch = 64, steps = 50, size = 28, classes = 10;
constexpr int64_t outputs[TrainingData::layers] = {32, 64, 128, classes};

nn::Sequential network() {
  return nn::Sequential({nn::Input({size, size, 1}), nn::Conv2D(outputs[0], 3, "relu"), nn::MaxPooling2D(2),
                         nn::Conv2D(outputs[1], 3, "relu"), nn::MaxPooling2D(2), nn::Flatten(),
                         nn::Dense(outputs[2], "relu"), nn::Dense(classes)});
}

/// The kernels as libtorch has them: outputs first, then channels before places.
std::vector<std::vector<float>> kernels_of(const nn::Sequential& model) {
  std::vector<std::vector<float>> kernels;
  const auto add = [&](const Tensor& t) { kernels.push_back(t.contiguous().to_vector<float>()); };
  int64_t channels = 0;  // that flattening mixed with places
  for (const auto& [name, variable] : model.named_parameters()) {
    const Tensor value = variable.value();
    if (value.rank() == 4) {
      add(transpose(value, {3, 2, 0, 1}));
      channels = value.shape()[3];
    } else if (value.rank() == 2 && channels > 0) {
      const auto side = std::llround(std::sqrt(value.shape()[0] / channels));
      add(transpose(reshape(value, {side, side, channels, value.shape()[1]}), {3, 2, 0, 1}));
      channels = 0;
    } else if (value.rank() == 2) {
      add(transpose(value, {1, 0}));
    }
  }
  return kernels;
}

}  // namespace

void training_rows(Harness& harness, const Peer* torch) {
  const char* name = "cnn_epoch";
  if (!harness.wants(name)) return;
  random::seed(1);
  // Each class brightens a stripe of its own, so that there is something to learn.
  const Tensor labels = random::randint(0, classes, {steps * batch}, DType::i64);
  const Tensor stripes =
      cast(equal(div(arange(0, size * size, 1, DType::i64), 2 * size), unsqueeze(labels, 1)), DType::f32);
  const Tensor images =
      reshape(random::uniform({steps * batch, size * size}) * 0.5f + stripes, {steps * batch, size, size, 1});

  nn::Sequential model = network();
  const std::vector<std::vector<float>> kernels = kernels_of(model);
  model.compile(
      {.optimizer = nn::Adam(1e-3), .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
  model.set_mode(nn::Mode::graph);
  std::vector<float> losses;
  const auto ours = [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i)
      losses =
          model.fit(images, labels, {.batch_size = batch, .shuffle = false, .verbose = false}).step_losses;
  };
  if (torch == nullptr) {
    harness.alone(name, ours, "libtorch is not installed");
    return;
  }
  const float* weights[TrainingData::layers];
  for (size_t i = 0; i < TrainingData::layers; ++i) weights[i] = kernels[i].data();
  std::vector<float> their_losses(steps);
  const PeerWork theirs = torch->training({batch, steps, size, 1, images.data<float>(),
                                           labels.data<int64_t>(), outputs, weights, their_losses.data()});
  ours(1);
  theirs.run(theirs.state, 1);
  for (int i = 0; i < steps; ++i)
    if (!(std::abs(losses[i] - their_losses[i]) < 0.02f * std::abs(their_losses[i]) + 1e-3f))
      throw std::runtime_error(
          fmt::format("the peer learns something else: its loss at step {} is {}, ours {}", i,
                      their_losses[i], losses[i]));
  harness.compare(
      name, ours, "libtorch", [&](int64_t times) { theirs.run(theirs.state, times); }, 9);
  harness.note(fmt::format("{} steps of {} images; both learn with Adam from the same weights; losses agree",
                           steps, batch));
}

}  // namespace tandem::bench
