#pragma once
// One op made ready for given dtypes, shapes and strides. Eager dispatch caches them per thread; a plan holds
// one for each step.

#include <span>

#include "ops/op_def.h"

namespace tandem {

struct Executable {
  const OpDef* op = nullptr;
  AttributeBox attributes;
  kernel::ProgramRef program;  ///< element-wise and row ops
  kernel::LoopNest nest;       ///< rows, and element-wise where flat does not fit
  bool flat = false;
  uint32_t scalar_mask = 0;
  int64_t count = 0;  ///< flat: elements
  int64_t grain = 0;  ///< units a thread should at least get; 0: never split
};

/// Inputs that are data of a program: all but parameters and absent ones.
bool is_program_input(const OpDef& op, int i);

/// Prepares `op`. Input views need dtype, shape and strides, not data; absent inputs have rank 0 and are told
/// by `present`. `context` answers for parameters.
Executable prepare(const OpDef& op, const AttributeBox& attributes, const InferContext& context,
                   std::span<const kernel::View> inputs, std::span<const Spec> outputs);

/// The same for an element-wise program whose inputs are all data.
Executable prepare_elementwise(const OpDef& op, kernel::ProgramRef program, const Shape& shape,
                               std::span<const kernel::View> inputs);

/// Runs it on views with the same dtypes, shapes and strides.
void run(const Executable& executable, std::span<const kernel::View> inputs,
         std::span<const kernel::View> outputs);

/// The same for an op with a program, on the addresses of its inputs (parameters left out) and outputs.
void run_program(const Executable& executable, const void* const* inputs, void* const* outputs);

/// Copies elements of any strides into row-major order, bits unchanged.
void copy_elements(const kernel::View& from, void* to);
/// That copy as an op, for plans: a step before a kernel that wants contiguous inputs.
const OpDef& contiguous_op();

/// Strides of `shape`/`strides` broadcast to `target` (zero where repeated).
Strides broadcast_strides(const Shape& shape, const Strides& strides, const Shape& target);

}  // namespace tandem
