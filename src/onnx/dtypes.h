#pragma once
// ONNX's numbers for element types.

#include <cstdint>
#include <string>

#include "tandem/dtype.h"

namespace tandem::onnx {

/// TensorProto.DataType of a dtype.
int32_t code_of(DType dtype);
/// The inverse; false for types that Tandem has not.
bool dtype_of_code(int64_t code, DType& dtype);
/// The inverse for an element type that must be one of ours. Throws
/// "elements of type FLOAT8E5M2 (19) are not supported; supported: FLOAT, ..." otherwise.
DType supported_dtype(int64_t code);
/// "FLOAT8E5M2 (19)", and "unknown (77)" for numbers that ONNX has not given out.
std::string name_of_code(int64_t code);

}  // namespace tandem::onnx
