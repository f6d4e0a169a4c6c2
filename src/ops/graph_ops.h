#pragma once
// Attributes of the ops that only graphs contain, and constants.

#include "ops/attributes.h"
#include "ops/op_def.h"

namespace tandem {

struct ConstantAttributes {
  Tensor value;
  static constexpr auto fields() { return std::tuple{field("value", &ConstantAttributes::value)}; }
};

struct InputAttributes {
  int64_t index = 0;
  std::string name;
  DType dtype = DType::f32;
  Dims shape;
  static constexpr auto fields() {
    return std::tuple{field("index", &InputAttributes::index), field("name", &InputAttributes::name),
                      field("dtype", &InputAttributes::dtype), field("shape", &InputAttributes::shape)};
  }
};

/// The rows of the table for a constant and for a graph's argument.
const OpDef& constant_op();
const OpDef& input_op();

}  // namespace tandem
