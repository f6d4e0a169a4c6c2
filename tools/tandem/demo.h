#pragma once
// `tandem demo`: the comparison of eager and graph mode, told as a story.

#include <string>

#include "figures.h"
#include "tandem/data/idx.h"
#include "tandem/nn/model.h"

namespace tandem::cli {

struct DemoOptions {
  std::string data;  // folder of IDX files; without it, digits are drawn
  std::string json;  // where the figures go
};

/// Plays all acts. False when one of them found what must not be: modes that differ, a print too many.
bool run_demo(const DemoOptions& options);

/// What an act found out.
struct Act {
  Figures figures;
  bool good = false;
};

/// Act 1: `x**2` on five floats, first with a print inside, then timed.
Act play_square();
/// Act 2: a network of four layers, on batches of images.
Act play_network(const data::Images& images);
/// Act 3: training, eagerly and as a graph, from the same weights. `learner` is the one that becomes a graph.
Act play_training(const data::Images& images, const nn::Sequential& learner);
/// Act 4: what was learned is saved, and runs in a process that knows the file alone.
Act play_saving(const data::Images& images, const nn::Model& learned);

/// The network that act 3 trains, on images of uint8: two of them begin equal.
nn::Sequential make_learner(const data::Images& images);

}  // namespace tandem::cli
