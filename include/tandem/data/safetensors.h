#pragma once
// Weights in safetensors files: names, dtypes, shapes and the bare elements, safe to read from anywhere.

#include <map>
#include <string>

#include "tandem/tensor.h"

namespace tandem {

/// Tensors by name.
using Weights = std::map<std::string, Tensor>;
/// Texts that stand beside the tensors.
using WeightsMetadata = std::map<std::string, std::string>;

/// Writes a safetensors file; a file of that name is replaced as a whole or not at all.
/// `td::save_weights({{"w", w}, {"b", b}}, "model.safetensors");` Errors (io): cannot be written.
void save_weights(const Weights& weights, const std::string& path, const WeightsMetadata& metadata = {},
                  Location where = here());
/// Reads one. Errors (io): no such file, not safetensors, damaged, a dtype that Tandem has not.
Weights load_weights(const std::string& path);
/// The texts beside the tensors. Errors as load_weights.
WeightsMetadata load_weights_metadata(const std::string& path);

}  // namespace tandem
