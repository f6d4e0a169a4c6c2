#pragma once
// `tandem test`: runs a folder of ONNX's conformance cases.

#include <string>

namespace tandem::cli {

struct TestOptions {
  std::string folder;
  std::string mode = "both";
  std::string json;
};

/// Prints a line for each case that fails and, last, "N passed, N failed". False when one fails.
bool run_test(const TestOptions& options);

}  // namespace tandem::cli
