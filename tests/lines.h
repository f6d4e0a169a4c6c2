#pragma once
// Whose lines a graph names.

#include <string>

#include "function/function_core.h"

namespace tandem::testing {

/// The nodes of a function's graphs that name a line of the library in place of the user's.
template <class F>
std::string lines_of_the_library(const F& function) {
  std::string found;
  for (const auto& trace : function.core().traces())
    for (const Node& n : trace->recorded.nodes) {
      const std::string file = n.where.file;
      const bool inside =
          file.find("src/") != std::string::npos || file.find("include/tandem/") != std::string::npos;
      if (inside) found += n.name + " (" + file + ":" + std::to_string(n.where.line) + ") ";
    }
  return found;
}

}  // namespace tandem::testing
