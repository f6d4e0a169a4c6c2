#pragma once
// Where in the user's code an operation was called.

namespace tandem {

/// A source position. Captured by default arguments (`Location where = here()`).
/// Our own small type because Debian's clang 14 lacks std::source_location.
struct Location {
  const char* file = "";
  int line = 0;

  constexpr bool known() const { return line != 0; }
  /// Last path component of `file`, as error messages show it.
  constexpr const char* file_name() const {
    const char* name = file;
    for (const char* c = file; *c != '\0'; ++c)
      if (*c == '/') name = c + 1;
    return name;
  }
};

/// The caller's position, when used as a default argument.
constexpr Location here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return Location{file, line};
}

}  // namespace tandem
