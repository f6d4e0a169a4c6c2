#include "tandem/nn/logs.h"

#include <algorithm>
#include <ostream>

#include "core/check.h"

namespace tandem::nn {

namespace {

std::string listed(const Logs::Entries& entries) {
  std::string text;
  for (const auto& [name, value] : entries) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

const double* Logs::find(const std::string& name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return &value;
  return nullptr;
}

double Logs::operator[](const std::string& name) const {
  const double* value = find(name);
  TD_CHECK(value != nullptr, "there is no result \"{}\"; there are: {}", name, listed(entries_));
  return *value;
}

void Logs::set(const std::string& name, double value) {
  for (auto& [key, known] : entries_)
    if (key == name) {
      known = value;
      return;
    }
  entries_.emplace_back(name, value);
}

void Logs::clear() {
  entries_.clear();
  outputs_ = Nest();
}

std::ostream& operator<<(std::ostream& out, const Logs& logs) {
  const char* separator = "";
  for (const auto& [name, value] : logs.entries()) {
    out << separator << fmt::format("{}: {:.4f}", name, value);
    separator = " - ";
  }
  return out;
}

std::vector<double> History::operator[](const std::string& name) const {
  std::vector<double> values;
  Logs seen;
  for (const Logs& logs : epochs) {
    if (const double* value = logs.find(name)) values.push_back(*value);
    for (const auto& [key, value] : logs.entries()) seen.set(key, value);
  }
  TD_CHECK(!values.empty(), "there is no result \"{}\"; there are: {}", name, listed(seen.entries()));
  return values;
}

}  // namespace tandem::nn
