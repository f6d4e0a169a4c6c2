#pragma once
// The cell behind a Variable, and the two ops that touch it.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

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
  uint64_t serial = 0;  ///< order of creation
  Location where;
  std::recursive_mutex call_mutex;  ///< held by a function call that assigns

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

/// Attributes of ReadVariable and AssignVariable.
struct VariableAttributes {
  std::shared_ptr<detail::VariableImpl> variable;
  std::string name;  // what text and files show
  static constexpr auto fields() { return std::tuple{field("variable", &VariableAttributes::name)}; }
  static constexpr bool opaque = true;
  bool operator==(const VariableAttributes& other) const { return variable == other.variable; }
};

/// Reads through the current mode. The result is a value: later assignments do not change it.
Tensor read_variable(detail::VariableImpl& variable, Location where);
/// Writes through the current mode.
void assign_variable(detail::VariableImpl& variable, const Operand& value);

}  // namespace tandem
