#pragma once
// `tandem run`, `tandem inspect` and `tandem check`: what can be done with a saved model.

#include <string>
#include <vector>

namespace tandem::cli {

struct RunOptions {
  std::string model;
  std::vector<std::string> inputs;   // "name=file.npy"
  std::vector<std::string> outputs;  // "name=file.npy"
  std::vector<std::string> sizes;    // "name=8": dimensions of random inputs
  bool random = false;
  int64_t repeat = 1;
  std::string mode = "graph";
  std::string json;
};

/// Runs a model on arrays from files, or random ones, and prints or writes what comes out.
bool run_model(const RunOptions& options);

struct InspectOptions {
  std::string model;
  std::vector<std::string> sizes;
  std::string json;
};

/// Says what a model takes, gives, contains and costs.
bool inspect_model(const InspectOptions& options);

struct CheckOptions {
  std::string model;
  std::string json;
};

/// Says what in a model can't run here and why. False when something can't.
bool check_model(const CheckOptions& options);

}  // namespace tandem::cli
