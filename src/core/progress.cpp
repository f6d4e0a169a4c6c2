#include "tandem/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "core/check.h"
#include "core/progress_line.h"
#include "core/text_table.h"

namespace tandem {

namespace {

using namespace std::chrono_literals;

constexpr auto redraw_interval = 50ms;
// A log wants few lines: one at most every five seconds, and the last.
constexpr auto plain_interval = 5s;
constexpr int widest_bar = 32, narrowest_bar = 8;

constexpr std::string_view bar_color = "\033[36m", done_color = "\033[32m", faint = "\033[2m",
                           plain = "\033[0m";

bool is_terminal(std::FILE* out) {
  if (isatty(fileno(out)) == 0) return false;
  const char* kind = std::getenv("TERM");
  return kind == nullptr || std::string_view(kind) != "dumb";
}

int terminal_width(std::FILE* out) {
  winsize size{};
  const bool known = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string format_rate(double per_second) {
  if (per_second >= 1e6) return fmt::format("{:.3g} M/s", per_second / 1e6);
  if (per_second >= 9999.5) return fmt::format("{:.3g} k/s", per_second / 1e3);
  if (per_second >= 99.5) return fmt::format("{}/s", format_count(std::llround(per_second)));
  return fmt::format("{:.3g}/s", per_second);
}

std::string format_duration(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

/// A bar of `width` columns in steps of an eighth.
std::string bar(double fraction, int width) {
  constexpr std::array<std::string_view, 8> eighths = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int steps = std::clamp(static_cast<int>(fraction * width * 8), 0, width * 8);
  std::string text;
  for (int i = 0; i < steps / 8; ++i) text += "█";
  text += eighths[static_cast<size_t>(steps % 8)];
  for (int i = (steps + 7) / 8; i < width; ++i) text += ' ';
  return text;
}

}  // namespace

std::string progress_line(const ProgressState& state, int width, bool color) {
  const bool total_known = state.total > 0;
  const double fraction =
      total_known ? std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0., 1.)
                  : 0;
  const double rate = state.seconds > 0 ? static_cast<double>(state.done) / state.seconds : 0;

  const std::string start = state.label.empty() ? "" : state.label + " ";
  const std::string count = total_known
                                ? fmt::format("{}/{}", format_count(state.done), format_count(state.total))
                                : format_count(state.done);
  std::string end;
  if (state.finished)
    end += " in " + (state.seconds < 1 ? format_time(1e9 * state.seconds) : format_duration(state.seconds));
  else if (total_known && rate > 0)
    end += " · " + format_duration(static_cast<double>(state.total - state.done) / rate) + " left";
  if (rate > 0) end += " · " + format_rate(rate);
  std::string values;
  for (const auto& [name, value] : state.values) values += " · " + name + " " + value;

  if (width == 0) {
    const std::string percent =
        total_known && !state.finished ? fmt::format("{:3.0f}% ", 100 * fraction) : "";
    return start + percent + count + end + values;
  }

  // What doesn't fit goes in this order: the bar's length, the values, the facts, the end of the label.
  const int room = width - 1;
  const std::string percent = total_known ? fmt::format("{:3.0f}% ", 100 * fraction) : "";
  const int narrow = display_width(start) + display_width(percent) + (total_known ? narrowest_bar + 3 : 0) +
                     display_width(count);
  if (narrow + display_width(end) + display_width(values) > room) values.clear();
  if (narrow + display_width(end) > room) end.clear();
  if (narrow > room) {
    std::string line = start + count;
    while (display_width(line) > room) {
      // A whole code point at a time.
      while ((line.back() & 0xc0) == 0x80) line.pop_back();
      line.pop_back();
    }
    return line;
  }
  std::string line = start + percent;
  if (total_known) {
    const int length =
        std::min(widest_bar, room - narrow - display_width(end) - display_width(values) + narrowest_bar);
    const std::string_view paint = fraction < 1 ? bar_color : done_color;
    line += fmt::format("{}▕{}▏{} ", color ? paint : "", bar(fraction, length), color ? plain : "");
  }
  line += count;
  if (!end.empty()) line += color ? fmt::format("{}{}{}", faint, end, plain) : end;
  return line + values;
}

Progress::Progress(int64_t total, std::string label, std::FILE* out, bool live)
    : total_(total),
      label_(std::move(label)),
      out_(out),
      terminal_(is_terminal(out)),
      exceptions_(std::uncaught_exceptions()),
      start_(Clock::now()) {
  if (!live) {
    next_draw_ = Clock::time_point::max();
  } else if (terminal_) {
    next_draw_ = start_;
    draw(start_, false);
  } else {
    next_draw_ = start_ + plain_interval;
  }
}

Progress::~Progress() {
  if (std::uncaught_exceptions() == exceptions_)
    finish();
  else if (terminal_ && !finished_)
    std::fputc('\n', out_);
}

void Progress::advance(int64_t steps) {
  done_ += steps;
  if (finished_) return;
  const auto now = Clock::now();
  if (now >= next_draw_) draw(now, false);
}

void Progress::set(std::string_view name, double value) { set(name, fmt::format("{:.4g}", value)); }

void Progress::set(std::string_view name, std::string value) {
  for (auto& [known, text] : values_)
    if (known == name) {
      text = std::move(value);
      return;
    }
  values_.emplace_back(name, std::move(value));
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw(Clock::now(), true);
}

void Progress::draw(Clock::time_point now, bool last) {
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const ProgressState state{label_, done_, total_, seconds, last, values_};
  if (terminal_) {
    const bool color = std::getenv("NO_COLOR") == nullptr;
    // "\033[K" clears what a longer line before this one left behind.
    const std::string line = progress_line(state, terminal_width(out_), color);
    std::fputs(("\r" + line + (last ? "\033[K\n" : "\033[K")).c_str(), out_);
    next_draw_ = now + redraw_interval;
  } else {
    std::fputs((progress_line(state, 0, false) + '\n').c_str(), out_);
    next_draw_ = now + plain_interval;
  }
  std::fflush(out_);
}

}  // namespace tandem
