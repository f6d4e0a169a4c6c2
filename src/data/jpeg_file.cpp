#include <csetjmp>
#include <cstdio>
// After <cstdio>, whose names it uses.
#include <jpeglib.h>

#include <algorithm>
#include <vector>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/image_file.h"

namespace tandem::data {

namespace {

/// The library reports errors to a function that must not return: it jumps back here.
struct Errors : jpeg_error_mgr {
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

void keep_message(j_common_ptr state) {
  auto* errors = static_cast<Errors*>(state->err);
  errors->format_message(state, errors->message);
}
[[noreturn]] void jump_back(j_common_ptr state) {
  keep_message(state);
  std::longjmp(static_cast<Errors*>(state->err)->back, 1);
}
/// Warnings are damage, too: the rest of the picture would be grey.
void note_warning(j_common_ptr state, int level) {
  if (level < 0) jump_back(state);
}

struct Decoder {
  jpeg_decompress_struct state;
  Errors errors;
};

// In these two nothing has a destructor, so that jumping over them is allowed.

bool read_header(Decoder& d, std::span<const std::byte> bytes) {
  if (setjmp(d.errors.back) != 0) return false;
  jpeg_create_decompress(&d.state);
  jpeg_mem_src(&d.state, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&d.state, TRUE);
  return true;
}

bool read_rows(Decoder& d, int64_t channels, uint8_t* to) {
  if (setjmp(d.errors.back) != 0) return false;
  d.state.out_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_EXT_RGBA;
  // One algorithm on every machine, so that the same file always gives the same bytes.
  d.state.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&d.state);
  while (d.state.output_scanline < d.state.output_height) {
    JSAMPROW row = to + static_cast<size_t>(d.state.output_scanline) * d.state.output_width * channels;
    jpeg_read_scanlines(&d.state, &row, 1);
  }
  jpeg_finish_decompress(&d.state);
  return true;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) {
  return bytes.size() >= 3 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8} &&
         bytes[2] == std::byte{0xff};
}

Tensor decode_jpeg(std::span<const std::byte> bytes, int64_t channels, int64_t most_pixels) {
  Decoder d = {};
  d.state.err = jpeg_std_error(&d.errors);
  d.errors.error_exit = jump_back;
  d.errors.emit_message = note_warning;
  d.errors.output_message = keep_message;
  struct Destroyer {
    Decoder& d;
    ~Destroyer() { jpeg_destroy_decompress(&d.state); }
  } destroyer{d};
  const auto check = [&](bool fine) {
    TD_CHECK(fine, ErrorCode::io, "damaged JPEG data: {}", d.errors.message);
  };
  check(read_header(d, bytes));
  const int64_t height = d.state.image_height, width = d.state.image_width;
  TD_CHECK(height <= most_pixels / std::max<int64_t>(width, 1), ErrorCode::io,
           "the picture says it has {} by {} pixels; at most {} are read", height, width, most_pixels);
  TD_CHECK(d.state.num_components == 1 || d.state.num_components == 3, ErrorCode::io,
           "the picture has {} colour components; grey and colours are supported", d.state.num_components);
  if (channels == 0) channels = d.state.num_components;
  Tensor result = tandem::detail::empty_tensor(DType::u8, {height, width, channels});
  check(read_rows(d, channels, tandem::detail::mutable_data<uint8_t>(result)));
  return result;
}

}  // namespace tandem::data
