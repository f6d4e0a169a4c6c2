// Any bytes as a PNG or JPEG file: an error with the file's name or a picture, never a crash.

#include "fuzz/support.h"
#include "tandem/data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t channels[] = {0, 1, 3, 4};
  const std::string path = fuzz::file_of(data, size);
  // The last byte, which hardly says anything in either format, picks the form asked for.
  const int64_t wanted = channels[size == 0 ? 0 : data[size - 1] & 3];
  try {
    tandem::data::read_image(path, {.channels = wanted, .most_pixels = 1 << 16});
  } catch (const tandem::Error& e) {
    if (e.message().find(path) == std::string::npos) std::abort();
  }
  return 0;
}
