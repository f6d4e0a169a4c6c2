#include "data/csv_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/check.h"

namespace tandem::data {

namespace {

constexpr int64_t rows_a_place = 64;
// More texts than this in a column are names or sentences, and no categories.
constexpr size_t most_categories = 100000;
constexpr size_t shown_bytes = 60;

std::string shown(std::string_view field) {
  std::string text(field.substr(0, shown_bytes));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32) c = '?';  // what terminals would obey
  return fmt::format("\"{}{}\"", text, field.size() > shown_bytes ? "..." : "");
}

std::string_view trimmed(std::string_view field) {
  while (!field.empty() && (field.front() == ' ' || field.front() == '\t')) field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.remove_suffix(1);
  return field;
}

bool parse_number(std::string_view field, double& value) {
  if (field.starts_with('+')) field.remove_prefix(1);
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc() && end == field.data() + field.size();
}

// Whole numbers that a double holds exactly.
bool is_whole(double value) { return std::trunc(value) == value && std::abs(value) <= 0x1p53; }

bool fits(double value, DType dtype) {
  if (is_floating(dtype)) return true;
  const int bits =
      dtype == DType::boolean ? 1 : static_cast<int>(size_of(dtype)) * 8 - (is_signed(dtype) ? 1 : 0);
  return is_whole(value) && value < std::ldexp(1.0, bits) &&
         value >= (is_signed(dtype) ? -std::ldexp(1.0, bits) : 0);
}

}  // namespace

bool CsvReader::next(std::vector<std::string_view>& fields) {
  fields.clear();
  unquoted_.clear();
  const auto skip_line_end = [&] {
    if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
    ++at_;
    ++line_;
  };
  while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) skip_line_end();
  if (at_ == text_.size()) return false;
  row_line_ = line_;
  for (;;) {
    std::string_view field;
    if (at_ < text_.size() && text_[at_] == '"') {
      field = quoted();
    } else {
      const size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != separator_ && text_[at_] != '\n' && text_[at_] != '\r')
        ++at_;
      field = trimmed(text_.substr(begin, at_ - begin));
    }
    fields.push_back(field);
    if (at_ == text_.size()) return true;
    if (text_[at_] == separator_) {
      ++at_;
      continue;
    }
    TD_CHECK(text_[at_] == '\n' || text_[at_] == '\r', ErrorCode::io,
             "{}:{}: behind a closing quote stands neither a separator nor the line's end", path_, line_);
    skip_line_end();
    return true;
  }
}

std::string_view CsvReader::quoted() {
  const int64_t line = line_;
  const size_t begin = ++at_;
  bool doubled = false;
  for (;; ++at_) {
    TD_CHECK(at_ < text_.size(), ErrorCode::io, "{}:{}: a quote is never closed", path_, line);
    if (text_[at_] == '\n') ++line_;
    if (text_[at_] != '"') continue;
    if (at_ + 1 == text_.size() || text_[at_ + 1] != '"') break;
    doubled = true;
    ++at_;
  }
  const std::string_view field = text_.substr(begin, at_ - begin);
  ++at_;
  if (!doubled) return field;
  auto& plain = *unquoted_.emplace_back(std::make_shared<std::string>());
  for (size_t i = 0; i < field.size(); ++i) {
    plain += field[i];
    if (field[i] == '"') ++i;
  }
  return plain;
}

void CsvFile::refuse(int64_t line, const std::string& what) const {
  fail(ErrorCode::io, "{}:{}: {}", path_, line, what);
}

CsvFile::CsvFile(const std::string& path, const CsvOptions& options)
    : path_(path),
      options_(options),
      file_(MappedFile::open(path)),
      missing_(options.missing.begin(), options.missing.end()) {
  std::string_view text(reinterpret_cast<const char*>(file_->data()), file_->size());
  CsvReader reader(path_, text, options_.separator);
  if (text.starts_with("\xef\xbb\xbf")) reader.go_to(3, 1);  // a mark that some programs put first
  read_header(reader);
  scan(reader);
}

void CsvFile::read_header(CsvReader& reader) {
  std::vector<std::string> names = options_.names;
  std::vector<std::string_view> fields;
  const size_t begin = reader.offset();
  TD_CHECK(reader.next(fields), ErrorCode::io, "{}: the file has no rows", path_);
  width_ = fields.size();
  if (options_.header)
    names.assign(fields.begin(), fields.end());
  else
    reader.go_to(begin, 1);
  if (names.empty())
    for (size_t i = 0; i < width_; ++i) names.push_back(std::to_string(i));
  if (names.size() != width_)
    refuse(reader.line(),
           fmt::format("the row has {} columns, but {} names are given", width_, names.size()));
  std::map<std::string_view, size_t> fields_by_name;
  for (size_t i = 0; i < names.size(); ++i)
    if (!fields_by_name.emplace(names[i], i).second)
      refuse(1, fmt::format("two columns have the name {}", shown(names[i])));
  const auto find = [&](const std::string& name) {
    const auto at = fields_by_name.find(name);
    if (at == fields_by_name.end())
      refuse(1, fmt::format("there is no column \"{}\"; the columns are {}", name, fmt::join(names, ", ")));
    return at->second;
  };
  for (const auto& [name, unused] : options_.types) find(name);
  for (const auto& [name, unused] : options_.categories) find(name);
  for (const auto& [name, unused] : options_.fill) find(name);
  if (!options_.label.empty()) find(options_.label);
  for (const std::string& name : options_.select.empty() ? names : options_.select) {
    Column column{.name = name, .field = find(name)};
    if (const auto fill = options_.fill.find(name); fill != options_.fill.end()) column.fill = fill->second;
    columns_.push_back(std::move(column));
  }
}

bool CsvFile::is_missing(std::string_view field) const { return missing_.contains(field); }

void CsvFile::scan(const CsvReader& from_start) {
  struct Seen {
    bool numbers = true, whole = true, missing = false;
  };
  std::vector<Seen> seen(columns_.size());
  std::vector<std::string_view> fields;
  const auto is_open = [&](const Column& column) {
    return !options_.types.contains(column.name) && !options_.categories.contains(column.name);
  };
  for (CsvReader reader = from_start;;) {
    const Place place{reader.offset(), reader.next_line()};
    if (!reader.next(fields)) break;
    if (fields.size() != width_)
      refuse(reader.line(), fmt::format("the row has {} column{}; expected {}", fields.size(),
                                        fields.size() == 1 ? "" : "s", width_));
    if (rows_++ % rows_a_place == 0) places_.push_back(place);
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string_view field = fields[columns_[i].field];
      if (!is_open(columns_[i]) || !seen[i].numbers) continue;
      double value = 0;
      if (is_missing(field))
        seen[i].missing = true;
      else if (!parse_number(field, value))
        seen[i].numbers = false;
      else
        seen[i].whole = seen[i].whole && is_whole(value) && field.find_first_of(".eE") == field.npos;
    }
  }
  bool categories = false;
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    const auto type = options_.types.find(column.name);
    const auto given = options_.categories.find(column.name);
    column.is_category = given != options_.categories.end() || (is_open(column) && !seen[i].numbers);
    if (given != options_.categories.end()) column.categories = given->second;
    if (type != options_.types.end())
      column.dtype = type->second;
    else
      column.dtype = column.is_category || (seen[i].whole && (!seen[i].missing || column.fill)) ? DType::i64
                                                                                                : DType::f32;
    categories = categories || (column.is_category && is_open(column));
  }
  if (categories) collect_categories(from_start);
  for (Column& column : columns_)
    for (size_t i = 0; i < column.categories.size(); ++i)
      column.codes.emplace(column.categories[i], static_cast<int64_t>(i));
}

// Only a whole look at a column says that it holds categories, so their texts take a second one.
void CsvFile::collect_categories(CsvReader reader) {
  std::vector<std::set<std::string, std::less<>>> texts(columns_.size());
  std::vector<std::string_view> fields;
  while (reader.next(fields))
    for (size_t i = 0; i < columns_.size(); ++i) {
      const Column& column = columns_[i];
      const std::string_view field = fields[column.field];
      if (!column.is_category || options_.categories.contains(column.name) || is_missing(field)) continue;
      if (!texts[i].contains(field)) texts[i].emplace(field);
      if (texts[i].size() > most_categories)
        refuse(reader.line(),
               fmt::format("column \"{}\" has more than {} different texts: too many for categories; "
                           "`select` leaves it out",
                           column.name, most_categories));
    }
  for (size_t i = 0; i < columns_.size(); ++i)
    if (!texts[i].empty()) columns_[i].categories.assign(texts[i].begin(), texts[i].end());
}

CsvReader CsvFile::reader_at(int64_t row) const {
  CsvReader reader(path_, {reinterpret_cast<const char*>(file_->data()), file_->size()}, options_.separator);
  if (places_.empty()) return reader;
  const Place place = places_[static_cast<size_t>(row / rows_a_place)];
  reader.go_to(place.offset, place.line);
  std::vector<std::string_view> fields;
  for (int64_t i = 0; i < row % rows_a_place; ++i) next_row(reader, fields);
  return reader;
}

void CsvFile::next_row(CsvReader& reader, std::vector<std::string_view>& fields) const {
  TD_CHECK(reader.next(fields) && fields.size() == width_, ErrorCode::io,
           "{}: the file has changed while in use", path_);
}

double CsvFile::value_of(const Column& column, std::string_view field, int64_t line) const {
  if (column.is_category) {
    if (const auto found = column.codes.find(field); found != column.codes.end())
      return static_cast<double>(found->second);
    if (is_missing(field)) return -1;
    refuse(line, fmt::format("column \"{}\": {} is none of its categories: {}", column.name, shown(field),
                             fmt::join(column.categories, ", ")));
  }
  double value = 0;
  if (is_missing(field)) {
    if (column.fill) return *column.fill;
    if (is_floating(column.dtype)) return std::nan("");
    refuse(line, fmt::format("column \"{}\": a value is missing, and {} has none for that; `fill` gives one",
                             column.name, column.dtype));
  }
  if (!parse_number(field, value))
    refuse(line, fmt::format("column \"{}\": {} is no number", column.name, shown(field)));
  if (!fits(value, column.dtype))
    refuse(line, fmt::format("column \"{}\": {} does not fit {}", column.name, shown(field), column.dtype));
  return value;
}

}  // namespace tandem::data
