#pragma once
// Arrays for a model's inputs: from files, or random.

#include <map>
#include <string>
#include <vector>

#include "tandem/load.h"

namespace tandem::cli {

/// "name=text" taken apart. Errors: no "=".
std::map<std::string, std::string> parse_pairs(const std::vector<std::string>& pairs, const char* what);

/// A shape for `value` in which unknown sizes are those of `sizes`, by name, or else 1. A value of any rank
/// is a scalar. Errors: sizes that are no numbers.
Shape known_shape(const ModelValue& value, const std::map<std::string, std::string>& sizes);

/// Numbers of the value's dtype: fractions from 0 to 1, integers from 0 to 9. The same ones each time.
Tensor random_input(const ModelValue& value, const std::map<std::string, std::string>& sizes);

}  // namespace tandem::cli
