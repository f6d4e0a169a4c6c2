#pragma once
// Mixed precision: which dtypes layers compute in and keep their parameters in.

#include <optional>
#include <string>

#include "tandem/dtype.h"
#include "tandem/location.h"

namespace tandem::nn {

/// By Keras's name: "float32", "float64", "float16", "bfloat16" compute and keep parameters in that dtype;
/// "mixed_float16" and "mixed_bfloat16" compute in the short one and keep parameters in float32. Losses are
/// computed in float32 or better, and compile() gives models in "mixed_float16" a dynamic loss scale.
///
/// A layer with a policy converts its floating inputs, and reads its parameters, in the dtype it computes in.
/// Errors: an unknown name.
///
///     nn::set_dtype_policy("mixed_bfloat16");   // for layers made from now on
///     nn::Dense out(10);
///     out.set_dtype_policy("float32");          // for this one
class DTypePolicy {
 public:
  DTypePolicy(const char* name, Location where = here()) : DTypePolicy(std::string(name), where) {}
  DTypePolicy(const std::string& name, Location where = here());

  std::string name() const;
  DType compute_dtype() const { return compute_; }
  DType variable_dtype() const { return variable_; }
  bool operator==(const DTypePolicy&) const = default;

  // For Tandem's own layers: never 0.
  uint16_t code() const;
  static std::optional<DTypePolicy> from_code(uint16_t code);

 private:
  DTypePolicy(DType compute, DType variable) : compute_(compute), variable_(variable) {}

  DType compute_, variable_;
};

/// The policy of layers made from now on, in all threads. None, as at first: layers compute in the dtype of
/// their inputs, and parameters take the first input's.
void set_dtype_policy(std::optional<DTypePolicy> policy);
std::optional<DTypePolicy> dtype_policy();

}  // namespace tandem::nn
