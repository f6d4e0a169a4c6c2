#pragma once
// ONNX's conformance cases: a folder with model.onnx and test_data_set_N/{input,output}_N.pb.

#include <string>
#include <vector>

namespace tandem::onnx {

enum class CaseMode { eager, graph, both };

/// Runs all data sets of one case and compares as ONNX's own runner does (rtol 1e-3, atol 1e-7, NaN equals
/// NaN), shapes and dtypes exactly; `both` also compares the two modes bit for bit. Returns what is wrong, or
/// nothing.
std::string run_case(const std::string& folder, CaseMode mode);

/// The folders below `folder` that hold a case, sorted; itself, when it is one. Errors (io): no such folder.
std::vector<std::string> find_cases(const std::string& folder);

}  // namespace tandem::onnx
