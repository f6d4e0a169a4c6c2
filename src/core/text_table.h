#pragma once
// Text for people: aligned tables, and numbers with their units.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

/// Three significant digits and the unit that suits: "987 ns", "1.23 µs", "45.6 ms", "7.89 s"; "-" for NaN.
std::string format_time(double nanoseconds);
/// "1,234,567".
std::string format_count(int64_t count);
/// "512 B", "1.5 KiB", "4.2 MiB".
std::string format_bytes(uint64_t bytes);
/// Columns that UTF-8 text takes on a terminal: its code points.
int display_width(std::string_view text);

/// Rows of cells under a header. The first column stands left, the others right, unless `align` says else.
class TextTable {
 public:
  enum class Align : uint8_t { left, right };

  explicit TextTable(std::vector<std::string> header);
  TextTable& align(int column, Align align);
  /// Adds a row; missing cells at its end are blank.
  void add(std::vector<std::string> cells);
  /// Adds a line between the rows before and after.
  void add_rule();
  /// The table, each line indented and ended by a newline.
  std::string to_string(int indent = 0) const;

 private:
  std::vector<std::string> header_;
  std::vector<Align> align_;
  std::vector<std::vector<std::string>> rows_;  // a rule is a row without cells
};

}  // namespace tandem
