#include "tandem/nn/dtype_policy.h"

#include <atomic>

#include "nn/module_state.h"
#include "nn/names.h"
#include "tandem/nn/module.h"

namespace tandem::nn {

namespace {

struct NamedPolicy {
  std::string_view name;
  DType compute, variable;
};
constexpr NamedPolicy policies[] = {
    {"float32", DType::f32, DType::f32},       {"float64", DType::f64, DType::f64},
    {"float16", DType::f16, DType::f16},       {"bfloat16", DType::bf16, DType::bf16},
    {"mixed_float16", DType::f16, DType::f32}, {"mixed_bfloat16", DType::bf16, DType::f32},
};

std::atomic<uint16_t> global_policy{0};

}  // namespace

DTypePolicy::DTypePolicy(const std::string& name, Location where) {
  const NamedPolicy& row = detail::find_named(policies, "dtype_policy", name, where);
  compute_ = row.compute;
  variable_ = row.variable;
}

std::string DTypePolicy::name() const {
  for (const NamedPolicy& row : policies)
    if (row.compute == compute_ && row.variable == variable_) return std::string(row.name);
  return {};
}

uint16_t DTypePolicy::code() const {
  return static_cast<uint16_t>((static_cast<int>(compute_) + 1) << 8 | (static_cast<int>(variable_) + 1));
}

std::optional<DTypePolicy> DTypePolicy::from_code(uint16_t code) {
  if (code == 0) return {};
  return DTypePolicy(static_cast<DType>((code >> 8) - 1), static_cast<DType>((code & 0xff) - 1));
}

void set_dtype_policy(std::optional<DTypePolicy> policy) { global_policy = policy ? policy->code() : 0; }
std::optional<DTypePolicy> dtype_policy() { return DTypePolicy::from_code(global_policy); }

void Module::set_dtype_policy(std::optional<DTypePolicy> policy) const {
  for (const detail::Visit& v : detail::walk(state_))
    const_cast<detail::ModuleState&>(*v.module).policy = policy ? policy->code() : 0;
  detail::note_structure_change();
}

std::optional<DTypePolicy> Module::dtype_policy() const { return DTypePolicy::from_code(state_->policy); }

namespace detail {

uint16_t default_policy() { return global_policy.load(std::memory_order_relaxed); }

DType ModuleState::compute_dtype(const Tensor& x) const {
  const uint16_t code = policy.load(std::memory_order_relaxed);
  return code == 0 || !is_floating(x.dtype()) ? x.dtype() : DTypePolicy::from_code(code)->compute_dtype();
}

DType ModuleState::variable_dtype(DType asked) const {
  const uint16_t code = policy.load(std::memory_order_relaxed);
  return code == 0 ? asked : DTypePolicy::from_code(code)->variable_dtype();
}

}  // namespace detail

}  // namespace tandem::nn
