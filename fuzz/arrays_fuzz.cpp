// Any bytes as a .npy, .npz, safetensors, IDX, CSV or picture file: an error or arrays, never a crash.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "tandem/data/csv.h"
#include "tandem/data/idx.h"
#include "tandem/data/image.h"
#include "tandem/data/npy.h"
#include "tandem/data/safetensors.h"
#include "tandem/error.h"

namespace {

/// The readers take files, so the bytes become one, in memory.
std::string file_of(const uint8_t* data, size_t size) {
  static const int file = memfd_create("fuzz", 0);
  if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  return "/proc/self/fd/" + std::to_string(file);
}

template <class Read>
void attempt(Read&& read) {
  try {
    read();
  } catch (const tandem::Error&) {
    // The answer for what is no such file.
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = file_of(data, size);
  attempt([&] { tandem::data::read_npy(path); });
  attempt([&] { tandem::data::read_npz(path); });
  attempt([&] { tandem::load_weights(path); });
  attempt([&] { tandem::data::read_idx(path); });
  attempt([&] { tandem::data::read_csv(path); });
  attempt([&] { tandem::data::read_image(path, {.most_pixels = 1 << 16}); });
  return 0;
}
