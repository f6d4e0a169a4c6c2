#pragma once
// `tandem ops`: the op table, for people and for programs.

#include <string>

namespace tandem::cli {

struct OpsOptions {
  bool markdown = false;  ///< docs/ops.md
  bool json = false;
};

/// Prints every op with its schema, gradient and lowering. Returns true.
bool run_ops(const OpsOptions& options);

}  // namespace tandem::cli
