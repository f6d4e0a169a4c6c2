#include "story.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/text_table.h"

namespace tandem::cli {

namespace {

constexpr int page_width = 92;

bool uses_color() {
  static const bool color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  return color;
}

std::string painted(std::string_view code, std::string_view text) {
  return uses_color() ? fmt::format("\033[{}m{}\033[0m", code, text) : std::string(text);
}

void write(const std::string& text) { std::fputs(text.c_str(), stdout); }

bool after_check = false;  // checks in a row stand close

/// A blank line before the next thing, once there is one.
void gap() {
  after_check = false;
  static bool first = true;
  if (!first) write("\n");
  first = false;
}

}  // namespace

void heading(int act, std::string_view title) {
  const std::string line = fmt::format("{}  {}", act, title);
  std::string rule;
  for (int i = 0; i < page_width; ++i) rule += "─";
  gap();
  write(fmt::format("{}\n{}\n", painted("1", line), painted("2", rule)));
}

void paragraph(std::string_view text) {
  gap();
  std::string line;
  const auto flush = [&] {
    write(line + '\n');
    line.clear();
  };
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && display_width(line) + 1 + display_width(word) > page_width) flush();
    if (!line.empty()) line += ' ';
    line += word;
  }
  flush();
}

void code(std::string_view text) {
  gap();
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    write("    " + painted("36", text.substr(0, end)) + '\n');
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void table(std::string_view text) {
  gap();
  write(std::string(text));
}

bool check(bool holds, std::string_view what) {
  if (!after_check) gap();
  after_check = true;
  write(fmt::format("{} {}\n", holds ? painted("32", "✓") : painted("31", "✗ FAILED:"), what));
  return holds;
}

}  // namespace tandem::cli
