// Any bytes as a CSV file or as lines of text: an error with the file's name or a table, never a crash.

#include "fuzz/support.h"
#include "tandem/data/csv.h"
#include "tandem/data/text.h"

namespace {

void check(const tandem::data::CsvOptions& options, const std::string& path) {
  try {
    const tandem::data::CsvTable table = tandem::data::read_csv(path, options);
    // The same rows, a few at a time.
    auto rows = tandem::data::csv_rows(path, options).batch(3).iterate();
    while (rows.next()) {
    }
    if (table.columns().empty()) std::abort();
  } catch (const tandem::Error& e) {
    if (e.message().find(path) == std::string::npos) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = fuzz::file_of(data, size);
  check({}, path);
  check({.separator = ';', .header = false}, path);
  fuzz::attempt([&] {
    auto lines = tandem::data::text_lines(path).iterate();
    while (lines.next()) {
    }
    const std::string text = tandem::data::read_text(path);
    const tandem::data::CharacterCodes codes(text);
    if (codes.decode(codes.encode(text)) != text) std::abort();
  });
  return 0;
}
