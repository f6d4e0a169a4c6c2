#include "onnx/conformance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/check.h"
#include "core/mapped_file.h"
#include "core/same_bits.h"
#include "onnx/tensor_proto.h"
#include "tandem/load.h"
#include "tandem/ops/shape.h"

namespace tandem::onnx {

namespace fs = std::filesystem;

namespace {

constexpr double relative_tolerance = 1e-3, absolute_tolerance = 1e-7;

/// input_0.pb, input_1.pb, ...
std::vector<Tensor> read_tensors(const fs::path& folder, const std::string& prefix) {
  std::vector<Tensor> tensors;
  for (size_t i = 0;; ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", prefix, i);
    if (!fs::exists(path)) return tensors;
    const auto file = MappedFile::open(path.string());
    TensorProto proto;
    TD_CHECK(proto.ParseFromArray(file->data(), static_cast<int>(file->size())), ErrorCode::io,
             "{}: this is no tensor", path.filename().string());
    // An input that the case leaves out is a tensor of no type.
    tensors.push_back(proto.data_type() == 0 ? Tensor() : read_tensor(proto));
  }
}

std::string difference(const Tensor& got, const Tensor& expected) {
  if (!got.defined()) return "is missing";
  if (got.dtype() != expected.dtype() || got.shape() != expected.shape())
    return fmt::format("is {}{} instead of {}{}", got.dtype(), got.shape(), expected.dtype(),
                       expected.shape());
  if (is_floating(got.dtype())) {
    const std::vector<double> a = cast(got, DType::f64).to_vector<double>(),
                              b = cast(expected, DType::f64).to_vector<double>();
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(a[i]) && std::isnan(b[i])) continue;
      if (a[i] == b[i] || std::abs(a[i] - b[i]) <= absolute_tolerance + relative_tolerance * std::abs(b[i]))
        continue;
      return fmt::format("has {} instead of {} at position {}", a[i], b[i], i);
    }
    return "";
  }
  const Tensor a = got.contiguous();
  const size_t size = size_of(a.dtype());
  for (int64_t i = 0; i < a.size(); ++i) {
    const auto at = static_cast<size_t>(i) * size;
    const auto* bytes = static_cast<const std::byte*>(a.impl()->data) + at;
    if (std::memcmp(bytes, static_cast<const std::byte*>(expected.impl()->data) + at, size) == 0) continue;
    auto element = [&](const Tensor& t) {
      return cast(t, DType::i64).to_vector<int64_t>()[static_cast<size_t>(i)];
    };
    return fmt::format("has {} instead of {} at position {}", element(got), element(expected), i);
  }
  return "";
}

std::string compare(const char* mode, const LoadedModel& model, const std::vector<Tensor>& got,
                    const std::vector<Tensor>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!expected[i].defined()) continue;
    if (i >= got.size())
      return fmt::format("{}: {} outputs instead of {}", mode, got.size(), expected.size());
    const std::string text = difference(got[i], expected[i]);
    if (!text.empty())
      return fmt::format("{}: output {} (\"{}\") {}", mode, i, model.outputs()[i].name, text);
  }
  return "";
}

std::string run_data_set(const LoadedModel& model, const fs::path& folder, CaseMode mode) {
  const std::vector<Tensor> inputs = read_tensors(folder, "input"), expected = read_tensors(folder, "output");
  TD_CHECK(!expected.empty(), "{}: there is no output_0.pb", folder.filename().string());
  std::vector<Tensor> eager, graph;
  if (mode != CaseMode::graph) {
    eager = model.run_eagerly(inputs);
    if (std::string text = compare("eager", model, eager, expected); !text.empty()) return text;
  }
  if (mode != CaseMode::eager) {
    graph = model(inputs);
    if (std::string text = compare("graph", model, graph, expected); !text.empty()) return text;
  }
  if (mode == CaseMode::both)
    for (size_t i = 0; i < eager.size(); ++i)
      if (!detail::same_bits(eager[i], graph[i]))
        return fmt::format("eager and graph differ in output {} (\"{}\")", i, model.outputs()[i].name);
  return "";
}

}  // namespace

std::string run_case(const std::string& folder, CaseMode mode) {
  try {
    const LoadedModel model = load((fs::path(folder) / "model.onnx").string());
    int sets = 0;
    for (;; ++sets) {
      const fs::path set = fs::path(folder) / fmt::format("test_data_set_{}", sets);
      if (!fs::exists(set)) break;
      if (std::string text = run_data_set(model, set, mode); !text.empty())
        return sets == 0 ? text : fmt::format("data set {}: {}", sets, text);
    }
    return sets > 0 ? "" : "there is no test_data_set_0";
  } catch (const std::exception& e) {
    return e.what();
  }
}

std::vector<std::string> find_cases(const std::string& folder) {
  TD_CHECK(fs::is_directory(folder), ErrorCode::io, "{}: no such folder", folder);
  if (fs::exists(fs::path(folder) / "model.onnx")) return {folder};
  std::vector<std::string> cases;
  for (const auto& entry : fs::directory_iterator(folder))
    if (fs::exists(entry.path() / "model.onnx")) cases.push_back(entry.path().string());
  std::sort(cases.begin(), cases.end());
  TD_CHECK(!cases.empty(), ErrorCode::io, "{}: no folder in it has a model.onnx", folder);
  return cases;
}

}  // namespace tandem::onnx
