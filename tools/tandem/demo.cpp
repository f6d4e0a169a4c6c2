#include "demo.h"

#include <fmt/format.h>

#include <cstdio>

#include "story.h"

namespace tandem::cli {

bool run_demo(const DemoOptions& options) {
  paragraph(
      "Tandem runs the same C++ code in two modes: eagerly, every operation at once, or as a graph, traced "
      "once, "
      "optimized, and run as a compiled plan. Which is faster, and are they equal?");
  std::vector<Figures> figures;
  bool good = true;
  const auto take = [&](const Act& act) {
    figures.push_back(act.figures);
    good &= act.good;
  };
  take(play_square());
  if (!options.json.empty()) write_json(options.json, figures);
  return good;
}

}  // namespace tandem::cli
