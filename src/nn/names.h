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

/// A row of a table for find_named: a name, and what makes what it stands for.
template <class T>
struct NamedMaker {
  std::string_view name;
  T (*make)();
};
/// What makes a T by a class of its own, with its defaults.
template <class T, class Class>
T make_default() {
  return Class();
}

inline std::string in_small_letters(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// What goes by one of Keras's names: the function's, the class's, or a short one.
template <class T>
struct KerasName {
  std::string_view function_name, class_name, short_name;
  T value;
};
/// What goes by this name, the short one in any letters' case; null if nothing does.
template <class T, size_t count>
const T* find_keras_name(const KerasName<T> (&rows)[count], std::string_view name) {
  const std::string low = in_small_letters(std::string(name));
  for (const KerasName<T>& row : rows)
    if (!name.empty() && (row.function_name == name || row.class_name == name || row.short_name == low))
      return &row.value;
  return nullptr;
}
/// All of them for an error: "mean_squared_error (mse), ...".
template <class T, size_t count>
std::string keras_names(const KerasName<T> (&rows)[count]) {
  std::string names;
  for (const KerasName<T>& row : rows) {
    names += (names.empty() ? "" : ", ") + std::string(row.function_name);
    if (!row.short_name.empty()) names += fmt::format(" ({})", row.short_name);
  }
  return names;
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
