#include "nn/training/display.h"

#include <cstdio>

namespace tandem::nn::detail {

void Display::begin(const std::string& label, int64_t batches) {
  if (verbose_ > 0) progress_.emplace(batches, label, stdout, verbose_ == 1);
}

void Display::show(const Logs& logs) {
  if (!progress_) return;
  for (const auto& [name, value] : logs.entries()) progress_->set(name, value);
}

void Display::advance(int64_t batches) {
  if (progress_) progress_->advance(batches);
}

void Display::end(const Logs& logs) {
  show(logs);
  progress_.reset();
}

}  // namespace tandem::nn::detail
