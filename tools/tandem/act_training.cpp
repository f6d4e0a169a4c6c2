// Act 3: training, in both modes, from the same start.

#include <fmt/format.h>

#include <algorithm>

#include "batches.h"
#include "core/text_table.h"
#include "demo.h"
#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "network.h"
#include "story.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

constexpr int64_t batch_size = 60, step_count = 800;
constexpr float first_rate = 0.15f;
constexpr uint64_t seed = 1;

/// The mean cross entropy of the right labels.
Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor classes = Tensor({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, int64);
  const Tensor right = cast(equal(reshape(labels, {-1, 1}), classes), float32);
  return sum(right * -log(softmax(logits) + 1e-7f)) / static_cast<float>(batch_size);
}

/// A network, and one step of its training.
struct Trainee {
  Network network;

  Tensor step(const Tensor& images, const Tensor& labels, const Tensor& rate) const {
    GradientTape tape;
    Tensor loss = cross_entropy(network(images), labels);
    const std::vector<Variable> variables = network.variables();
    const std::vector<Tensor> gradients = tape.gradient(loss, variables);
    for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(rate * gradients[i]);
    return loss;
  }

  double accuracy(const data::Images& images, const Pixels& pixels) const {
    const int64_t count = images.test_labels.shape()[0];
    const int64_t* labels = images.test_labels.data<int64_t>();
    int64_t right = 0;
    for (int64_t begin = 0; begin < count; begin += 500) {
      const int64_t size = std::min<int64_t>(500, count - begin);
      const Tensor logits = network(pixels.scaled(begin, size));
      const float* row = logits.data<float>();
      for (int64_t i = 0; i < size; ++i, row += 10)
        right += std::max_element(row, row + 10) - row == labels[begin + i] ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(count);
  }
};

struct Batch {
  Tensor images, labels, rate;
};

struct Run {
  std::vector<Tensor> losses;
  double seconds = 0;
};

template <class Step>
Run train(const char* label, const std::vector<Batch>& batches, const Step& step) {
  Run run;
  Progress progress(static_cast<int64_t>(batches.size()), label);
  const Stopwatch watch;
  for (const Batch& batch : batches) {
    run.losses.push_back(step(batch.images, batch.labels, batch.rate));
    progress.set("loss", run.losses.back().template item<float>());
    progress.advance();
  }
  run.seconds = watch.nanoseconds() / 1e9;
  return run;
}

}  // namespace

Network make_learner() { return Network({784, 128, 10}, seed); }

Act play_training(const data::Images& images, const Network& learner) {
  heading(3, "Training: flattened, 128 with relu, 10; cross entropy, stochastic gradient descent");
  const Pixels pixels(images.train_images);
  std::vector<Batch> batches;
  for (int64_t i = 0; i < step_count; ++i) {
    const float rate = first_rate * static_cast<float>(step_count - i) / static_cast<float>(step_count);
    batches.push_back({pixels.scaled(batch_size * i, batch_size),
                       batch_of_labels(images.train_labels, batch_size * i, batch_size), Tensor(rate)});
  }
  const Trainee eager_trainee{make_learner()}, graph_trainee{learner};
  const auto eager_step = [&](Tensor x, Tensor y, Tensor rate) { return eager_trainee.step(x, y, rate); };
  const auto graph_step =
      function([&](Tensor x, Tensor y, Tensor rate) { return graph_trainee.step(x, y, rate); },
               {.name = "train_784_128_10"});

  paragraph(fmt::format(
      "Two networks with the same first weights, {} steps with batches of {}: one learns eagerly, the "
      "other by a graph that holds the whole step, its gradients and its assignments too.",
      step_count, batch_size));
  code(
      "auto step = td::function([&](td::Tensor x, td::Tensor y, td::Tensor rate) {\n"
      "  td::GradientTape tape;\n"
      "  auto loss = cross_entropy(network(x), y);\n"
      "  auto gradients = tape.gradient(loss, variables);\n"
      "  for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(rate * gradients[i]);\n"
      "  return loss;\n"
      "});");
  table("");
  const Run eager = train("eager", batches, eager_step);
  const Run graph = train("graph", batches, graph_step);

  int64_t loss_distance = 0, weight_distance = 0;
  for (size_t i = 0; i < batches.size(); ++i)
    loss_distance = std::max(loss_distance, largest_ulp_distance(eager.losses[i], graph.losses[i]));
  const auto eager_variables = eager_trainee.network.variables(),
             graph_variables = graph_trainee.network.variables();
  for (size_t i = 0; i < eager_variables.size(); ++i)
    weight_distance = std::max(weight_distance,
                               largest_ulp_distance(eager_variables[i].value(), graph_variables[i].value()));
  const double accuracy = graph_trainee.accuracy(images, Pixels(images.test_images, pixels));

  paragraph("One step in turn, by td::compare_modes(step, x, y, rate):");
  Act act;
  Comparison& comparison = act.figures.comparison;
  comparison = compare_modes(graph_step, batches[0].images, batches[0].labels, batches[0].rate);
  comparison.max_ulp = std::max({comparison.max_ulp, loss_distance, weight_distance});
  act.figures.accuracy = accuracy;
  table(comparison.to_string());
  act.good =
      check(loss_distance == 0, fmt::format("{} losses of both modes are equal to the last bit", step_count));
  act.good &= check(weight_distance == 0, "so are the weights that they end with");
  act.good &= check(comparison.max_ulp == 0, "so is the step that was measured");
  act.good &= check(accuracy > 0.5, fmt::format("of {} images never seen before, {:.1f}% are recognized",
                                                format_count(images.test_labels.shape()[0]), 100 * accuracy));
  return act;
}

}  // namespace tandem::cli
