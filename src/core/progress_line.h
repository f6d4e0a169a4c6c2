#pragma once
// What one line of a progress bar says, apart from when and where it is written.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tandem {

struct ProgressState {
  std::string label;
  int64_t done = 0, total = 0;  // a total of 0 or less: unknown
  double seconds = 0;
  bool finished = false;
  std::vector<std::pair<std::string, std::string>> values;
};

/// The line for a terminal of `width` columns. It never takes the last one, where some terminals would wrap.
/// With a width of 0: the plain line for a file, without a bar.
std::string progress_line(const ProgressState& state, int width, bool color);

}  // namespace tandem
