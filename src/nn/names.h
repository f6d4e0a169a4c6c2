#pragma once
// Looking things up by the names that Keras gives them.

#include <span>
#include <string>
#include <string_view>

#include "core/check.h"

namespace tandem::nn::detail {

/// The row whose `name` is this one. Errors: none is; `what` says of which kind, and all names are listed.
template <class Row, size_t count>
const Row& find_named(const Row (&rows)[count], std::string_view what, std::string_view name,
                      Location where) {
  std::string allowed;
  for (const Row& row : rows) {
    if (row.name == name) return row;
    allowed += (allowed.empty() ? "" : ", ") + std::string(row.name);
  }
  Error e(ErrorCode::invalid_argument, fmt::format("\"{}\" is not known; known: {}", name, allowed));
  e.set_origin(what, where);
  throw e;
}

}  // namespace tandem::nn::detail
