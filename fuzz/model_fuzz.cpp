// Any bytes as a saved model with its training: an error or a model, never a crash.

#include "fuzz/support.h"
#include "tandem/nn.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string path = fuzz::file_of(data, size);
  fuzz::attempt([&] { tandem::nn::load_model(path, {.random_state = false}); });
  return 0;
}
