#pragma once
// Sizes that may be unknown while a function is traced: one of them, and a tensor's shape.

#include <iosfwd>
#include <string>
#include <vector>

#include "tandem/location.h"
#include "tandem/shape.h"

namespace tandem {

/// The size of one dimension: a number, or, while tracing an unknown dimension, symbolic. Operations accept
/// it where they accept sizes; converting a symbolic one to an integer pins that dimension for the function
/// being traced.
class Dim {
 public:
  constexpr Dim(int64_t value, Location where = {}) : value_(value), where_(where) {}
  /// The size as a number. While tracing it pins a symbolic dimension (explain() names the line).
  operator int64_t() const;
  bool is_symbolic() const { return value_ < 0; }
  /// The number, or the internal code of the symbol.
  int64_t code() const { return value_; }
  Location location() const { return where_; }

 private:
  int64_t value_;
  Location where_;
};

/// The number; a symbolic one prints as `?`.
std::ostream& operator<<(std::ostream& out, const Dim& dim);

/// Symbolic dimensions are numbered downwards from here, far from any size, axis or -1 a user writes, and
/// from the lowest integers, which mean "as far as it goes" in slices.
inline constexpr int64_t symbol_base = -(int64_t{1} << 40);
constexpr bool is_symbol(int64_t dim) { return dim <= symbol_base && dim > 2 * symbol_base; }

/// A tensor's shape as it is read: its sizes are Dims, so that code which computes with an unknown one while
/// a function is traced pins it, in place of computing with its code. Operations take the whole as it is;
/// copied to a Shape it is a list of numbers, and pins what is unknown.
///
///     auto f = td::function([](td::Tensor x) {
///       td::Tensor sum = x[0];
///       for (int64_t i = 1; i < x.shape()[0]; ++i) sum += x[i];  // one trace for each number of rows
///       return sum / x.shape()[0];
///     });
class TensorShape {
 public:
  /// An axis, and the line that reads it.
  struct Axis {
    int number;
    Location where;
    constexpr Axis(int axis, Location at = here()) : number(axis), where(at) {}
  };
  class Iterator {
   public:
    constexpr Iterator(const int64_t* at, Location where) : at_(at), where_(where) {}
    constexpr Dim operator*() const { return {*at_, where_}; }
    constexpr Iterator& operator++() {
      ++at_;
      return *this;
    }
    constexpr bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const int64_t* at_;
    Location where_;
  };

  constexpr TensorShape(const Shape& codes, Location where) : codes_(codes), where_(where) {}
  /// The sizes as numbers, which pins those that are unknown.
  operator Shape() const;
  /// The Shape, in which unknown sizes are codes below zero.
  constexpr const Shape& codes() const& { return codes_; }
  constexpr Shape codes() && { return codes_; }

  constexpr int rank() const { return codes_.rank(); }
  constexpr int size() const { return codes_.size(); }
  constexpr bool empty() const { return codes_.empty(); }
  constexpr bool is_static() const { return codes_.is_static(); }
  constexpr Dim operator[](Axis axis) const { return {codes_[axis.number], axis.where}; }
  constexpr Dim back(Location where = here()) const { return {codes_.back(), where}; }
  constexpr Iterator begin() const { return {codes_.begin(), where_}; }
  constexpr Iterator end() const { return {codes_.end(), where_}; }
  /// Product of the sizes, which pins those that are unknown.
  int64_t element_count(Location where = here()) const;
  /// The sizes as numbers, which pins those that are unknown.
  std::vector<int64_t> to_vector(Location where = here()) const;

  friend constexpr bool operator==(const TensorShape& a, const TensorShape& b) {
    return a.codes_ == b.codes_;
  }
  friend constexpr bool operator==(const TensorShape& a, const Shape& b) { return a.codes_ == b; }

 private:
  Shape codes_;
  Location where_;
};

/// `(2, 3)`, `(5,)`, `()`; an unknown size prints as `?`.
std::string to_string(const TensorShape& shape);
std::ostream& operator<<(std::ostream& out, const TensorShape& shape);

}  // namespace tandem
