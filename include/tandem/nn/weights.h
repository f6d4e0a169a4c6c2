#pragma once
// A module's weights in a safetensors file.

#include <string>

#include "tandem/nn/module.h"

namespace tandem {

/// Writes a module's variables under their names, "hidden/kernel". Errors: layers that were never called have
/// none yet and are left out; a module without any is an error.
void save_weights(const nn::Module& module, const std::string& path, Location where = here());
/// Gives a module's variables the values in the file. Errors: a variable that the file lacks, or a tensor
/// that no variable takes; another dtype or shape. Then no variable has changed.
void load_weights(const nn::Module& module, const std::string& path, Location where = here());

}  // namespace tandem
