#pragma once
// JPEG files for tests and fuzzers: the library reads them and writes none.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
// After <cstdio>, whose names it uses.
#include <jpeglib.h>

namespace tandem::testing {

/// The bytes of a file with these pixels: rows, columns, then 1 channel (grey) or 3 (colour).
inline std::string encode_jpeg(std::vector<unsigned char> pixels, int height, int width, int channels,
                               bool progressive = false) {
  jpeg_compress_struct state{};
  jpeg_error_mgr errors{};
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&state, &memory, &size);
  state.image_width = static_cast<JDIMENSION>(width);
  state.image_height = static_cast<JDIMENSION>(height);
  state.input_components = channels;
  state.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, 98, TRUE);
  if (progressive) jpeg_simple_progression(&state);
  jpeg_start_compress(&state, TRUE);
  while (state.next_scanline < state.image_height) {
    JSAMPROW row = pixels.data() + state.next_scanline * static_cast<size_t>(width * channels);
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  std::string bytes(reinterpret_cast<char*>(memory), size);
  jpeg_destroy_compress(&state);
  std::free(memory);
  return bytes;
}

}  // namespace tandem::testing
