#pragma once
// The demo's figures, for people and as JSON.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tandem/compare.h"

namespace tandem::cli {

/// What one comparison found.
struct Figures {
  Comparison comparison;
  std::optional<double> accuracy;  // of what was trained, on images held back
};

/// Writes a list of objects, one for each comparison. Errors (io): the file cannot be written.
void write_json(const std::string& path, const std::vector<Figures>& figures);

}  // namespace tandem::cli
