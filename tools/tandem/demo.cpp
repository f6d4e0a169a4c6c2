#include "demo.h"

#include <fmt/format.h>

#include <cstdio>

#include "image_source.h"
#include "story.h"

namespace tandem::cli {

namespace {
constexpr int previewed_images = 3;
}

bool run_demo(const DemoOptions& options) {
  paragraph(
      "Tandem runs the same C++ code in two modes: eagerly, every operation at once, or as a graph, traced "
      "once, optimized, and run as a compiled plan. Which is faster, and are they equal?");
  // First of all, so that a wrong folder is said at once.
  const ImageSource source = obtain_images(options.data);
  std::vector<Figures> figures;
  bool good = true;
  const auto take = [&](const Act& act) {
    figures.push_back(act.figures);
    good &= act.good;
  };
  take(play_square());
  paragraph("The next acts need images. " + source.origin);
  code(preview(source.images.train_images, source.images.train_labels, previewed_images));
  take(play_network(source.images));
  const nn::Sequential network = make_learner(source.images);
  take(play_training(source.images, network));
  take(play_saving(source.images, network));
  if (!options.json.empty()) write_json(options.json, figures);
  return good;
}

}  // namespace tandem::cli
