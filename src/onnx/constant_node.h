#pragma once
// The operator Constant, whose value is one of many attributes.

#include "onnx/external_data.h"
#include "onnx/imported.h"

namespace tandem::onnx {

/// The tensor that a Constant's attributes give. Errors: none or several of them, texts, element types that
/// Tandem has not.
Tensor constant_node_value(NodeAttributes& attributes, ExternalData* external, int64_t& sparse_budget);

}  // namespace tandem::onnx
