#include "onnx/state.h"

#include "core/check.h"

namespace tandem::onnx {

namespace {
// "tandem.state.w" = "trainable w.next"
constexpr std::string_view prefix = "tandem.state.";
constexpr std::string_view trainable = "trainable ", fixed = "fixed ";
}  // namespace

void write_state(ModelProto& model, const SavedState& state) {
  StringStringEntryProto& entry = *model.add_metadata_props();
  entry.set_key(std::string(prefix) + state.input);
  entry.set_value(std::string(state.trainable ? trainable : fixed) + state.output);
}

std::vector<SavedState> read_states(const std::map<std::string, std::string>& metadata) {
  std::vector<SavedState> found;
  for (const auto& [key, value] : metadata) {
    if (!key.starts_with(prefix)) continue;
    SavedState s;
    s.input = key.substr(prefix.size());
    s.trainable = value.starts_with(trainable);
    TD_CHECK(s.trainable || value.starts_with(fixed), ErrorCode::io,
             "the metadata \"{}\" say \"{}\"; expected \"trainable\" or \"fixed\" and the name of an output",
             key, value);
    s.output = value.substr(s.trainable ? trainable.size() : fixed.size());
    found.push_back(std::move(s));
  }
  return found;
}

}  // namespace tandem::onnx
