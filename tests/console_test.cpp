// Tables, numbers with units, and progress bars.

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "core/progress_line.h"
#include "core/text_table.h"
#include "tandem/progress.h"

namespace td = tandem;

TEST(Format, TimesCarryThreeDigitsAndTheUnitThatSuits) {
  EXPECT_EQ(td::format_time(0), "0 ns");
  EXPECT_EQ(td::format_time(0.42), "0.42 ns");
  EXPECT_EQ(td::format_time(47.25), "47.2 ns");
  EXPECT_EQ(td::format_time(50), "50 ns");
  EXPECT_EQ(td::format_time(987.4), "987 ns");
  EXPECT_EQ(td::format_time(999.7), "1.00 µs");
  EXPECT_EQ(td::format_time(1234), "1.23 µs");
  EXPECT_EQ(td::format_time(9996), "10.0 µs");
  EXPECT_EQ(td::format_time(45.6e6), "45.6 ms");
  EXPECT_EQ(td::format_time(7.891e9), "7.89 s");
  EXPECT_EQ(td::format_time(1234e9), "1234 s");
  EXPECT_EQ(td::format_time(-1500), "-1.50 µs");
  EXPECT_EQ(td::format_time(std::nan("")), "-");
}

TEST(Format, CountsAreGroupedByThousands) {
  EXPECT_EQ(td::format_count(0), "0");
  EXPECT_EQ(td::format_count(999), "999");
  EXPECT_EQ(td::format_count(1000), "1,000");
  EXPECT_EQ(td::format_count(1234567), "1,234,567");
  EXPECT_EQ(td::format_count(-100000), "-100,000");
  EXPECT_EQ(td::format_count(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(Format, BytesUsePowersOf1024) {
  EXPECT_EQ(td::format_bytes(0), "0 B");
  EXPECT_EQ(td::format_bytes(1023), "1023 B");
  EXPECT_EQ(td::format_bytes(1536), "1.5 KiB");
  EXPECT_EQ(td::format_bytes((1u << 20) - 1), "1.0 MiB");
  EXPECT_EQ(td::format_bytes(UINT64_MAX), "16.0 EiB");
}

TEST(TextTable, ColumnsAreAlignedByDisplayWidth) {
  td::TextTable table({"", "eager", "graph", "note"});
  table.align(3, td::TextTable::Align::left);
  table.add({"first call", "12.3 µs", "456 µs", "α β"});
  table.add_rule();
  table.add({"median", "1.23 µs", "0.99 µs"});
  EXPECT_EQ(table.to_string(2),
            "                eager    graph  note\n"
            "  ──────────────────────────────────\n"
            "  first call  12.3 µs   456 µs  α β\n"
            "  ──────────────────────────────────\n"
            "  median      1.23 µs  0.99 µs\n");
}

TEST(ProgressLine, SaysHowFarHowFastAndHowLong) {
  td::ProgressState state{
      .label = "train", .done = 150, .total = 600, .seconds = 2, .values = {{"loss", "0.5"}}};
  EXPECT_EQ(td::progress_line(state, 80, false),
            "train  25% ▕██████▊                    ▏ 150/600 · 6.0 s left · 75/s · loss 0.5");
  EXPECT_EQ(td::progress_line(state, 0, false), "train  25% 150/600 · 6.0 s left · 75/s · loss 0.5");
  state.done = 600;
  state.seconds = 125;
  state.finished = true;
  EXPECT_EQ(td::progress_line(state, 0, false), "train 600/600 in 2:05 · 4.8/s · loss 0.5");
}

TEST(ProgressLine, WorksWithoutATotal) {
  const td::ProgressState state{.label = "read", .done = 12345, .total = 0, .seconds = 0.1};
  EXPECT_EQ(td::progress_line(state, 80, false), "read 12,345 · 123 k/s");
}

TEST(ProgressLine, NeverReachesTheLastColumn) {
  const td::ProgressState state{.label = "a ~ long ~ label ~ µ",
                                .done = 150,
                                .total = 600,
                                .seconds = 2,
                                .values = {{"loss", "0.5"}, {"accuracy", "0.9"}}};
  for (int width = 1; width < 140; ++width)
    EXPECT_LT(td::display_width(td::progress_line(state, width, false)), width) << width;
}

TEST(Progress, WritesPlainLinesToAFile) {
  std::FILE* file = std::tmpfile();
  {
    td::Progress progress(3, "count", file);
    for (int i = 0; i < 3; ++i) {
      progress.set("i", i);
      progress.advance();
    }
  }
  std::rewind(file);
  char text[200] = {};
  const size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  const std::string line(text, size);
  EXPECT_EQ(line.substr(0, 13), "count 3/3 in ") << line;
  EXPECT_EQ(line.substr(line.size() - 5), " i 2\n") << line;
  EXPECT_EQ(line.find_first_of("\r\033"), std::string::npos) << line;
}

TEST(Progress, RedrawsInPlaceOnATerminal) {
  int master = 0, slave = 0;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  std::FILE* terminal = fdopen(slave, "w");
  {
    td::Progress progress(3, "count", terminal);
    progress.advance(3);
  }
  // A terminal hands over what was written piece by piece.
  std::string drawn;
  char text[4000];
  while (drawn.find('\n') == std::string::npos) {
    const ssize_t size = read(master, text, sizeof text);
    ASSERT_GT(size, 0) << drawn;
    drawn.append(text, static_cast<size_t>(size));
  }
  std::fclose(terminal);
  close(master);
  EXPECT_EQ(std::count(drawn.begin(), drawn.end(), '\n'), 1) << drawn;
  EXPECT_GE(std::count(drawn.begin(), drawn.end(), '\r'), 2) << drawn;
  EXPECT_NE(drawn.find("3/3"), std::string::npos) << drawn;
}
