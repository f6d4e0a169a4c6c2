#include "tandem/data/csv.h"

#include <algorithm>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/csv_file.h"
#include "data/stages.h"
#include "tandem/ops/shape.h"

namespace tandem::data {

namespace {

using detail::Rows;
using detail::StageHandle;

/// Doubles as a tensor of the column's dtype. Errors: a number that the dtype has not.
Tensor tensor_of(const CsvFile::Column& column, std::vector<double> values, const Shape& shape) {
  return from_vector(std::move(values), shape).to(column.dtype);
}

class CsvRows final : public Rows {
 public:
  CsvRows(const std::string& path, const CsvOptions& options) : file_(path, options), options_(options) {}
  int64_t count() const override { return file_.rows(); }
  Nest at(int64_t i) const override { return read(i, 1, {}); }
  Nest gather(std::span<const int64_t> rows) const override {
    if (!rows.empty() && rows.back() - rows.front() + 1 == static_cast<int64_t>(rows.size()) &&
        std::is_sorted(rows.begin(), rows.end()))
      return read(rows.front(), static_cast<int64_t>(rows.size()), {static_cast<int64_t>(rows.size())});
    return Rows::gather(rows);
  }

 private:
  Nest read(int64_t first, int64_t count, const Shape& shape) const {
    std::vector<std::vector<double>> values(file_.columns().size());
    file_.read(first, count, [&](const CsvFile::Column& column, double value) {
      values[&column - file_.columns().data()].push_back(value);
    });
    std::vector<double> vector;
    std::map<std::string, Tensor> scalars;
    Tensor label;
    for (size_t i = 0; i < values.size(); ++i) {
      const CsvFile::Column& column = file_.columns()[i];
      if (column.name == options_.label)
        label = tensor_of(column, std::move(values[i]), shape);
      else if (!options_.vector)
        scalars.emplace(column.name, tensor_of(column, std::move(values[i]), shape));
    }
    Nest features(scalars);
    if (options_.vector) {
      std::vector<float> numbers;
      for (int64_t row = 0; row < count; ++row)
        for (size_t i = 0; i < values.size(); ++i)
          if (file_.columns()[i].name != options_.label)
            numbers.push_back(static_cast<float>(values[i][row]));
      Shape whole = shape;
      whole.push_back(static_cast<int64_t>(numbers.size()) / count);
      features = Nest(from_vector(std::move(numbers), whole));
    }
    return options_.label.empty() ? features : Nest{features, label};
  }

  CsvFile file_;
  CsvOptions options_;
};

}  // namespace

std::vector<std::string> CsvTable::names() const {
  std::vector<std::string> names;
  for (const Column& column : columns_) names.push_back(column.name);
  return names;
}

const CsvTable::Column& CsvTable::column(const std::string& name) const {
  for (const Column& column : columns_)
    if (column.name == name) return column;
  fail("the table has no column \"{}\"; its columns are {}", name, fmt::join(names(), ", "));
}

Tensor CsvTable::matrix(const std::vector<std::string>& names, DType dtype) const {
  TD_CHECK(!names.empty(), "matrix: no column is named");
  std::vector<Tensor> columns;
  for (const std::string& name : names) columns.push_back(cast((*this)[name], dtype));
  return stack(columns, 1);
}

CsvTable read_csv(const std::string& path, const CsvOptions& options) {
  const CsvFile file(path, options);
  std::vector<std::vector<double>> values(file.columns().size());
  file.read(0, file.rows(), [&](const CsvFile::Column& column, double value) {
    values[&column - file.columns().data()].push_back(value);
  });
  std::vector<CsvTable::Column> columns;
  for (size_t i = 0; i < values.size(); ++i) {
    const CsvFile::Column& column = file.columns()[i];
    columns.push_back(
        {column.name, tensor_of(column, std::move(values[i]), {file.rows()}), column.categories});
  }
  return CsvTable(std::move(columns), file.rows());
}

Dataset csv_rows(const std::string& path, const CsvOptions& options) {
  return Dataset(detail::rows_stage("csv_rows", std::make_shared<CsvRows>(path, options)));
}

}  // namespace tandem::data
