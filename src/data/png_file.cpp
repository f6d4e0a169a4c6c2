#include <png.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/image_file.h"

namespace tandem::data {

bool is_png(std::span<const std::byte> bytes) {
  constexpr std::array<unsigned char, 8> magic = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

Tensor decode_png(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels) {
  struct Image : png_image {
    Image() : png_image() { version = PNG_IMAGE_VERSION; }
    ~Image() { png_image_free(this); }
  } image;
  const auto check = [&](bool fine) { TD_CHECK(fine, ErrorCode::io, "damaged PNG data: {}", image.message); };
  check(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  const int64_t height = image.height, width = image.width;
  TD_CHECK(height <= most_pixels / std::max<int64_t>(width, 1), ErrorCode::io,
           "the picture says it has {} by {} pixels; at most {} are read", height, width, most_pixels);
  const bool has_color = (image.format & PNG_FORMAT_FLAG_COLOR) != 0;
  const bool has_alpha = (image.format & PNG_FORMAT_FLAG_ALPHA) != 0;
  if (channels == 0) channels = has_alpha ? 4 : has_color ? 3 : 1;
  // Samples are taken as they are, whatever the file says of its colours: as other readers do.
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  image.format = channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  Tensor result = tandem::detail::empty_tensor(DType::u8, {height, width, channels});
  const png_color black = {0, 0, 0};  // behind what is transparent, where alpha is dropped
  check(png_image_finish_read(&image, &black, tandem::detail::mutable_data<uint8_t>(result), 0, nullptr) !=
        0);
  return result;
}

std::string encode_png(std::span<const uint8_t> pixels, int64_t height, int64_t width, int64_t channels) {
  constexpr uint32_t formats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.flags = PNG_IMAGE_FLAG_FAST;
  image.format = formats[channels - 1];
  image.height = static_cast<uint32_t>(height);
  image.width = static_cast<uint32_t>(width);
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  const bool written =
      png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr) != 0;
  TD_CHECK(written, ErrorCode::internal, "the picture cannot be written: {}", image.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace tandem::data
