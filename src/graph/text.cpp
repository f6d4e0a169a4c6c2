// The printer. The parser is in parse.cpp.

#include "graph/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "ops/dispatch.h"
#include "tandem/ops/creation.h"

namespace tandem {

namespace {

template <class T>
T load(const Tensor& t, int64_t i) {
  T v;
  std::memcpy(&v, static_cast<const std::byte*>(t.impl()->data) + static_cast<size_t>(i) * sizeof(T),
              sizeof(T));
  return v;
}

template <class T>
std::string shortest(T v) {
  char text[64];
  return {text, std::to_chars(text, text + sizeof(text), v).ptr};
}

// `bits` of width 8 * size hold a NaN; the usual one needs no bits.
std::string nan_text(uint64_t bits, uint64_t usual) {
  return bits == usual ? "nan" : fmt::format("nan:{:#x}", bits);
}

template <class T>
std::string float_text(T v) {
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
  return shortest(v);
}

std::string element_text(const Tensor& t, int64_t i) {
  switch (t.dtype()) {
    case DType::boolean:
      return load<uint8_t>(t, i) ? "true" : "false";
    case DType::u8:
      return std::to_string(load<uint8_t>(t, i));
    case DType::i8:
      return std::to_string(load<int8_t>(t, i));
    case DType::u16:
      return std::to_string(load<uint16_t>(t, i));
    case DType::i16:
      return std::to_string(load<int16_t>(t, i));
    case DType::u32:
      return std::to_string(load<uint32_t>(t, i));
    case DType::i32:
      return std::to_string(load<int32_t>(t, i));
    case DType::u64:
      return std::to_string(load<uint64_t>(t, i));
    case DType::i64:
      return std::to_string(load<int64_t>(t, i));
    case DType::f16: {
      const Half h = load<Half>(t, i);
      const auto v = static_cast<float>(h);
      return std::isnan(v) ? nan_text(h.bits, 0x7e00) : float_text(v);
    }
    case DType::bf16: {
      const BFloat16 h = load<BFloat16>(t, i);
      const auto v = static_cast<float>(h);
      return std::isnan(v) ? nan_text(h.bits, 0x7fc0) : float_text(v);
    }
    case DType::f32: {
      const auto v = load<float>(t, i);
      return std::isnan(v) ? nan_text(std::bit_cast<uint32_t>(v), 0x7fc00000) : float_text(v);
    }
    case DType::f64: {
      const auto v = load<double>(t, i);
      return std::isnan(v) ? nan_text(std::bit_cast<uint64_t>(v), 0x7ff8000000000000) : float_text(v);
    }
  }
  return {};
}

// Attributes are doubles to us; those of float fields get the digits of a float and an f.
std::string number_text(double v) {
  if (std::isnan(v)) return nan_text(std::bit_cast<uint64_t>(v), 0x7ff8000000000000);
  const auto narrow = static_cast<float>(v);
  const std::string text = float_text(v);
  std::string with_point = text.find_first_of(".ei") == std::string::npos ? text + ".0" : text;
  if (static_cast<double>(narrow) != v || float_text(narrow) == text) return with_point;
  return float_text(narrow) + 'f';
}

std::string size_text(int64_t d) {
  if (is_symbol(d)) return fmt::format("?{}", symbol_base - d);
  return d == -1 ? "?" : std::to_string(d);
}

std::string shape_text(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) text += (i > 0 ? ", " : "") + size_text(shape[i]);
  return text + (shape.rank() == 1 ? ",)" : ")");
}

std::string quoted(std::string_view s) {
  std::string text = "\"";
  for (const char c : s) {
    if (c == '"' || c == '\\')
      text += '\\', text += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      text += c;
  }
  return text + '"';
}

bool is_plain(std::string_view s, std::string_view extra) {
  return !s.empty() && std::all_of(s.begin(), s.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           extra.find(c) != std::string_view::npos;
  });
}

std::string name_text(std::string_view name) {
  return is_plain(name, "_./") && name != "_" ? std::string(name) : quoted(name);
}

uint64_t hash_bytes(const void* data, size_t size) {
  const auto* p = static_cast<const std::byte*>(data);
  uint64_t h = size;
  for (; size >= 8; p += 8, size -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    h = detail::mix(h, word);
  }
  uint64_t rest = 0;
  std::memcpy(&rest, p, size);
  return detail::mix(h, rest);
}

std::string tensor_text(const Tensor& value, const TextOptions& options) {
  std::string text = to_text(detail::coded_spec(value));
  const Tensor t = value.contiguous();
  const int64_t n = t.size();
  const size_t size = size_of(t.dtype());
  const auto* bytes = static_cast<const char*>(t.impl()->data);
  // All equal: every element is the one before it.
  if (n > 4 && std::memcmp(bytes, bytes + size, static_cast<size_t>(n - 1) * size) == 0)
    return text + '[' + element_text(t, 0) + ", ...]";
  if (n > options.constant_elements && !options.complete_constants)
    return text +
           fmt::format("<{} elements, hash {:016x}>", n, hash_bytes(bytes, static_cast<size_t>(n) * size));
  text += '[';
  for (int64_t i = 0; i < n; ++i) text += (i > 0 ? ", " : "") + element_text(t, i);
  return text + ']';
}

std::string value_text(const AttributeValue& value, const TextOptions& options) {
  struct Visitor {
    const TextOptions& options;
    std::string operator()(int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return number_text(v); }
    std::string operator()(const std::string& v) const { return quoted(v); }
    std::string operator()(const std::vector<int64_t>& v) const {
      std::string text = "[";
      for (size_t i = 0; i < v.size(); ++i)
        text += (i > 0 ? ", " : "") + (is_symbol(v[i]) ? size_text(v[i]) : std::to_string(v[i]));
      return text + ']';
    }
    std::string operator()(const std::vector<double>& v) const {
      std::string text;
      for (double entry : v) text += (text.empty() ? "[" : ", ") + number_text(entry);
      return text.empty() ? "[]" : text + ']';
    }
    std::string operator()(const std::vector<std::string>& v) const {
      std::string text;
      for (const std::string& entry : v) text += (text.empty() ? "[" : ", ") + quoted(entry);
      return text.empty() ? "[]" : text + ']';
    }
    std::string operator()(DType v) const { return std::string(name_of(v)); }
    std::string operator()(const Tensor& v) const { return v.defined() ? tensor_text(v, options) : "none"; }
  };
  return std::visit(Visitor{options}, value);
}

bool same_value(const AttributeValue& a, const AttributeValue& b) {
  return a.index() == b.index() &&
         std::visit([&b]<class T>(const T& value) { return detail::same(value, std::get<T>(b)); }, a);
}

std::string attributes_text(const Node& n, const TextOptions& options) {
  const AttributeDraft defaults(*n.op->attributes);
  std::vector<AttributeValue> standard;
  n.op->attributes->each(defaults.get(),
                         [&](std::string_view, const AttributeValue& v) { standard.push_back(v); });
  std::string text;
  size_t i = 0;
  n.op->attributes->each(n.attributes.get(), [&](std::string_view name, const AttributeValue& v) {
    if (same_value(v, standard[i++])) return;
    text += (text.empty() ? "" : ", ") + std::string(name) + '=' + value_text(v, options);
  });
  return text.empty() ? text : " {" + text + '}';
}

std::string location_text(Location where, const TextOptions& options) {
  if (!options.locations || !where.known()) return {};
  const std::string_view path = options.full_paths ? where.file : where.file_name();
  return fmt::format("  @{}:{}", is_plain(path, "_./+-~") ? std::string(path) : quoted(path), where.line);
}

std::string ref_text(const Graph& graph, ValueRef v) {
  if (!v.present()) return "_";
  const Node& n = graph.node(v.node);
  std::string text = '%' + name_text(n.name);
  if (n.outputs.size() != 1) text += ':' + std::to_string(v.output);
  return text;
}

std::string input_text(const Node& n, const TextOptions& options) {
  const std::string& argument = n.attributes.as<InputAttributes>().name;
  std::string text = name_text(n.name);
  if (argument != n.name) text += ' ' + quoted(argument);
  return text + ": " + to_text(n.outputs[0]) + location_text(n.where, options);
}

}  // namespace

std::string to_text(const Spec& spec) { return std::string(name_of(spec.dtype)) + shape_text(spec.shape); }

std::string to_text(const Graph& graph, const Node& n, const TextOptions& options) {
  if (n.op->has(is_input)) return input_text(n, options);
  std::string text = '%' + name_text(n.name) + " = " + std::string(n.op->name);
  for (int i = 0; i < n.inputs.size(); ++i) text += (i > 0 ? ", " : "(") + ref_text(graph, n.inputs[i]);
  if (!n.inputs.empty()) text += ')';
  text += attributes_text(n, options);
  for (int i = 0; i < n.outputs.size(); ++i) text += (i > 0 ? ", " : " : ") + to_text(n.outputs[i]);
  return text + location_text(n.where, options);
}

std::string to_text(const Graph& graph, const TextOptions& options) {
  std::string text = "graph(";
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    text += (i > 0 ? ", " : "") + input_text(graph.node(graph.inputs[i]), options);
  text += ") {\n";
  for (const Node& n : graph.nodes)
    if (!n.op->has(is_input)) text += "  " + to_text(graph, n, options) + '\n';
  text += "  return";
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    text += (i > 0 ? ", " : " ") + ref_text(graph, graph.outputs[i]);
  return text + "\n}\n";
}

}  // namespace tandem
