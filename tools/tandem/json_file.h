#pragma once
// What `--json FILE` writes.

#include <nlohmann/json.hpp>
#include <string>

namespace tandem::cli {

/// "-" is the standard output. Errors (io): the file cannot be written.
void write_json_file(const std::string& path, const nlohmann::ordered_json& value);

}  // namespace tandem::cli
