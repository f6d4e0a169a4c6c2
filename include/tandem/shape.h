#pragma once
// Shapes: up to eight sizes, stored inline.

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace tandem {

inline constexpr int max_rank = 8;

/// An inline list of up to eight 64-bit integers: sizes, strides, axes, permutations.
///
/// As a tensor's shape, an entry below zero is a symbolic dimension: an unknown size. Equal
/// negative entries of one trace mean equal sizes; nothing else is known of them.
class Dims {
 public:
  constexpr Dims() = default;
  constexpr Dims(std::initializer_list<int64_t> values) {
    check_size(values.size());
    for (int64_t v : values) push_back(v);
  }
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Dims(const std::vector<T>& values) {
    check_size(values.size());
    for (T v : values) push_back(static_cast<int64_t>(v));
  }
  explicit Dims(std::span<const int64_t> values) {
    check_size(values.size());
    for (int64_t v : values) push_back(v);
  }
  static constexpr Dims filled(int count, int64_t value) {
    Dims d;
    for (int i = 0; i < count; ++i) d.push_back(value);
    return d;
  }

  constexpr int size() const { return size_; }
  constexpr int rank() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr int64_t operator[](int i) const { return values_[i]; }
  constexpr int64_t& operator[](int i) { return values_[i]; }
  constexpr int64_t back() const { return values_[size_ - 1]; }
  constexpr const int64_t* begin() const { return values_; }
  constexpr const int64_t* end() const { return values_ + size_; }
  constexpr int64_t* begin() { return values_; }
  constexpr int64_t* end() { return values_ + size_; }
  constexpr void push_back(int64_t v) {
    if (size_ == max_rank) too_long(max_rank + 1);
    values_[size_++] = v;
  }
  constexpr void resize(int n, int64_t fill = 0) {
    check_size(static_cast<size_t>(n));
    for (int i = size_; i < n; ++i) values_[i] = fill;
    size_ = n;
  }
  void insert(int at, int64_t v);
  void erase(int at);
  operator std::span<const int64_t>() const { return {values_, static_cast<size_t>(size_)}; }
  std::vector<int64_t> to_vector() const { return {begin(), end()}; }

  friend constexpr bool operator==(const Dims& a, const Dims& b) {
    if (a.size_ != b.size_) return false;
    for (int i = 0; i < a.size_; ++i)
      if (a.values_[i] != b.values_[i]) return false;
    return true;
  }

  /// True when every size is known.
  constexpr bool is_static() const {
    for (int64_t d : *this)
      if (d < 0) return false;
    return true;
  }
  /// Product of the sizes (1 for rank 0), or -1 when one is symbolic and none is zero. At most 2^58: more fit
  /// no memory, and their bytes still fit an int64.
  constexpr int64_t element_count() const {
    constexpr int64_t most = int64_t{1} << 58;
    int64_t n = 1;
    bool symbolic = false;
    for (int64_t d : *this) {
      if (d == 0) return 0;
      if (d < 0)
        symbolic = true;
      else if (__builtin_mul_overflow(n, d, &n) || n > most)
        n = most;
    }
    return symbolic ? -1 : n;
  }

 private:
  constexpr void check_size(size_t n) const {
    if (n > max_rank) too_long(n);
  }
  [[noreturn]] static void too_long(size_t n);

  int64_t values_[max_rank] = {};
  int size_ = 0;
};

using Shape = Dims;
using Strides = Dims;

/// `(2, 3)`, `(5,)`, `()`; a symbolic dimension prints as `?`.
std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// Row-major strides, in elements.
constexpr Strides contiguous_strides(const Shape& shape) {
  Strides s = Dims::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) s[i] = s[i + 1] * (shape[i + 1] > 1 ? shape[i + 1] : 1);
  return s;
}

}  // namespace tandem
