#pragma once
// `tandem convert`: a saved model in another form.

#include <string>

namespace tandem::cli {

struct ConvertOptions {
  std::string model, output;
  int opset = 0;        // 0: as it is
  std::string weights;  // a safetensors file
  bool strip_training = false;
  std::string json;
};

/// Writes the model, its weights or both.
bool convert_model(const ConvertOptions& options);

}  // namespace tandem::cli
