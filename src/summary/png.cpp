#include "summary/png.h"

#include <zlib.h>

#include "core/check.h"

namespace tandem::summary {

namespace {

void append(std::string& to, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(value >> shift);
}

/// Length, kind, data, checksum of kind and data.
void append_chunk(std::string& to, const char* kind, const std::string& data) {
  append(to, static_cast<uint32_t>(data.size()));
  const std::string checked = kind + data;
  to += checked;
  append(to, static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(checked.data()),
                                         static_cast<uInt>(checked.size()))));
}

}  // namespace

std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int64_t channels) {
  constexpr char colour_types[] = {0, 4, 2, 6};
  std::string header;
  append(header, static_cast<uint32_t>(width));
  append(header, static_cast<uint32_t>(height));
  header += {8, colour_types[channels - 1], 0, 0, 0};  // bits a channel; methods; not interlaced
  // Each row begins with the number of its filter: none.
  std::string rows;
  const auto row_size = static_cast<size_t>(width * channels);
  for (int64_t y = 0; y < height; ++y) {
    rows += '\0';
    rows.append(reinterpret_cast<const char*>(pixels.data()) + static_cast<size_t>(y) * row_size, row_size);
  }
  uLongf size = compressBound(static_cast<uLong>(rows.size()));
  std::string packed(size, '\0');
  const int result = compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                              reinterpret_cast<const Bytef*>(rows.data()), static_cast<uLong>(rows.size()));
  TD_ASSERT(result == Z_OK);
  packed.resize(size);

  std::string png = "\x89PNG\r\n\x1a\n";
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", packed);
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace tandem::summary
