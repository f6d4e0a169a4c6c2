#include "test_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "json_file.h"
#include "onnx/conformance.h"
#include "tandem/progress.h"

namespace tandem::cli {

bool run_test(const TestOptions& options) {
  const onnx::CaseMode mode = options.mode == "eager"   ? onnx::CaseMode::eager
                              : options.mode == "graph" ? onnx::CaseMode::graph
                                                        : onnx::CaseMode::both;
  const std::vector<std::string> cases = onnx::find_cases(options.folder);
  nlohmann::ordered_json report;
  report["mode"] = options.mode;
  report["failures"] = nlohmann::ordered_json::array();
  int passed = 0, failed = 0;
  // Not among the failures: they have the terminal when they go there.
  std::optional<Progress> progress;
  if (isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO)) progress.emplace(cases.size(), "cases", stderr);
  for (const std::string& folder : cases) {
    const std::string name = std::filesystem::path(folder).filename().string();
    std::string reason = onnx::run_case(folder, mode);
    if (progress) progress->advance();
    if (reason.empty()) {
      ++passed;
      continue;
    }
    ++failed;
    report["failures"].push_back({{"case", name}, {"reason", reason}});
    // One line a case, whatever the reason.
    for (size_t at; (at = reason.find("\n  ")) != std::string::npos;) reason.replace(at, 3, "; ");
    if (options.json != "-") fmt::print("{}: {}\n", name, reason);
  }
  progress.reset();
  report["passed"] = passed;
  report["failed"] = failed;
  if (!options.json.empty()) write_json_file(options.json, report);
  if (options.json != "-") fmt::print("{} passed, {} failed\n", passed, failed);
  return failed == 0;
}

}  // namespace tandem::cli
