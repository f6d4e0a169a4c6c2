#pragma once
// How public functions name themselves and the user's line in errors.

#include <string_view>

#include "tandem/error.h"

namespace tandem::detail {

/// Runs `f` as the public function `name` called at `where`: an error that names no origin gets this one.
template <class F>
decltype(auto) named(std::string_view name, Location where, F&& f) {
  try {
    return f();
  } catch (Error& e) {
    e.set_origin(name, where);
    throw;
  }
}

}  // namespace tandem::detail
