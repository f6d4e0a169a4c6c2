#include "core/text_table.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace tandem {

namespace {

constexpr int column_gap = 2;

/// Three significant digits, without an exponent: 1.23, 12.3, 123, 1230.
std::string three_digits(double value) {
  const double magnitude = std::abs(value);
  // The limits lie where rounding would give a fourth digit: 9.996 becomes 10.0, not 10.00.
  return fmt::format("{:.{}f}", value, magnitude < 9.995 ? 2 : magnitude < 99.95 ? 1 : 0);
}

}  // namespace

std::string format_time(double nanoseconds) {
  if (std::isnan(nanoseconds)) return "-";
  const double magnitude = std::abs(nanoseconds);
  if (magnitude < 999.5)
    return magnitude < 99.95 && magnitude != std::floor(magnitude) ? three_digits(nanoseconds) + " ns"
                                                                   : fmt::format("{:.0f} ns", nanoseconds);
  if (magnitude < 999.5e3) return three_digits(nanoseconds / 1e3) + " µs";
  if (magnitude < 999.5e6) return three_digits(nanoseconds / 1e6) + " ms";
  return three_digits(nanoseconds / 1e9) + " s";
}

std::string format_count(int64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool starts_number = text.empty() || text == "-";
    if (!starts_number && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string format_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  constexpr std::string_view units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < std::size(units); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

int display_width(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TextTable::TextTable(std::vector<std::string> header)
    : header_(std::move(header)), align_(header_.size(), Align::right) {
  TD_ASSERT(!header_.empty());
  align_[0] = Align::left;
}

TextTable& TextTable::align(int column, Align align) {
  align_.at(static_cast<size_t>(column)) = align;
  return *this;
}

void TextTable::add(std::vector<std::string> cells) {
  TD_ASSERT(!cells.empty() && cells.size() <= header_.size());
  cells.resize(header_.size());
  rows_.push_back(std::move(cells));
}

void TextTable::add_rule() { rows_.emplace_back(); }

std::string TextTable::to_string(int indent) const {
  std::vector<int> widths;
  for (const std::string& cell : header_) widths.push_back(display_width(cell));
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  int total = column_gap * (static_cast<int>(widths.size()) - 1);
  for (int width : widths) total += width;

  std::string text;
  const auto add_line = [&](const std::vector<std::string>& cells) {
    std::string line(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string padding(static_cast<size_t>(widths[i] - display_width(cells[i])), ' ');
      if (i > 0) line.append(column_gap, ' ');
      line += align_[i] == Align::left ? cells[i] + padding : padding + cells[i];
    }
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  };
  const auto rule = [&] {
    text.append(static_cast<size_t>(indent), ' ');
    for (int i = 0; i < total; ++i) text += "─";
    text += '\n';
  };
  add_line(header_);
  rule();
  for (const auto& row : rows_)
    if (row.empty())
      rule();
    else
      add_line(row);
  return text;
}

}  // namespace tandem
