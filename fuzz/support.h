#pragma once
// What fuzz targets share.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tandem/error.h"

namespace fuzz {

/// The path of a file in memory with these bytes; the next call overwrites it.
inline std::string file_of(const uint8_t* data, size_t size) {
  static const int file = memfd_create("fuzz", 0);
  if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  return "/proc/self/fd/" + std::to_string(file);
}

/// Runs `read`; an error of ours is as good as a result.
template <class Read>
void attempt(Read&& read) {
  try {
    read();
  } catch (const tandem::Error&) {
    // The answer for what is no such file.
  }
}

}  // namespace fuzz
