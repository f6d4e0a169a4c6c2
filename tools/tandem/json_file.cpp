#include "json_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "core/check.h"

namespace tandem::cli {

void write_json_file(const std::string& path, const nlohmann::ordered_json& value) {
  const std::string text = value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
  if (path == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return;
  }
  errno = 0;
  std::ofstream file(path);
  file << text;
  file.flush();
  if (!file) fail(ErrorCode::io, "{}: cannot be written: {}", path, std::strerror(errno != 0 ? errno : EIO));
}

}  // namespace tandem::cli
