// Act 2: a network of four layers on batches of a hundred images.

#include <fmt/format.h>

#include <algorithm>

#include "core/text_table.h"
#include "demo.h"
#include "inspect/ulp.h"
#include "story.h"
#include "tandem/nn.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

constexpr int64_t batch_size = 100, most_batches = 200;

template <class F>
std::vector<Tensor> run_all(const char* label, const std::vector<Tensor>& batches, const F& f) {
  std::vector<Tensor> results;
  Progress progress(static_cast<int64_t>(batches.size()), label);
  for (const Tensor& batch : batches) {
    results.push_back(f(batch));
    progress.advance();
  }
  return results;
}

}  // namespace

Act play_network(const data::Images& images) {
  heading(2, "A network: 28x28, flattened, three layers of 256 with relu, 10 with softmax");
  random::seed(0);
  const nn::Sequential model({nn::Input({28, 28}), nn::Flatten(), nn::Dense(256, "relu"),
                              nn::Dense(256, "relu"), nn::Dense(256, "relu"), nn::Dense(10, "softmax")});
  const auto scores = [&](Tensor x) { return model(x); };
  const auto graph = function(scores, {.name = "mlp256x3_b100"});

  std::vector<Tensor> batches;
  const int64_t count = std::min(most_batches, images.train_images.shape()[0] / batch_size);
  for (int64_t i = 0; i < count; ++i) {
    const Tensor pixels = images.train_images[{Index(batch_size * i, batch_size * (i + 1))}];
    batches.push_back(cast(pixels, float32) / 255);
  }
  paragraph(fmt::format(
      "{} batches of {} images run through it, batch by batch, first eagerly, then as a graph:", count,
      batch_size));
  const std::vector<Tensor> eager_results = run_all("eager", batches, scores);
  const std::vector<Tensor> graph_results = run_all("graph", batches, graph);

  int64_t distance = 0;
  for (size_t i = 0; i < batches.size(); ++i)
    distance = std::max(distance, largest_ulp_distance(eager_results[i], graph_results[i]));

  paragraph("Batch after batch in turn, by td::compare_modes(model, batch):");
  Act act;
  Comparison& comparison = act.figures.comparison;
  comparison = compare_modes(graph, batches.front());
  comparison.max_ulp = std::max(comparison.max_ulp, distance);
  table(comparison.to_string());
  act.good =
      check(comparison.max_ulp == 0, fmt::format("all {} results of both modes are equal to the last bit",
                                                 format_count(count * batch_size * 10)));
  return act;
}

}  // namespace tandem::cli
