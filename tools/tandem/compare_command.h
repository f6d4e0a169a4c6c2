#pragma once
// `tandem compare`: well-known functions, measured in both modes.

#include <string>
#include <vector>

namespace tandem::cli {

struct CompareOptions {
  std::vector<std::string> names;  // all when empty
  bool list = false;
  std::string json;
};

/// False when a function's results differ between the modes.
bool run_compare(const CompareOptions& options);

}  // namespace tandem::cli
