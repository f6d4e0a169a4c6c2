// Act 4: the trained network is saved, and another process runs the file.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "core/check.h"
#include "core/text_table.h"
#include "demo.h"
#include "inspect/sampler.h"
#include "inspect/ulp.h"
#include "story.h"
#include "tandem/data/npy.h"
#include "tandem/nn.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

constexpr int64_t image_count = 100;

/// A folder that goes with the act.
struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tandem_demo_" + std::to_string(getpid()));
  TemporaryFolder() { std::filesystem::create_directories(path); }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const char* name) const { return (path / name).string(); }
};

/// This program again, in a process of its own whose output is dropped. Its exit code.
int run_again(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "tandem");
  std::vector<char*> pointers;
  for (std::string& a : arguments) pointers.push_back(a.data());
  pointers.push_back(nullptr);
  std::fflush(stdout);
  const pid_t child = fork();
  TD_CHECK(child >= 0, ErrorCode::io, "no further process can be started");
  if (child == 0) {
    if (const int nowhere = open("/dev/null", O_WRONLY); nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
      _exit(127);
    execv("/proc/self/exe", pointers.data());
    _exit(127);
  }
  int status = 0;
  TD_CHECK(waitpid(child, &status, 0) == child, ErrorCode::io, "the other process cannot be waited for");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

Act play_saving(const data::Images& images, const nn::Model& learned) {
  heading(4, "Saved, and run by who has never seen the code");
  const TemporaryFolder folder;
  const std::string model = folder.file("digits.onnx"), input = folder.file("images.npy"),
                    output = folder.file("scores.npy");
  paragraph(
      "What act 3 has learned leaves as a plain ONNX file, weights and all. Then this program starts itself "
      "anew: the new process gets the file and some images, and nothing else.");
  code(
      "model.save(\"digits.onnx\");\n"
      "\n"
      "$ tandem run digits.onnx --input images=images.npy --output output=scores.npy");
  learned.save(model);
  const Tensor x =
      images.test_images[{Index(0, std::min<int64_t>(image_count, images.test_images.shape()[0]))}];
  data::write_npy(input, x);
  const Stopwatch watch;
  const int status = run_again({"run", model, "--input", "images=" + input, "--output", "output=" + output});
  const double elapsed = watch.nanoseconds();
  TD_CHECK(status == 0, ErrorCode::io, "the other process failed with the exit code {}", status);
  const int64_t distance =
      largest_ulp_distance(learned.predict(x, {.batch_size = image_count}), data::read_npy(output));
  paragraph(fmt::format("The file has {}; the new process took {} from its start to its end.",
                        format_bytes(std::filesystem::file_size(model)), format_time(elapsed)));

  paragraph("The restored model in turn, by td::compare_modes(model, images):");
  const LoadedModel again = load(model);
  const auto restored = function([&](Tensor t) { return again({t})[0]; }, {.name = "restored_784_128_10"});
  Act act;
  Comparison& comparison = act.figures.comparison;
  comparison = compare_modes(restored, x);
  comparison.max_ulp = std::max(comparison.max_ulp, distance);
  table(comparison.to_string());
  act.good = check(distance == 0,
                   fmt::format("the scores of {} images are equal to the last bit, out of a process that "
                               "has never seen the network",
                               x.shape()[0]));
  act.good &= check(comparison.max_ulp == 0, "so are those of the restored model in both modes");
  return act;
}

}  // namespace tandem::cli
