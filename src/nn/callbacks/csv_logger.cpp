#include <filesystem>

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
}

void CSVLogger::on_epoch_end(int64_t epoch, Logs& logs) {
  if (columns_.empty()) {
    for (const auto& [name, value] : logs.entries()) columns_.push_back(name);
    // Epochs before the first validation lack its results.
    if (info().validates)
      for (const auto& [name, value] : logs.entries())
        if (!name.starts_with("val_") && !logs.contains("val_" + name) && name != "learning_rate")
          columns_.push_back("val_" + name);
    if (!has_header_) {
      file_ << "epoch";
      for (const std::string& name : columns_) file_ << options_.separator << name;
      file_ << '\n';
    }
  }
  file_ << epoch;
  for (const std::string& name : columns_) {
    file_ << options_.separator;
    if (const double* value = logs.find(name))
      file_ << fmt::format("{}", *value);
    else
      file_ << "NA";
  }
  file_ << '\n' << std::flush;
  TD_CHECK(file_.good(), ErrorCode::io, "the file {} cannot be written", path_);
}

void CSVLogger::on_train_end(Logs&) { file_.close(); }

}  // namespace tandem::nn
