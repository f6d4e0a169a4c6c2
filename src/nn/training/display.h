#pragma once
// What a loop shows on standard output.

#include <optional>
#include <string>

#include "tandem/nn/logs.h"
#include "tandem/progress.h"

namespace tandem::nn::detail {

class Display {
 public:
  /// `verbose` as in the options: 0 nothing, 1 a bar, 2 one line at the end.
  explicit Display(int verbose) : verbose_(verbose) {}

  void begin(const std::string& label, int64_t batches);
  /// True when results given now would be seen.
  bool is_due() const { return progress_ && progress_->is_due(); }
  void show(const Logs& logs);
  void advance(int64_t batches);
  void end(const Logs& logs);

 private:
  int verbose_;
  std::optional<Progress> progress_;
};

}  // namespace tandem::nn::detail
