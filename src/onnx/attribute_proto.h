#pragma once
// Attributes of ops as ONNX stores them.

#include <string_view>

#include "onnx/external_data.h"
#include "onnx/model.pb.h"
#include "ops/attributes.h"

namespace tandem::onnx {

/// Stores one attribute.
void write_attribute(std::string_view name, const AttributeValue& value, AttributeProto& proto);
/// Stores every attribute of an op that has a value, defaults too.
void write_attributes(const AttributeBox& attributes, NodeProto& node);

/// Sets the field that `proto` names; false when the op has no such attribute. Throws what was found and what
/// is needed when the value has another kind. Tensors are taken out of `proto`.
bool read_attribute(AttributeProto& proto, AttributeDraft& draft, ExternalData* external = nullptr);

/// The kind of an attribute, also where a very old file leaves it out: "FLOAT", "INTS", ...
AttributeProto::AttributeType type_of(const AttributeProto& proto);
std::string_view name_of(AttributeProto::AttributeType type);

}  // namespace tandem::onnx
