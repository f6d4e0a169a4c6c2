#include <filesystem>
#include <iostream>

#include "core/check.h"
#include "tandem/nn/callbacks.h"

namespace tandem::nn {

CSVLogger::CSVLogger(std::string path, CSVLoggerOptions options)
    : path_(std::move(path)), options_(options) {}

void CSVLogger::on_train_begin(Logs&) {
  std::error_code ignored;
  has_header_ = options_.append && std::filesystem::file_size(path_, ignored) > 0 && !ignored;
  columns_.clear();
  file_.close();
  file_.clear();
  file_.open(path_, options_.append ? std::ios::app : std::ios::trunc);
  TD_CHECK(file_.good(), ErrorCode::io, "the file {} cannot be written", path_);
  size_ = std::filesystem::file_size(path_, ignored);
}

void CSVLogger::on_epoch_end(int64_t epoch, Logs& logs) {
  std::string lines;
  if (columns_.empty()) {
    for (const auto& [name, value] : logs.entries()) columns_.push_back(name);
    // Epochs before the first validation lack its results.
    if (info().validates)
      for (const auto& [name, value] : logs.entries())
        if (!name.starts_with("val_") && !logs.contains("val_" + name) && name != "learning_rate")
          columns_.push_back("val_" + name);
  }
  if (!has_header_) {
    lines = "epoch";
    for (const std::string& name : columns_) lines += options_.separator + name;
    lines += '\n';
  }
  lines += fmt::format("{}", epoch);
  for (const std::string& name : columns_) {
    const double* value = logs.find(name);
    lines += options_.separator + (value != nullptr ? fmt::format("{}", *value) : "NA");
  }
  write(lines + '\n', epoch);
}

void CSVLogger::write(const std::string& lines, int64_t epoch) {
  if (file_ << lines << std::flush) {
    has_header_ = true;
    size_ += lines.size();
    return;
  }
  std::cerr << "tandem: no line for epoch " << epoch + 1 << ": the file " << path_
            << " cannot be written; training goes on\n";
  // Away with half a line, for when there is room again.
  file_.close();
  file_.clear();
  std::error_code ignored;
  std::filesystem::resize_file(path_, size_, ignored);
  file_.open(path_, std::ios::app);
}

void CSVLogger::on_train_end(Logs&) { file_.close(); }

}  // namespace tandem::nn
