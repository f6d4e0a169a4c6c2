#include <array>
#include <iostream>
#include <string_view>

#include "tandem/nn/callbacks.h"

namespace tandem::nn::detail {

namespace {

// Parts of the names of results that get better as they grow.
constexpr std::array<std::string_view, 11> growing = {"acc", "auc",         "precision",  "recall",
                                                      "f1",  "fbeta",       "r2_score",   "top_k",
                                                      "iou", "sensitivity", "specificity"};

bool grows(std::string_view name) {
  for (const std::string_view part : growing)
    if (name.find(part) != std::string_view::npos) return true;
  return name.ends_with("cosine_similarity");
}

}  // namespace

Monitor::Monitor(std::string name, MonitorMode mode, double min_delta)
    : name_(std::move(name)),
      up_(mode == MonitorMode::max || (mode == MonitorMode::automatic && grows(name_))),
      min_delta_(min_delta < 0 ? -min_delta : min_delta) {}

std::optional<double> Monitor::find(const Logs& logs, const char* who) {
  if (const double* value = logs.find(name_)) return *value;
  if (!std::exchange(warned_, true)) {
    std::cerr << "tandem: " << who << " found no result \"" << name_ << "\"; there are:";
    for (const auto& [name, value] : logs.entries()) std::cerr << ' ' << name;
    std::cerr << '\n';
  }
  return std::nullopt;
}

bool Monitor::improves(double value, std::optional<double> than) const {
  if (!than) return true;
  return up_ ? value - min_delta_ > *than : value + min_delta_ < *than;
}

}  // namespace tandem::nn::detail
