#pragma once
// Looking things up by the names that Keras gives them.

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/check.h"

namespace tandem::nn::detail {

/// Refuses a name. `what` says of which kind it would be, and all names are listed.
[[noreturn]] inline void refuse_name(std::string_view what, std::string_view name, std::string_view known,
                                     Location where) {
  Error e(ErrorCode::invalid_argument, fmt::format("\"{}\" is not known; known: {}", name, known));
  e.set_origin(what, where);
  throw e;
}

/// The row whose `name` is this one. Errors: none is; `what` says of which kind, and all names are listed.
template <class Row, size_t count>
const Row& find_named(const Row (&rows)[count], std::string_view what, std::string_view name,
                      Location where) {
  std::string allowed;
  for (const Row& row : rows) {
    if (row.name == name) return row;
    allowed += (allowed.empty() ? "" : ", ") + std::string(row.name);
  }
  refuse_name(what, name, allowed, where);
}

/// Which of `names` an option's value is. Errors: none; `what` says which option, and all are listed.
inline size_t index_of_choice(std::string_view what, std::string_view value,
                              std::initializer_list<std::string_view> names) {
  std::string allowed;
  for (const std::string_view& name : names) {
    if (name == value) return static_cast<size_t>(&name - names.begin());
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  fail("the {} \"{}\" is not known; known: {}", what, value, allowed);
}

}  // namespace tandem::nn::detail
