#include "onnx/attribute_proto.h"

#include <array>
#include <cmath>

#include "core/check.h"
#include "onnx/dtypes.h"
#include "onnx/tensor_proto.h"

namespace tandem::onnx {

namespace {

template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;

template <class T, class Variant>
inline constexpr bool holds = false;
template <class T, class... Ts>
inline constexpr bool holds<T, std::variant<Ts...>> = (std::is_same_v<T, Ts> || ...);

// AttributeValue has the kinds that ops of the table need. Lists of what else a file may hold are refused.
template <class List>
bool set_list(AttributeDraft& draft, std::string_view name, List list) {
  if constexpr (holds<List, AttributeValue>)
    return draft.set(name, AttributeValue(std::move(list)));
  else
    fail("lists of this kind are not supported");
}

/// Doubles that are no floats come as tensors.
bool set_tensor(AttributeDraft& draft, std::string_view name, const Tensor& value) {
  if (value.dtype() != DType::f64 || value.rank() != 0) return draft.set(name, value);
  try {
    return draft.set(name, value);
  } catch (const Error&) {
    return draft.set(name, value.item<double>());
  }
}

}  // namespace

AttributeProto::AttributeType type_of(const AttributeProto& p) {
  if (p.type() != AttributeProto::UNDEFINED) return p.type();
  // IR version 1 has no types.
  if (p.has_f()) return AttributeProto::FLOAT;
  if (p.has_i()) return AttributeProto::INT;
  if (p.has_s()) return AttributeProto::STRING;
  if (p.has_t()) return AttributeProto::TENSOR;
  if (p.has_g()) return AttributeProto::GRAPH;
  if (p.floats_size() > 0) return AttributeProto::FLOATS;
  if (p.ints_size() > 0) return AttributeProto::INTS;
  if (p.strings_size() > 0) return AttributeProto::STRINGS;
  return AttributeProto::UNDEFINED;
}

std::string_view name_of(AttributeProto::AttributeType type) {
  static constexpr std::array names = {
      "UNDEFINED", "FLOAT",   "INT",    "STRING",        "TENSOR",         "GRAPH",      "FLOATS",     "INTS",
      "STRINGS",   "TENSORS", "GRAPHS", "SPARSE_TENSOR", "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"};
  return names[static_cast<size_t>(type)];
}

void write_attribute(std::string_view name, const AttributeValue& value, AttributeProto& p) {
  p.Clear();
  p.set_name(std::string(name));
  std::visit(
      [&]<class T>(const T& v) {
        if constexpr (std::is_same_v<T, int64_t>) {
          p.set_type(AttributeProto::INT);
          p.set_i(v);
        } else if constexpr (std::is_same_v<T, double>) {
          // ONNX's numbers are floats; one that is none is kept whole as a tensor, in ops of our own.
          if (static_cast<double>(static_cast<float>(v)) == v || std::isnan(v)) {
            p.set_type(AttributeProto::FLOAT);
            p.set_f(static_cast<float>(v));
          } else {
            p.set_type(AttributeProto::TENSOR);
            write_tensor(Tensor(v, DType::f64), "", *p.mutable_t());
          }
        } else if constexpr (std::is_same_v<T, std::string>) {
          p.set_type(AttributeProto::STRING);
          p.set_s(v);
        } else if constexpr (std::is_same_v<T, DType>) {
          p.set_type(AttributeProto::INT);
          p.set_i(code_of(v));
        } else if constexpr (std::is_same_v<T, Tensor>) {
          p.set_type(AttributeProto::TENSOR);
          write_tensor(v, "", *p.mutable_t());
        } else {
          static_assert(is_list<T>);
          using Element = typename T::value_type;
          for (const Element& e : v)
            if constexpr (std::is_same_v<Element, int64_t>)
              p.add_ints(e);
            else if constexpr (std::is_floating_point_v<Element>)
              p.add_floats(static_cast<float>(e));
            else
              p.add_strings(e);
          p.set_type(std::is_same_v<Element, int64_t>    ? AttributeProto::INTS
                     : std::is_floating_point_v<Element> ? AttributeProto::FLOATS
                                                         : AttributeProto::STRINGS);
        }
      },
      value);
}

void write_attributes(const AttributeBox& attributes, NodeProto& node) {
  if (!attributes.type()) return;
  attributes.type()->each(attributes.get(), [&](std::string_view name, const AttributeValue& value) {
    write_attribute(name, value, *node.add_attribute());
  });
}

bool read_attribute(AttributeProto& p, AttributeDraft& draft, ExternalData* external) {
  const AttributeProto::AttributeType type = type_of(p);
  try {
    switch (type) {
      case AttributeProto::INT: {
        // ONNX has no kind for dtypes: those of our ops that are one are numbers in files.
        DType dtype;
        if (!dtype_of_code(p.i(), dtype)) return draft.set(p.name(), p.i());
        try {
          return draft.set(p.name(), p.i());
        } catch (const Error&) {
          return draft.set(p.name(), dtype);
        }
      }
      case AttributeProto::FLOAT:
        return draft.set(p.name(), static_cast<double>(p.f()));
      case AttributeProto::STRING:
        return draft.set(p.name(), p.s());
      case AttributeProto::TENSOR:
        return set_tensor(draft, p.name(), read_tensor(*p.mutable_t(), external));
      case AttributeProto::INTS:
        return draft.set(p.name(), std::vector<int64_t>(p.ints().begin(), p.ints().end()));
      case AttributeProto::FLOATS:
        return set_list(draft, p.name(), std::vector<double>(p.floats().begin(), p.floats().end()));
      case AttributeProto::STRINGS:
        return set_list(draft, p.name(), std::vector<std::string>(p.strings().begin(), p.strings().end()));
      default:
        fail("attributes of kind {} are not supported here", name_of(type));
    }
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("attribute \"{}\" ({}): {}", p.name(), name_of(type), e.message()));
  }
}

}  // namespace tandem::onnx
