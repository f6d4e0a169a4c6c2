#pragma once
// A model's outputs by name, and what belongs to each of them.

#include <string>
#include <vector>

#include "tandem/nn/model.h"

namespace tandem::nn::detail {

/// Names of a model's outputs, in the order of their tensors.
struct OutputNames {
  std::vector<std::string> names;
  bool several() const { return names.size() > 1; }
  /// The number of an output. Errors: none has this name.
  size_t index_of(const std::string& name, const char* what) const;
};
OutputNames names_of_outputs(const Model& model, const Nest& predictions);

/// The tensor for each output in targets or weights; undefined where there is none. Errors: entries that
/// belong to no output.
std::vector<Tensor> by_output(const Nest& given, const Nest& predictions, const OutputNames& names,
                              const char* what);

}  // namespace tandem::nn::detail
