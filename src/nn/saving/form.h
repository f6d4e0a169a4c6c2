#pragma once
// Structures as text in files: "*", "[*,[*,*]]", "{image:*,text:*}".

#include <string>
#include <string_view>
#include <vector>

#include "tandem/nest.h"

namespace tandem::nn::detail {

/// Text without the characters that forms and lists are made of: others than letters, digits and _ . - / are
/// written as %XX.
std::string escaped(std::string_view text);
std::string unescaped(std::string_view text);

std::string joined(const std::vector<std::string>& names);
std::vector<std::string> split_names(std::string_view text);

/// Leaves are numbered in order.
using Form = NestOf<int>;

template <class Leaf>
std::string form_text(const NestOf<Leaf>& nest) {
  if (nest.is_leaf()) return "*";
  std::string text(1, nest.is_map() ? '{' : '[');
  for (size_t i = 0; i < nest.size(); ++i) {
    if (i > 0) text += ',';
    if (nest.is_map()) text += escaped(nest.keys()[i]) + ':';
    text += form_text(nest[i]);
  }
  return text + (nest.is_map() ? '}' : ']');
}
/// Errors (io): no such text.
Form parse_form(std::string_view text);

}  // namespace tandem::nn::detail
