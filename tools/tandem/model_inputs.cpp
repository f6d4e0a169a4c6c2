#include "model_inputs.h"

#include <charconv>

#include "core/check.h"
#include "tandem/ops.h"

namespace tandem::cli {

std::map<std::string, std::string> parse_pairs(const std::vector<std::string>& pairs, const char* what) {
  std::map<std::string, std::string> map;
  for (const std::string& pair : pairs) {
    const size_t at = pair.find('=');
    TD_CHECK(at != std::string::npos && at > 0, "\"{}\" is no {}; write NAME=VALUE", pair, what);
    TD_CHECK(map.emplace(pair.substr(0, at), pair.substr(at + 1)).second, "the {} \"{}\" is given twice",
             what, pair.substr(0, at));
  }
  return map;
}

Shape known_shape(const ModelValue& value, const std::map<std::string, std::string>& sizes) {
  Shape shape = value.shape;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] >= 0) continue;
    shape[i] = 1;
    const auto found = sizes.find(value.dimension_names[static_cast<size_t>(i)]);
    if (found == sizes.end()) continue;
    const std::string& text = found->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), shape[i]);
    TD_CHECK(error == std::errc() && end == text.data() + text.size() && shape[i] >= 0,
             "the size \"{}\" is \"{}\"; a number is needed", found->first, text);
  }
  return shape;
}

Tensor random_input(const ModelValue& value, const std::map<std::string, std::string>& sizes) {
  const Shape shape = known_shape(value, sizes);
  if (is_floating(value.dtype)) return cast(random::uniform(shape), value.dtype);
  if (value.dtype == DType::boolean) return random::randint(0, 2, shape) == 1;
  return cast(random::randint(0, 10, shape), value.dtype);
}

}  // namespace tandem::cli
