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

/// A few bytes of a file can say a sparse tensor of any size, so all of a model's together are bounded.
inline constexpr int64_t most_sparse_bytes = int64_t{1} << 30;

/// A sparse tensor, made dense, which takes its bytes from `budget`. Errors: indices out of range, shapes
/// that contradict each other, an exceeded budget.
Tensor read_sparse_tensor(SparseTensorProto& proto, ExternalData* external, int64_t& budget);

}  // namespace tandem::onnx
