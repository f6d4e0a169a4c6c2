// A training loop of one's own: tape, gradients, optimizer, metric; eagerly, and as one graph.
//
// fit does much, but nothing secret. What to look at:
//   - a step is a plain function, which td::function makes into a graph: same bits, less time;
//   - everything that changes is a Variable (weights, the optimizer's state, the metric), so the graph may
//     change it;
//   - data come from a Dataset: shuffled, batched and made ready in the background.

#include <tandem/tandem.h>

#include <chrono>
#include <cmath>
#include <iostream>

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// Trains a fresh model for a few epochs, and says how its loss went.
std::vector<double> train(bool as_graph) {
  td::random::seed(2);
  const td::Tensor x = td::random::uniform({2'048, 1}, -3, 3);
  const td::Tensor y = td::sin(2 * x) + td::random::normal({2'048, 1}, 0, 0.05);
  const auto data = td::data::Dataset::from_tensors({x, y}).shuffle(17).batch(64).prefetch();

  const nn::Sequential model({nn::Input({1}), nn::Dense(64, "tanh"), nn::Dense(64, "tanh"), nn::Dense(1)});
  const nn::Adam optimizer(nn::schedules::WarmUp(nn::schedules::CosineDecay(0.01, 600), 20), {},
                           {.global_clipnorm = 1.0});
  const nn::Metric mean_error("mae");

  const auto step = [&](const td::Tensor& inputs, const td::Tensor& targets) {
    td::GradientTape tape;
    const td::Tensor predictions = model(inputs, {.training = true});
    const td::Tensor loss = td::mean(td::square(predictions - targets));
    const std::vector<td::Variable> variables = model.trainable_variables();
    optimizer.apply_gradients(tape.gradient(loss, variables), variables);
    mean_error.update(predictions, targets);
    return loss;
  };
  const auto graph = td::function(step);

  std::vector<double> errors;
  for (int epoch = 0; epoch < 20; ++epoch) {
    mean_error.reset();
    for (const td::Nest& batch : data.iterate(epoch)) {
      const td::Tensor &inputs = batch[0].leaf(), &targets = batch[1].leaf();
      as_graph ? graph(inputs, targets) : step(inputs, targets);
    }
    errors.push_back(mean_error.value());
  }
  return errors;
}

}  // namespace

int main() {
  std::vector<std::vector<double>> errors;
  for (const bool as_graph : {false, true}) {
    const auto start = std::chrono::steady_clock::now();
    errors.push_back(train(as_graph));
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::cout << (as_graph ? "as a graph: " : "eagerly:    ") << "mean absolute error "
              << errors.back().front() << " in the first epoch, " << errors.back().back() << " in the last, "
              << std::round(took.count()) << " ms\n";
  }
  const bool same = errors[0] == errors[1];
  std::cout << (same ? "The errors are the same, to the last bit.\n" : "The errors differ!\n");
  return same ? 0 : 1;
}
