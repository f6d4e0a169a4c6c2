#include "onnx/old_semantics.h"

#include "core/check.h"
#include "ops/dispatch.h"
#include "tandem/ops.h"

namespace tandem::onnx {

namespace {

Tensors apply_own(const Call& c, std::span<const Tensor> inputs) {
  const std::vector<Operand> operands(inputs.begin(), inputs.end());
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  apply(*c.node.op, c.node.settings.get(), list, outputs);
  return outputs;
}

/// `x` with dimensions of size 1 appended.
Tensor with_trailing_ones(const Tensor& x, int count) {
  std::vector<int64_t> axes;
  for (int i = 0; i < count; ++i) axes.push_back(x.rank() + i);
  return axes.empty() ? x : unsqueeze(x, axes);
}

}  // namespace

Tensors old_broadcast(const Call& c) {
  TD_CHECK(c.has(0) && c.has(1), "two inputs are needed");
  const Tensor &a = c.inputs[0], &b = c.inputs[1];
  if (c.node.attributes.integer("broadcast", 0) == 0 || !c.node.attributes.has("axis"))
    return apply_own(c, c.inputs);
  const int axis = InferContext::normalize_axis(c.node.attributes.integer("axis", 0), a.rank());
  TD_CHECK(axis + b.rank() <= a.rank(), "an input of shape {} does not fit into {} from axis {} on",
           b.shape(), a.shape(), axis);
  const Tensor inputs[] = {a, with_trailing_ones(b, a.rank() - axis - b.rank())};
  return apply_own(c, inputs);
}

Tensors slope_by_channel(const Call& c) {
  TD_CHECK(c.has(0) && c.has(1), "two inputs are needed");
  const Tensor &x = c.inputs[0], &slope = c.inputs[1];
  const bool by_channel = slope.rank() == 1 && slope.shape().codes()[0] != 1 && x.rank() > 2;
  const Tensor inputs[] = {x, by_channel ? with_trailing_ones(slope, x.rank() - 2) : slope};
  return apply_own(c, inputs);
}

Tensors over_trailing_axes(const Call& c) {
  TD_CHECK(c.has(0), "an input is needed");
  const Tensor& x = c.inputs[0];
  const int axis = InferContext::normalize_axis(c.node.attributes.integer("axis", 1), x.rank());
  if (axis == x.rank() - 1) return apply_own(c, c.inputs);
  const Tensor flat[] = {flatten(x, axis)};
  return {reshape(apply_own(c, flat)[0], shape_of(x))};
}

Tensors tile_one_axis(const Call& c) {
  TD_CHECK(c.has(0) && c.has(1) && c.has(2), "three inputs are needed");
  const Tensor& x = c.inputs[0];
  const Tensor count = reshape(cast(c.inputs[1], DType::i64), {1}),
               axis = reshape(cast(c.inputs[2], DType::i64), {1});
  const Tensor inputs[] = {x, where(arange(x.rank(), DType::i64) == axis, count, 1)};
  return apply_own(c, inputs);
}

Tensors old_dropout(const Call& c) {
  TD_CHECK(c.has(0), "an input is needed");
  const Tensor& x = c.inputs[0];
  const bool training = c.node.version < 7 && c.node.attributes.integer("is_test", 0) == 0;
  const Tensor inputs[] = {x, Tensor(c.node.attributes.number("ratio", 0.5f)), Tensor(training)};
  Tensors outputs = apply_own(c, inputs);
  if (c.node.version < 10) outputs[1] = cast(outputs[1], x.dtype());
  return outputs;
}

Tensors scale_by_group(const Call& c) {
  TD_CHECK(c.has(0) && c.has(1) && c.has(2), "three inputs are needed");
  const Tensor& x = c.inputs[0];
  const Tensor groups({c.node.attributes.integer("num_groups", 1)}, DType::i64);
  const Tensor channels = shape_of(x, 1, 2);
  auto by_channel = [&](const Tensor& by_group) {
    return reshape(expand(unsqueeze(by_group, 1), concat({groups, channels / groups}, 0)), channels);
  };
  const Tensor inputs[] = {x, by_channel(c.inputs[1]), by_channel(c.inputs[2])};
  return apply_own(c, inputs);
}

Tensors empty_is_left_out(const Call& c) {
  SmallVector<Tensor, 8> inputs;
  for (const Tensor& t : c.inputs)
    inputs.push_back(t.defined() && t.shape().codes().element_count() == 0 && inputs.size() > 0 ? Tensor()
                                                                                                : t);
  return apply_own(c, {inputs.begin(), c.inputs.size()});
}

}  // namespace tandem::onnx
