#pragma once
// Reading variables in the dtype in which a layer computes.

#include "ops/dispatch.h"

namespace tandem::nn::detail {

/// Converts what is read of trainable floating variables.
class AutocastMode final : public tandem::Mode {
 public:
  void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
             Tensors& outputs) override;

  std::optional<DType> dtype;  ///< none: as they are
};

/// How the variables of one layer are read, until it ends: layers inside say it for themselves.
class AutocastScope {
 public:
  /// None: as they are.
  explicit AutocastScope(std::optional<DType> dtype);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

  /// False on threads where None needs no scope.
  static bool any();

 private:
  AutocastMode mode_;
  AutocastMode* outer_;
  std::optional<DType> before_;
  bool pushed_;
};

}  // namespace tandem::nn::detail
