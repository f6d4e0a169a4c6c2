#pragma once
// Variable: the only mutable thing, a named cell that holds a Tensor.

#include <functional>
#include <memory>
#include <string>

#include "tandem/operand.h"
#include "tandem/tensor.h"

namespace tandem {

/// How a Variable is made: `td::Variable w(td::zeros({3}), {.name = "w", .trainable = false})`.
struct VariableOptions {
  std::string name = "variable";  ///< behind those of the NameScopes around it
  bool trainable = true;
  /// Shapes that assignments may have; -1 accepts any size. Default: the initial value's shape.
  std::optional<Shape> shape = {};
  /// What optimizers make of a new value before it counts: `[](td::Tensor w) { return td::relu(w); }`
  std::function<Tensor(const Tensor& value)> constraint = {};
  /// A name that another living variable has gets a number: the second "w" becomes "w_1".
  bool unique_name = true;
};

/// A named cell that holds a Tensor. Copies refer to the same cell.
///
///     td::Variable v(2.f);
///     v.assign_add(1.f).assign_add(1.f);   // 4
///
/// Trainable floating variables are watched by gradient tapes when read.
class Variable {
 public:
  Variable() = default;
  /// Errors: inside a td::function's later traces (create variables once, outside or on the first call).
  explicit Variable(const Tensor& initial, VariableOptions options = {}, Location where = here());
  /// The initial value comes from a callable, which runs outside any trace.
  explicit Variable(const std::function<Tensor()>& initializer, VariableOptions options = {},
                    Location where = here());

  bool defined() const { return impl_ != nullptr; }
  /// The present value.
  Tensor value(Location where = here()) const;
  operator Tensor() const { return value({}); }

  /// Replaces the value. Errors: another dtype, or a shape the variable does not accept; nothing broadcasts.
  const Variable& assign(const Operand& value) const;
  const Variable& assign_add(const Operand& delta) const;
  const Variable& assign_sub(const Operand& delta) const;

  /// Replaces the rows (entries of the first dimension) that `indices` name; of equal indices the last wins.
  /// `updates` has the shape of `indices` followed by a row's, or is one number for all.
  /// `table.scatter_add({3, 3}, rows)` Errors: an index out of range.
  const Variable& scatter_update(const Operand& indices, const Operand& updates) const;
  /// The same with the rows changed by arithmetic; equal indices add up, one after the other.
  const Variable& scatter_add(const Operand& indices, const Operand& updates) const;
  const Variable& scatter_sub(const Operand& indices, const Operand& updates) const;
  const Variable& scatter_mul(const Operand& indices, const Operand& updates) const;
  const Variable& scatter_div(const Operand& indices, const Operand& updates) const;
  const Variable& scatter_max(const Operand& indices, const Operand& updates) const;
  const Variable& scatter_min(const Operand& indices, const Operand& updates) const;

  const std::string& name() const;
  DType dtype() const;
  const Shape& shape() const;
  bool trainable() const;
  /// Applies the constraint to the present value; nothing without one. Optimizers do that after each update.
  void apply_constraint(Location where = here()) const;
  /// Same cell, not same value.
  bool is(const Variable& other) const { return impl_ == other.impl_; }

  const std::shared_ptr<detail::VariableImpl>& impl() const { return impl_; }
  static Variable from_impl(std::shared_ptr<detail::VariableImpl> impl);

 private:
  std::shared_ptr<detail::VariableImpl> impl_;
};

/// Prints its name, shape and dtype, and outside a trace its value.
std::ostream& operator<<(std::ostream& out, const Variable& variable);

}  // namespace tandem
