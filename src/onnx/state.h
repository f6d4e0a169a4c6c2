#pragma once
// Variables in saved models: an input with a default value and, where the function assigns it, an output with
// its next value. `metadata_props` pairs the two.

#include <map>
#include <string>
#include <vector>

#include "onnx/model.pb.h"

namespace tandem::onnx {

struct SavedState {
  std::string input;
  std::string output;  ///< empty when it is only read
  bool trainable = true;
};

void write_state(ModelProto& model, const SavedState& state);
/// The pairs of a model's metadata. Errors: entries that are not of the form that write_state gives.
std::vector<SavedState> read_states(const std::map<std::string, std::string>& metadata);

}  // namespace tandem::onnx
