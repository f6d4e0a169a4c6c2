#pragma once
// Tables in CSV files: numbers, and texts as the codes of categories.

#include <map>
#include <string>
#include <vector>

#include "tandem/data/dataset.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// How a CSV file is read.
struct CsvOptions {
  char separator = ',';
  /// The first line names the columns. Otherwise `names` does, or they are "0", "1", ...
  bool header = true;
  std::vector<std::string> names = {};
  /// Columns to read, in this order; all by default.
  std::vector<std::string> select = {};
  /// Dtypes of number columns. Default: int64 where every value is a whole number, else float32.
  std::map<std::string, DType> types = {};
  /// The texts of category columns, by code; texts outside are errors. Default: a column with a value that is
  /// no number holds categories, its texts in alphabetical order.
  std::map<std::string, std::vector<std::string>> categories = {};
  /// Texts that mean that a value is missing.
  std::vector<std::string> missing = {"", "NA", "N/A", "NaN", "nan", "null", "?"};
  /// What stands for a missing number, by column. Default: NaN, and an error in a column of integers. A
  /// missing category is code -1.
  std::map<std::string, double> fill = {};
  /// csv_rows only: elements are `[features, label]`, the features without this column.
  std::string label = {};
  /// csv_rows only: features are one float32 vector, in the order of the columns, instead of scalars by name.
  bool vector = false;
};

/// A table in memory: a tensor a column.
class CsvTable {
 public:
  struct Column {
    std::string name;
    Tensor values;                        ///< (rows,): numbers, or int64 codes
    std::vector<std::string> categories;  ///< the text of each code; empty for numbers
  };
  CsvTable(std::vector<Column> columns, int64_t rows) : columns_(std::move(columns)), rows_(rows) {}

  int64_t rows() const { return rows_; }
  const std::vector<Column>& columns() const { return columns_; }
  std::vector<std::string> names() const;
  /// Errors: no such column; the message lists them.
  const Column& column(const std::string& name) const;
  /// A column's values. `table["median_income"]`
  const Tensor& operator[](const std::string& name) const { return column(name).values; }
  /// Several columns side by side, (rows, names): float32 by default.
  Tensor matrix(const std::vector<std::string>& names, DType dtype = DType::f32) const;

 private:
  std::vector<Column> columns_;
  int64_t rows_ = 0;
};

/// Reads a whole table.
///
///     auto table = td::data::read_csv("housing.csv");
///     td::Tensor x = table.matrix({"longitude", "latitude"}), y = table["median_house_value"];
///     table.column("ocean_proximity").categories;   // {"<1H OCEAN", "INLAND", ...}
///
/// Errors (io), with file and line: missing or surplus columns, values that are no numbers, unclosed quotes.
CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

/// A table's rows, read from the file as they are needed: one look at the whole finds the types, the
/// categories and every 64th row's place; so files larger than memory do, and shuffling is of all rows. An
/// element is a map of scalars by column; see CsvOptions' label and vector. Errors as read_csv.
///
///     auto [train, test] = td::data::csv_rows("housing.csv", {.label = "median_house_value", .vector =
///     true})
///                              .split(0.8, 42);
Dataset csv_rows(const std::string& path, const CsvOptions& options = {});

}  // namespace tandem::data
