#include "nn/autocast.h"

#include "ops/variable_impl.h"
#include "tandem/ops/shape.h"

namespace tandem::nn::detail {

namespace {
thread_local AutocastMode* innermost = nullptr;
}

void AutocastMode::apply(const OpDef& op, const void* attributes, Operands operands, Location where,
                         Tensors& outputs) {
  const ModeScope scope(below_);
  if (below_)
    below_->apply(op, attributes, operands, where, outputs);
  else
    evaluate(op, attributes, operands, where, outputs);
  if (!dtype || !op.has(reads_variable)) return;
  const auto& variable = *static_cast<const VariableAttributes*>(attributes)->variable;
  // What is not trained, as moving statistics, is state: it keeps its precision.
  if (variable.trainable && is_floating(variable.spec.dtype) && variable.spec.dtype != *dtype)
    outputs[0] = cast(Operand(outputs[0], where), *dtype);
}

AutocastScope::AutocastScope(std::optional<DType> dtype) : outer_(innermost) {
  pushed_ = !outer_ || current_mode() != outer_;
  if (pushed_) {
    mode_.dtype = dtype;
    mode_.set_below(current_mode());
    tandem::detail::current_mode = &mode_;
    innermost = &mode_;
  } else {
    before_ = std::exchange(outer_->dtype, dtype);
  }
}

AutocastScope::~AutocastScope() {
  if (pushed_) {
    tandem::detail::current_mode = mode_.below();
    innermost = outer_;
  } else {
    outer_->dtype = before_;
  }
}

bool AutocastScope::any() { return innermost != nullptr; }

}  // namespace tandem::nn::detail
