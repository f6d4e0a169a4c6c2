#pragma once
// Tensors as ONNX stores them.

#include <string_view>

#include "onnx/external_data.h"
#include "onnx/model.pb.h"
#include "tandem/tensor.h"

namespace tandem::onnx {

/// The tensor that `proto` holds. Large raw data are taken out of `proto` instead of copied, and external
/// data stay in their file. Errors name the tensor: types that Tandem has not, element counts that the shape
/// contradicts, external data without `external`.
Tensor read_tensor(TensorProto& proto, ExternalData* external = nullptr);

/// Stores a tensor's dtype, shape and elements (raw_data). Any strides.
void write_tensor(const Tensor& tensor, std::string_view name, TensorProto& proto);

/// A sparse tensor, made dense. Errors: indices out of range, shapes that contradict each other, more than
/// 2^31 elements.
Tensor read_sparse_tensor(SparseTensorProto& proto, ExternalData* external = nullptr);

}  // namespace tandem::onnx
