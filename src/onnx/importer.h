#pragma once
// From a file's messages to an imported model.

#include "onnx/imported.h"

namespace tandem::onnx {

/// Resolves every name and operator of `model`, whose tensors are taken out. `path` is for messages; external
/// data lie in `folder`, if there is one. What cannot run is collected in `problems` where that is given, and
/// else an error, which says how many there are.
ImportedModel import_model(ModelProto& model, const std::string& path, const std::string* folder,
                           std::vector<std::string>* problems = nullptr);

/// Parses the bytes of a file. Errors (io): what is no ONNX model.
ModelProto parse_model(std::span<const std::byte> bytes, const std::string& path);

/// What a model takes or gives at one place. Errors: kinds and element types that Tandem has not.
ModelValue read_value_info(const ValueInfoProto& proto);

}  // namespace tandem::onnx
