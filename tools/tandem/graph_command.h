#pragma once
// `tandem graph`: a saved model's graph for TensorBoard.

#include <string>
#include <vector>

namespace tandem::cli {

struct GraphOptions {
  std::string model;
  std::string tensorboard;         // the folder
  std::vector<std::string> sizes;  // "name=8": unknown sizes that are to be known
};

/// Writes an event file with a node for each operation.
bool write_model_graph(const GraphOptions& options);

}  // namespace tandem::cli
