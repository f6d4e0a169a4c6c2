#pragma once
// The cell behind a Variable, and the two ops that touch it.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "core/recursive_lock.h"
#include "ops/attributes.h"
#include "tandem/variable.h"

namespace tandem {

namespace detail {

/// A lock for a few instructions: reading a handle and counting a reference.
class SpinLock {
 public:
  void lock() {
    while (flag_.test_and_set(std::memory_order_acquire)) __builtin_ia32_pause();
  }
  void unlock() { flag_.clear(std::memory_order_release); }

 private:
  std::atomic_flag flag_ = ATOMIC_FLAG_INIT;
};

struct VariableImpl : std::enable_shared_from_this<VariableImpl> {
  std::string name;
  Spec spec;  ///< shape entries below zero accept any size
  bool trainable = true;
  std::function<Tensor(const Tensor&)> constraint;
  std::shared_ptr<const void> name_registration;  ///< while it lives, no other variable gets the name
  uint64_t serial = 0;                            ///< order of creation
  Location where;
  detail::RecursiveLock call_mutex;  ///< held by a function call that assigns

  Tensor load() const {
    const std::lock_guard<SpinLock> lock(lock_);
    return value_;
  }
  void store(Tensor value) {
    {
      const std::lock_guard<SpinLock> lock(lock_);
      value_.swap(value);
    }
    // The old value dies outside the lock.
  }
  /// Stores `next` if the value is still `expected`.
  bool replace(const Tensor& expected, Tensor next) {
    const std::lock_guard<SpinLock> lock(lock_);
    if (value_.impl() != expected.impl()) return false;
    value_.swap(next);
    return true;
  }

 private:
  mutable SpinLock lock_;
  Tensor value_;
};

}  // namespace detail

/// What text and files show of a variable. Made without a copy of its name: every read makes one.
struct VariableLabel {
  const detail::VariableImpl* variable = nullptr;
  std::string text = {};  ///< a name whose variable is yet to be found

  const std::string& name() const { return variable ? variable->name : text; }
  bool operator==(const VariableLabel&) const = default;
  // As an attribute it is a text.
  operator const std::string&() const { return name(); }
  operator std::string&() { return text; }
};

/// Attributes of ReadVariable and AssignVariable.
struct VariableAttributes {
  std::shared_ptr<detail::VariableImpl> variable;
  VariableLabel label;
  VariableAttributes() = default;
  explicit VariableAttributes(std::shared_ptr<detail::VariableImpl> v)
      : variable(std::move(v)), label{variable.get()} {}
  static constexpr auto fields() { return std::tuple{field("variable", &VariableAttributes::label)}; }
  static constexpr bool opaque = true;
  bool operator==(const VariableAttributes& other) const { return variable == other.variable; }
};

/// Reads through the current mode. The result is a value: later assignments do not change it.
Tensor read_variable(detail::VariableImpl& variable, Location where);
/// Writes through the current mode.
void assign_variable(detail::VariableImpl& variable, const Operand& value);

}  // namespace tandem
