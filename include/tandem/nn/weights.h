#pragma once
// A module's weights in a safetensors file.

#include <string>
#include <vector>

#include "tandem/nn/module.h"

namespace tandem {

/// How weights are loaded.
struct LoadWeightsOptions {
  /// Leaves out what does not fit instead of refusing the file.
  bool skip_mismatch = false;
};

/// Writes a module's variables under their names, "hidden/kernel". Errors: layers that were never called have
/// none yet and are left out; a module without any is an error.
void save_weights(const nn::Module& module, const std::string& path, Location where = here());
/// Gives a module's variables the values in the file, which save_weights or, if its name ends in ".onnx",
/// nn::save_model wrote. Returns what was skipped, a line for each variable and tensor: nothing unless
/// `skip_mismatch` is set. Errors: a module without variables; a variable that the file lacks, or a tensor
/// that no variable takes; another dtype or shape. Then no variable has changed.
std::vector<std::string> load_weights(const nn::Module& module, const std::string& path,
                                      LoadWeightsOptions options = {}, Location where = here());

}  // namespace tandem
