// ONNX's own conformance cases, in both modes, with equal bits.

#include <filesystem>

#include "onnx/conformance.h"
#include "support.h"

namespace tandem::onnx {
namespace {

TEST(Conformance, EveryCaseOfTheFolder) {
  const std::string folder = std::string(TANDEM_SHARED_FOLDER) + "/cases/onnx_node";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here: no case was run";
  const std::vector<std::string> cases = find_cases(folder);
  EXPECT_EQ(cases.size(), 602u);
  for (const std::string& path : cases)
    EXPECT_EQ(run_case(path, CaseMode::both), "") << std::filesystem::path(path).filename();
}

}  // namespace
}  // namespace tandem::onnx
