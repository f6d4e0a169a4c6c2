#pragma once
// Operand: what operations accept. It also remembers the line that called them.

#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "tandem/dim.h"
#include "tandem/location.h"
#include "tandem/tensor.h"

namespace tandem {

class Variable;
namespace detail {
struct VariableImpl;
}

/// One argument of an operation: a Tensor, a Variable, a number, or up to 16 integers. It borrows tensors and
/// lives no longer than the call. Its constructor captures the caller's line, which is how `a + b` knows its
/// line.
class Operand {
 public:
  enum class Kind : uint8_t { none, tensor, variable, integer, floating, boolean, list };
  static constexpr int max_list = 16;

  /// An optional argument left out.
  Operand(std::nullptr_t = nullptr, Location where = here()) : kind_(Kind::none), where_(where) {}
  Operand(const Tensor& t, Location where = here())
      : kind_(t.defined() ? Kind::tensor : Kind::none), where_(where) {
    value_.tensor = t.impl();
  }
  Operand(const Variable& v, Location where = here());
  template <class T>
  requires(std::is_arithmetic_v<T>) Operand(T number, Location where = here()) : where_(where) {
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::boolean;
      value_.integer = number ? 1 : 0;
    } else if constexpr (std::is_integral_v<T>) {
      kind_ = Kind::integer;
      value_.integer = static_cast<int64_t>(number);
    } else {
      kind_ = Kind::floating;
      value_.floating = static_cast<double>(number);
    }
  }
  Operand(Dim dim, Location where = here())
      : kind_(Kind::integer), symbolic_(dim.is_symbolic()), where_(where) {
    value_.integer = dim.code();
  }
  template <class T>
  requires(std::is_convertible_v<T, int64_t> && !std::is_floating_point_v<T> && !std::is_same_v<T, Dim>)
      Operand(std::initializer_list<T> values, Location where = here())
      : kind_(Kind::list), where_(where) {
    for (const T& v : values) append(static_cast<int64_t>(v));
  }
  Operand(std::initializer_list<Dim> values, Location where = here()) : kind_(Kind::list), where_(where) {
    for (const Dim& v : values) append(v.code());
  }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
      Operand(const std::vector<T>& values, Location where = here())
      : kind_(Kind::list), where_(where) {
    for (T v : values) append(static_cast<int64_t>(v));
  }
  Operand(const Dims& values, Location where = here()) : kind_(Kind::list), where_(where) {
    for (int64_t v : values) append(v);
  }
  Operand(const TensorShape& values, Location where = here()) : Operand(values.codes(), where) {}

  Kind kind() const { return kind_; }
  bool present() const { return kind_ != Kind::none; }
  bool is_tensor() const { return kind_ == Kind::tensor; }
  bool is_number() const { return kind_ >= Kind::integer && kind_ <= Kind::boolean; }
  /// A size that is known only when the graph runs; integer() is its code.
  bool is_symbolic_number() const { return symbolic_; }
  Location location() const { return where_; }
  void set_location(Location where) { where_ = where; }

  detail::TensorImpl* tensor_impl() const { return value_.tensor; }
  detail::VariableImpl* variable_impl() const { return value_.variable; }
  int64_t integer() const { return value_.integer; }
  double floating() const {
    return kind_ == Kind::floating ? value_.floating : static_cast<double>(value_.integer);
  }
  int list_size() const { return list_size_; }
  const int64_t* list() const { return list_; }

 private:
  void append(int64_t v) {
    if (list_size_ == max_list) list_too_long();
    list_[list_size_++] = v;
  }
  [[noreturn]] static void list_too_long();

  Kind kind_ = Kind::none;
  bool symbolic_ = false;
  uint8_t list_size_ = 0;
  Location where_;
  union {
    detail::TensorImpl* tensor;
    detail::VariableImpl* variable;
    int64_t integer;
    double floating;
  } value_{};
  int64_t list_[max_list];  // deliberately left uninitialised: only list_size_ entries mean anything
};

/// While one lives, operations called on this thread count as called at `where`: composite library code
/// (layers, losses) opens one from its own operand, and the outermost wins.
class CallSite {
 public:
  explicit CallSite(Location where);
  explicit CallSite(const Operand& operand) : CallSite(operand.location()) {}
  ~CallSite();
  CallSite(const CallSite&) = delete;
  CallSite& operator=(const CallSite&) = delete;

 private:
  bool opened_;
};

}  // namespace tandem
