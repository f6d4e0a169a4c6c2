// Any bytes as an ONNX model: an error or a model, never a crash.

#include <cstdint>
#include <span>

#include "tandem/error.h"
#include "tandem/load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    tandem::load_bytes(std::as_bytes(std::span(data, size)));
  } catch (const tandem::Error&) {
    // The answer for what is no model.
  }
  return 0;
}
