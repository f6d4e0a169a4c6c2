#pragma once
// A progress bar.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tandem {

/// Shows how far a loop has come, how fast it goes, and when it will end.
///
/// On a terminal one line is redrawn in place, at most 20 times a second; elsewhere (a file, a CI log) a
/// few plain lines appear. For use by one thread.
///
///     td::Progress progress(steps, "training");
///     for (int step = 0; step < steps; ++step) {
///       const float loss = train(step);
///       progress.set("loss", loss);
///       progress.advance();
///     }
class Progress {
 public:
  /// `total` steps are to come; 0 or less when nobody knows how many. Without `live` only the last line is
  /// written.
  explicit Progress(int64_t total, std::string label = "", std::FILE* out = stdout, bool live = true);
  /// Finishes the line; when an exception ends the loop, leaves it as it is.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(int64_t steps = 1);
  /// Shows `name value` at the line's end from the next time that it is drawn on.
  void set(std::string_view name, double value);
  void set(std::string_view name, std::string value);
  /// True when the next advance() would draw: time to set the values.
  bool is_due() const { return !finished_ && Clock::now() >= next_draw_; }
  /// Draws the last state and ends the line; later calls do nothing. The destructor calls it.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;

  void draw(Clock::time_point now, bool last);

  int64_t total_, done_ = 0;
  std::string label_;
  std::vector<std::pair<std::string, std::string>> values_;
  std::FILE* out_;
  bool terminal_, finished_ = false;
  int exceptions_;  ///< in flight when it began
  Clock::time_point start_, next_draw_;
};

}  // namespace tandem
