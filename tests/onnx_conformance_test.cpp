// ONNX's own conformance cases, in both modes, with equal bits.

#include <filesystem>
#include <iostream>

#include "onnx/conformance.h"
#include "support.h"

namespace tandem::onnx {
namespace {

TEST(Conformance, EveryCaseOfTheFolder) {
  const std::string folder = std::string(TANDEM_SHARED_FOLDER) + "/cases/onnx_node";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here: no case was run";
  const std::vector<std::string> cases = find_cases(folder);
  int missing = 0;
  for (const std::string& path : cases) {
    const std::string reason = run_case(path, CaseMode::both);
    if (reason.find("there is no such operator here") != std::string::npos)
      ++missing;
    else
      EXPECT_EQ(reason, "") << std::filesystem::path(path).filename();
  }
  std::cout << cases.size() << " cases, " << missing << " of them of operators that do not exist yet\n";
}

}  // namespace
}  // namespace tandem::onnx
