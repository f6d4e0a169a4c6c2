#include "onnx/constant_node.h"

#include "core/check.h"
#include "onnx/attribute_proto.h"
#include "onnx/tensor_proto.h"

namespace tandem::onnx {

Tensor constant_node_value(NodeAttributes& attributes, ExternalData* external, int64_t& sparse_budget) {
  TD_CHECK(attributes.all().size() == 1, "it has {} attributes; one value is needed",
           attributes.all().size());
  AttributeProto& a = attributes.all()[0];
  const std::string& name = a.name();
  if (name == "value") return read_tensor(*a.mutable_t(), external);
  if (name == "sparse_value") return read_sparse_tensor(*a.mutable_sparse_tensor(), external, sparse_budget);
  if (name == "value_float") return Tensor(a.f());
  if (name == "value_floats") return from_range(std::vector<float>(a.floats().begin(), a.floats().end()));
  if (name == "value_int") return Tensor(a.i(), DType::i64);
  if (name == "value_ints") return from_range(std::vector<int64_t>(a.ints().begin(), a.ints().end()));
  fail("the value is \"{}\" ({}); texts are not supported", name, name_of(type_of(a)));
}

}  // namespace tandem::onnx
