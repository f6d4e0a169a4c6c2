// Act 3: training, in both modes, from the same start.

#include <fmt/format.h>

#include <algorithm>

#include "core/text_table.h"
#include "demo.h"
#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "story.h"
#include "tandem/nn.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

constexpr int64_t training_batch = 50, epochs = 3, steps_per_epoch = 400;
constexpr uint64_t seed = 1;
constexpr int64_t adapted_to = 1'000;  // images, whose mean and deviation become 0 and 1

struct Run {
  nn::History history;
  double seconds = 0;
};

/// Compiles and fits. The order of the examples follows the seed, so it is the same each time.
Run train(const char* mode_name, nn::Mode mode, const nn::Sequential& model, const data::Images& images) {
  model.set_mode(mode);
  model.compile(
      {.optimizer = nn::SGD(nn::schedules::PolynomialDecay(0.15, epochs * steps_per_epoch, {.end = 0})),
       .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
       .metrics = {"accuracy"}});
  paragraph(mode_name);
  random::seed(seed);
  Run run;
  const Stopwatch watch;
  run.history =
      model.fit(images.train_images, images.train_labels,
                {.batch_size = training_batch, .epochs = epochs, .steps_per_epoch = steps_per_epoch});
  run.seconds = watch.nanoseconds() / 1e9;
  return run;
}

}  // namespace

nn::Sequential make_learner(const data::Images& images) {
  random::seed(seed);
  const nn::Rescaling rescaling(1 / 255.0);
  const nn::Normalization normalization({.axis = {}});
  normalization.adapt(rescaling(images.train_images[{Index(0, adapted_to)}]));
  return nn::Sequential({nn::Input({28, 28}, {.name = "images", .dtype = uint8}), rescaling, normalization,
                         nn::Flatten(), nn::Dense(128, "relu"), nn::Dense(10)},
                        {.name = "digits"});
}

Act play_training(const data::Images& images, const nn::Sequential& learner) {
  heading(3, "Training: 784, 128 with relu, 10; cross entropy, stochastic gradient descent");
  paragraph(fmt::format(
      "Two models with the same first weights learn from the same {} batches of {}: one eagerly, the other "
      "by a "
      "graph that holds the whole step, its gradients and its assignments too. The mode is a property of the "
      "model: nothing else changes.",
      epochs * steps_per_epoch, training_batch));
  code(
      "nn::Sequential model({nn::Input({28, 28}, {.dtype = td::uint8}), nn::Rescaling(1 / 255.0),\n"
      "                      normalization, nn::Flatten(), nn::Dense(128, \"relu\"), nn::Dense(10)});\n"
      "model.set_mode(nn::Mode::graph);\n"
      "model.compile({.optimizer = nn::SGD(rate), .loss = cross_entropy, .metrics = {\"accuracy\"}});\n"
      "model.fit(images, labels, {.batch_size = 50, .epochs = 3, .steps_per_epoch = 400});");
  const nn::Sequential eager_learner = make_learner(images);
  const Run eager = train("Eagerly:", nn::Mode::eager, eager_learner, images);
  const Run graph = train("As a graph:", nn::Mode::graph, learner, images);
  paragraph(fmt::format("All steps took {:.2f} s eagerly and {:.2f} s as a graph, tracing included.",
                        eager.seconds, graph.seconds));

  const auto losses_of = [](const Run& run) {
    return from_vector(std::vector(run.history.step_losses), {epochs * steps_per_epoch});
  };
  const int64_t loss_distance = largest_ulp_distance(losses_of(eager), losses_of(graph));
  int64_t weight_distance = 0;
  const auto eager_variables = eager_learner.variables(), graph_variables = learner.variables();
  for (size_t i = 0; i < eager_variables.size(); ++i)
    weight_distance = std::max(weight_distance,
                               largest_ulp_distance(eager_variables[i].value(), graph_variables[i].value()));
  const double accuracy =
      learner.evaluate(images.test_images, images.test_labels, {.batch_size = 500})["accuracy"];

  paragraph("One step in turn, by td::compare_modes(step, x, y):");
  const auto step = function(
      [&](Tensor x, Tensor y) {
        GradientTape tape;
        Tensor loss = learner.compute_loss({x, y}, learner.outputs_for(x, true), true);
        learner.minimize(loss, tape);
        return loss;
      },
      {.name = "train_784_128_10"});
  Act act;
  Comparison& comparison = act.figures.comparison;
  const Index first(0, training_batch);
  comparison = compare_modes(step, images.train_images[{first}], images.train_labels[{first}]);
  comparison.max_ulp = std::max({comparison.max_ulp, loss_distance, weight_distance});
  act.figures.accuracy = accuracy;
  table(comparison.to_string());
  act.good = check(loss_distance == 0, fmt::format("{} losses of both modes are equal to the last bit",
                                                   eager.history.step_losses.size()));
  act.good &= check(weight_distance == 0, "so are the weights that they end with");
  act.good &= check(comparison.max_ulp == 0, "so is the step that was measured");
  act.good &= check(accuracy > 0.5, fmt::format("of {} images never seen before, {:.1f}% are recognized",
                                                format_count(images.test_labels.shape()[0]), 100 * accuracy));
  return act;
}

}  // namespace tandem::cli
