// Saved models: how long until one is there and can run.

#include <fmt/format.h>
#include <tandem/tandem.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <vector>

#include "onnx/conformance.h"
#include "rows.h"

namespace tandem::bench {

namespace {

/// A file that goes with the row.
struct TemporaryFile {
  std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("tandem_bench_{}.onnx", getpid())).string();
  ~TemporaryFile() { std::filesystem::remove(path); }
};

/// The file in memory of its own, as a reader without tricks has it.
void read_whole(const std::string& path) {
  const auto size = static_cast<size_t>(std::filesystem::file_size(path));
  const auto bytes = std::make_unique_for_overwrite<char[]>(size);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file || std::fread(bytes.get(), 1, size, file.get()) != size)
    throw std::runtime_error("cannot read " + path);
  keep(bytes);
}

void large_model(Harness& harness) {
  const char* name = "load_100mb";
  if (!harness.wants(name)) return;
  constexpr int layers = 25;  // of 4 MiB each
  const TemporaryFile file;
  {
    std::vector<Tensor> weights;
    for (int i = 0; i < layers; ++i) weights.push_back(full({1024, 1024}, 0.001 * (i + 1)));
    const auto network = function([&](Tensor x) {
      for (const Tensor& w : weights) x = matmul(x, w);
      return x;
    });
    save(network, file.path, spec({-1, 1024}));
  }
  harness.compare(
      name,
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(load(file.path));
      },
      "reading the file",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) read_whole(file.path);
      });
}

/// The conformance cases of the middle and the last rank, by time.
void cases(Harness& harness) {
  const char *median_name = "onnx_case_median", *slowest_name = "onnx_case_slowest";
  if (!harness.wants(median_name) && !harness.wants(slowest_name)) return;
  const std::string folder = TANDEM_SHARED_FOLDER "/cases/onnx_node";
  if (!std::filesystem::exists(folder)) {
    fmt::print("{}: no conformance cases here\n", median_name);
    return;
  }
  struct Timed {
    std::string folder;
    double seconds;
  };
  std::vector<Timed> all;
  for (const std::string& c : onnx::find_cases(folder)) {
    onnx::run_case(c, onnx::CaseMode::graph);  // fills the page cache
    const auto start = std::chrono::steady_clock::now();
    onnx::run_case(c, onnx::CaseMode::graph);
    all.push_back({c, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()});
  }
  std::sort(all.begin(), all.end(), [](const Timed& a, const Timed& b) { return a.seconds < b.seconds; });
  auto row = [&](const char* name, const Timed& c) {
    if (!harness.wants(name)) return;
    harness.alone(
        name,
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) onnx::run_case(c.folder, onnx::CaseMode::graph);
        },
        "import, trace, plan, one run and its comparison");
    harness.note(fmt::format("{}, of {}", std::filesystem::path(c.folder).filename().string(), all.size()));
  };
  row(median_name, all[all.size() / 2]);
  row(slowest_name, all.back());
}

}  // namespace

void loading_rows(Harness& harness) {
  large_model(harness);
  cases(harness);
}

}  // namespace tandem::bench
