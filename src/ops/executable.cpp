#include "ops/executable.h"

#include <algorithm>

#include "runtime/parallel.h"

namespace tandem {

using kernel::View;

namespace {

// Splitting pays when each part takes some ten microseconds.
constexpr int64_t operations_per_part = 32768;

void prepare_elementwise(Executable& e, const Shape& shape, std::span<const View> inputs) {
  e.count = shape.element_count();
  e.flat = kernel::output_count(*e.program) == 1;
  SmallVector<Strides, 4> strides;
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    const View& v = inputs[static_cast<size_t>(i)];
    const int64_t n = v.shape.element_count();
    if (n == 1 && e.count != 1)
      e.scalar_mask |= 1u << i;
    else if (n != e.count || !detail::strides_are_contiguous(v.shape, v.strides))
      e.flat = false;
    strides.push_back(broadcast_strides(v.shape, v.strides, shape));
  }
  const int64_t cost = std::max(1, kernel::cost(*e.program));
  e.grain = std::max<int64_t>(1, operations_per_part * 8 / cost);
  if (!e.flat) e.nest = kernel::LoopNest::elementwise(*e.program, shape, strides);
}

Strides permuted(const Strides& strides, const Dims& order) {
  Strides result;
  for (int64_t axis : order) result.push_back(strides[static_cast<int>(axis)]);
  return result;
}

void prepare_rows(Executable& e, const Dims& row_axes, std::span<const View> inputs,
                  std::span<const Spec> outputs) {
  Shape full;
  for (const View& v : inputs) full = broadcast_shapes(full, v.shape);
  const int rank = full.rank();
  Dims order;  // kept axes, then the row's
  for (int pass = 0; pass < 2; ++pass)
    for (int axis = 0; axis < rank; ++axis) {
      const bool in_row = std::find(row_axes.begin(), row_axes.end(), axis) != row_axes.end();
      if (in_row == (pass == 1)) order.push_back(axis);
    }
  const int row_rank = row_axes.size();
  SmallVector<Strides, 4> in_strides, out_strides;
  for (const View& v : inputs)
    in_strides.push_back(permuted(broadcast_strides(v.shape, v.strides, full), order));
  for (int i = 0; i < static_cast<int>(outputs.size()); ++i) {
    const Shape& shape = outputs[static_cast<size_t>(i)].shape;
    const Strides dense = contiguous_strides(shape);
    if (!kernel::output_is_row_scalar(*e.program, i)) {
      out_strides.push_back(permuted(dense, order));
      continue;
    }
    // One element a row: the kept axes in order, wherever keepdims left ones between them.
    Strides s = Dims::filled(rank, 0);
    if (shape.rank() == rank)
      for (int k = 0; k < rank - row_rank; ++k) s[k] = dense[static_cast<int>(order[k])];
    else
      for (int k = 0; k < rank - row_rank; ++k) s[k] = dense[shape.rank() - (rank - row_rank) + k];
    out_strides.push_back(s);
  }
  e.nest = kernel::LoopNest::rows(*e.program, permuted(full, order), row_rank, in_strides, out_strides);
  e.count = e.nest.unit_count();
  e.grain = std::max<int64_t>(1, operations_per_part * 8 / std::max<int64_t>(1, e.nest.unit_cost()));
}

}  // namespace

bool is_program_input(const OpDef& op, int i) {
  const size_t at = std::min(static_cast<size_t>(i), op.inputs.size() - 1);
  return (op.inputs[at].flags & InputDef::parameter) == 0;
}

Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target) {
  Strides result = Dims::filled(target.rank(), 0);
  const int lead = target.rank() - shape.rank();
  for (int i = 0; i < shape.rank(); ++i) result[lead + i] = shape[i] == 1 ? 0 : strides[i];
  return result;
}

Executable prepare(const OpDef& op, const AttributeBox& attributes, const InferContext& context,
                   std::span<const View> inputs, std::span<const Spec> outputs) {
  Executable e;
  e.op = &op;
  e.attributes = attributes;
  if (!op.program) return e;
  SmallVector<View, 4> data;
  SmallVector<DType, 4> dtypes;
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i)
    if (is_program_input(op, i) && context.has(i)) {
      data.push_back(inputs[static_cast<size_t>(i)]);
      dtypes.push_back(inputs[static_cast<size_t>(i)].dtype);
    }
  e.program = op.program(dtypes, outputs, attributes.get());
  if (op.row_axes)
    prepare_rows(e, op.row_axes(context, attributes.get()), data, outputs);
  else
    prepare_elementwise(e, outputs[0].shape, data);
  return e;
}

Executable prepare_elementwise(const OpDef& op, kernel::ProgramRef program, const Shape& shape,
                               std::span<const View> inputs) {
  Executable e;
  e.op = &op;
  e.program = std::move(program);
  prepare_elementwise(e, shape, inputs);
  return e;
}

void run(const Executable& e, std::span<const View> inputs, std::span<const View> outputs) {
  if (!e.program) {
    e.op->kernel({inputs, outputs}, e.attributes.get());
    return;
  }
  SmallVector<const void*, 8> in;
  SmallVector<void*, 4> out;
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i)
    if (is_program_input(*e.op, i) && inputs[static_cast<size_t>(i)].data)
      in.push_back(inputs[static_cast<size_t>(i)].data);
  for (const View& v : outputs) out.push_back(v.data);
  run_program(e, in.data(), out.data());
}

namespace {

void run_flat_range(const Executable& e, const void* const* inputs, void* const* outputs, int64_t begin,
                    int64_t end) {
  SmallVector<const void*, 8> from;
  for (int i = 0; i < kernel::input_count(*e.program); ++i) {
    const size_t size = size_of(kernel::input_dtype(*e.program, i));
    const bool scalar = (e.scalar_mask >> i & 1) != 0;
    from.push_back(static_cast<const std::byte*>(inputs[i]) +
                   (scalar ? 0 : static_cast<size_t>(begin) * size));
  }
  void* to = static_cast<std::byte*>(outputs[0]) +
             static_cast<size_t>(begin) * size_of(kernel::output_dtype(*e.program, 0));
  kernel::run_flat(*e.program, from.data(), e.scalar_mask, &to, end - begin, begin);
}

}  // namespace

void run_program(const Executable& e, const void* const* inputs, void* const* outputs) {
  if (e.count == 0) return;
  if (e.count <= e.grain) {
    if (e.flat)
      kernel::run_flat(*e.program, inputs, e.scalar_mask, outputs, e.count);
    else
      e.nest.run(inputs, outputs, 0, e.count);
    return;
  }
  runtime::parallel_for(e.count, e.grain, [&](int64_t begin, int64_t end) {
    if (e.flat)
      run_flat_range(e, inputs, outputs, begin, end);
    else
      e.nest.run(inputs, outputs, begin, end);
  });
}

}  // namespace tandem
