#pragma once
// CSV files as bytes: rows of fields, their types, and where rows begin.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/mapped_file.h"
#include "tandem/data/csv.h"

namespace tandem::data {

/// Takes a table apart, row by row. Fields may stand in quotes, with "" for a quote, and then hold separators
/// and line ends. Empty lines are no rows.
class CsvReader {
 public:
  CsvReader(const std::string& path, std::string_view text, char separator)
      : path_(path), text_(text), separator_(separator) {}
  /// The next row's fields; false at the end.
  bool next(std::vector<std::string_view>& fields);
  void go_to(size_t offset, int64_t line) {
    at_ = offset;
    line_ = line;
  }
  size_t offset() const { return at_; }
  /// Of the row read last; of what comes, before the first.
  int64_t line() const { return row_line_; }
  int64_t next_line() const { return line_; }

 private:
  std::string_view quoted();

  const std::string& path_;
  std::string_view text_;
  char separator_;
  size_t at_ = 0;
  int64_t line_ = 1, row_line_ = 1;
  std::vector<std::shared_ptr<std::string>> unquoted_;  // fields with "" in them
};

/// What a scan of the whole file finds.
class CsvFile {
 public:
  struct Column {
    std::string name;
    size_t field = 0;  ///< which of a row's fields
    DType dtype = DType::f32;
    bool is_category = false;
    std::vector<std::string> categories;
    std::map<std::string, int64_t, std::less<>> codes;
    std::optional<double> fill;
  };

  CsvFile(const std::string& path, const CsvOptions& options);
  const std::vector<Column>& columns() const { return columns_; }
  int64_t rows() const { return rows_; }

  /// Reads rows from `first` on; `put(column, number)` gets each row's values, in the columns' order.
  template <class Put>
  void read(int64_t first, int64_t count, Put put) const {
    CsvReader reader = reader_at(first);
    std::vector<std::string_view> fields;
    for (int64_t i = 0; i < count; ++i) {
      next_row(reader, fields);
      for (const Column& column : columns_)
        put(column, value_of(column, fields[column.field], reader.line()));
    }
  }
  [[noreturn]] void refuse(int64_t line, const std::string& what) const;

 private:
  struct Place {
    size_t offset;
    int64_t line;
  };
  void read_header(CsvReader& reader);
  void scan(const CsvReader& from_start);
  void collect_categories(CsvReader reader);
  CsvReader reader_at(int64_t row) const;
  void next_row(CsvReader& reader, std::vector<std::string_view>& fields) const;
  bool is_missing(std::string_view field) const;
  double value_of(const Column& column, std::string_view field, int64_t line) const;

  std::string path_;
  CsvOptions options_;
  std::shared_ptr<const MappedFile> file_;
  std::set<std::string, std::less<>> missing_;
  size_t width_ = 0;  ///< fields of a row
  std::vector<Column> columns_;
  int64_t rows_ = 0;
  std::vector<Place> places_;  ///< of every 64th row
};

}  // namespace tandem::data
