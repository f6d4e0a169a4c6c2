#pragma once
// Tensor: an immutable value with a dtype, a shape and a device.

#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tandem/dim.h"
#include "tandem/dtype.h"
#include "tandem/location.h"
#include "tandem/shape.h"

namespace tandem {

/// Where a tensor's elements live. Only the CPU exists yet.
struct Device {
  enum class Kind : uint8_t { cpu };
  Kind kind = Kind::cpu;
  uint8_t index = 0;
  bool operator==(const Device&) const = default;
};
inline constexpr Device cpu{};
/// "cpu:0", as errors show it.
std::string to_string(Device device);

/// What is known of a tensor without its elements.
struct Spec {
  DType dtype = DType::f32;
  Shape shape;
  Device device = {};
  bool operator==(const Spec&) const = default;
};
/// `td::spec({32, 784})`, `td::spec({-1, 10}, td::int64)`; -1 is an unknown size.
Spec spec(const Shape& shape, DType dtype = DType::f32);

namespace detail {
struct TensorImpl;
void destroy(TensorImpl* impl) noexcept;
void retain(TensorImpl* impl) noexcept;
void release(TensorImpl* impl) noexcept;
}  // namespace detail

class Tensor;
class Dim;

/// One entry of an index list: a position, a range, `all` or `new_axis`. It remembers the line that wrote it.
struct Index {
  enum class Kind : uint8_t { at, range, all, new_axis } kind = Kind::all;
  bool has_start = false, has_stop = false;
  int64_t start = 0, stop = 0, step = 1;
  Location where = {};

  constexpr Index() = default;
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) constexpr Index(T position,
                                                                              Location where = here())
      : kind(Kind::at), start(static_cast<int64_t>(position)), where(where) {}
  /// `{1, 5}`: from 1 up to, not including, 5; `{5, 1, -2}` goes backwards.
  template <class T, class U>
  requires(std::is_convertible_v<T, int64_t>&& std::is_convertible_v<U, int64_t>) constexpr Index(
      const T& from, const U& to, int64_t by = 1, Location where = here())
      : kind(Kind::range),
        has_start(true),
        has_stop(true),
        start(static_cast<int64_t>(from)),
        stop(static_cast<int64_t>(to)),
        step(by),
        where(where) {}
  constexpr explicit Index(Kind k) : kind(k) {}
};
inline constexpr Index all{Index::Kind::all};
inline constexpr Index new_axis{Index::Kind::new_axis};
/// `from(2)`: everything from position 2 on; `from(-1, -1)`: everything, backwards.
constexpr Index from(int64_t start, int64_t step = 1, Location where = here()) {
  Index i(start, 0, step, where);
  i.has_stop = false;
  return i;
}

namespace detail {
/// One number of a braced list whose entries differ in type, as in `{1, 2, 5.f}`.
struct MixedNumber {
  template <class T>
  requires(std::is_arithmetic_v<T>) MixedNumber(T v) : value(static_cast<double>(v)) {}
  double value;
};
}  // namespace detail

/// An immutable n-dimensional array. Copies share the elements; views share buffers invisibly.
///
/// While a function is traced the same type is *symbolic*: it has a dtype and a shape but no elements.
///
///     td::Tensor x = {1, 2, 3, 4, 5.f};          // float32, shape (5,)
///     td::Tensor m = {{1, 2}, {3, 4}};           // int32, shape (2, 2)
///     td::Tensor e({1, 2, 3}, td::float64);
class Tensor {
 public:
  /// An empty handle: `defined()` is false.
  Tensor() = default;
  /// A scalar: integers give int32 (int64 when too large), floating-point numbers float32.
  template <class T>
  requires(std::is_arithmetic_v<T>) Tensor(T value, std::optional<DType> dtype = {})
      : Tensor(flat(&value, 1, {}, dtype)) {}
  Tensor(std::initializer_list<detail::MixedNumber> values, std::optional<DType> dtype = {})
      : Tensor(nested<double>(values, dtype)) {}
  template <class T>
  requires(std::is_arithmetic_v<T>) Tensor(std::initializer_list<T> values, std::optional<DType> dtype = {})
      : Tensor(flat(values.begin(), values.size(), {static_cast<int64_t>(values.size())}, dtype)) {}
  Tensor(std::initializer_list<std::initializer_list<detail::MixedNumber>> values,
         std::optional<DType> dtype = {})
      : Tensor(nested<double>(values, dtype)) {}
  template <class T>
  requires(std::is_arithmetic_v<T>)
      Tensor(std::initializer_list<std::initializer_list<T>> values, std::optional<DType> dtype = {})
      : Tensor(nested<T>(values, dtype)) {}
  Tensor(std::initializer_list<std::initializer_list<std::initializer_list<detail::MixedNumber>>> values,
         std::optional<DType> dtype = {})
      : Tensor(nested<double>(values, dtype)) {}
  template <class T>
  requires(std::is_arithmetic_v<T>)
      Tensor(std::initializer_list<std::initializer_list<std::initializer_list<T>>> values,
             std::optional<DType> dtype = {})
      : Tensor(nested<T>(values, dtype)) {}

  Tensor(const Tensor& other) noexcept : impl_(other.impl_) {
    if (impl_) detail::retain(impl_);
  }
  Tensor(Tensor&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}
  Tensor& operator=(const Tensor& other) noexcept {
    Tensor(other).swap(*this);
    return *this;
  }
  Tensor& operator=(Tensor&& other) noexcept {
    Tensor(std::move(other)).swap(*this);
    return *this;
  }
  ~Tensor() {
    if (impl_) detail::release(impl_);
  }
  void swap(Tensor& other) noexcept { std::swap(impl_, other.impl_); }

  bool defined() const { return impl_ != nullptr; }
  DType dtype() const;
  /// The sizes; those unknown while tracing are symbolic.
  TensorShape shape(Location where = here()) const;
  /// Dtype, sizes as numbers, which pins those unknown while tracing, and device.
  Spec spec(Location where = here()) const;
  Device device() const;
  int rank() const;
  /// Size of dimension `i` (negative counts from the end). Symbolic while tracing an unknown dimension.
  Dim dim(int i, Location where = here()) const;
  /// Number of elements; an error while it is symbolic.
  int64_t size() const;
  bool is_symbolic() const;
  bool is_contiguous() const;

  /// The only element, as T. Errors: more than one element, another dtype, symbolic.
  template <Element T>
  T item(Location where = here()) const {
    T value;
    read_item(dtype_of<T>, &value, where);
    return value;
  }
  /// Pointer to the elements in row-major order. Errors: another dtype, not contiguous (call
  /// `contiguous()` first), symbolic.
  template <Element T>
  const T* data(Location where = here()) const {
    return static_cast<const T*>(checked_data(dtype_of<T>, where));
  }
  template <Element T>
  std::span<const T> span(Location where = here()) const {
    return {data<T>(where), static_cast<size_t>(size())};
  }
  /// The elements in row-major order, whatever the strides.
  template <Element T>
  std::vector<T> to_vector(Location where = here()) const {
    const Tensor dense = contiguous(where);
    const T* first = dense.template data<T>(where);
    return std::vector<T>(first, first + dense.size());
  }
  /// Itself when the elements lie in row-major order, else a copy that does.
  Tensor contiguous(Location where = here()) const;
  /// Copies to a device; mixing devices in one operation is an error.
  Tensor to(Device device, Location where = here()) const;
  /// Converts the elements, as `td::cast`.
  Tensor to(DType dtype, Location where = here()) const;

  /// `x[i]`: the i-th entry along the first dimension (negative counts from the end), as a view.
  /// Errors: a position out of range.
  Tensor operator[](const Index& index) const;
  /// `x[{td::all, {1, 5}, -1}]`: an entry a dimension, those left out are whole. Positions drop their
  /// dimension, ranges are cut to fit, `td::new_axis` adds a dimension of size 1. A view.
  Tensor operator[](std::initializer_list<Index> indices) const;

  explicit operator bool() const = delete;

  // For Tandem's own layers.
  detail::TensorImpl* impl() const { return impl_; }
  /// Gives up the reference without dropping it.
  detail::TensorImpl* detach() { return std::exchange(impl_, nullptr); }
  static Tensor adopt(detail::TensorImpl* impl) {
    Tensor t;
    t.impl_ = impl;
    return t;
  }
  static Tensor share(detail::TensorImpl* impl) {
    if (impl) detail::retain(impl);
    return adopt(impl);
  }

 private:
  template <class T>
  static Tensor flat(const T* values, size_t count, const Shape& shape, std::optional<DType> dtype) {
    return from_elements(values, dtype_of<T>, count, shape, dtype);
  }
  template <class T>  // vector<bool> has no array behind it
  using Stored = std::conditional_t<std::is_same_v<T, bool>, unsigned char, T>;
  template <class T, class Nest>
  static Tensor nested(const Nest& values, std::optional<DType> dtype) {
    std::vector<Stored<T>> elements;
    Shape shape;
    collect(values, 0, shape, elements);
    return flat(reinterpret_cast<const T*>(elements.data()), elements.size(), shape, dtype);
  }
  template <class T, class Nest>
  static void collect(const Nest& values, int depth, Shape& shape, std::vector<T>& elements) {
    const auto count = static_cast<int64_t>(values.size());
    if (depth == shape.rank())
      shape.push_back(count);
    else if (shape[depth] != count)
      ragged(depth, shape[depth], count);
    for (const auto& v : values) {
      using V = std::remove_cvref_t<decltype(v)>;
      if constexpr (std::is_arithmetic_v<V>)
        elements.push_back(v);
      else if constexpr (std::is_same_v<V, detail::MixedNumber>)
        elements.push_back(v.value);
      else
        collect(v, depth + 1, shape, elements);
    }
  }
  static Tensor from_elements(const void* values, DType source, size_t count, const Shape& shape,
                              std::optional<DType> dtype);
  [[noreturn]] static void ragged(int depth, int64_t expected, int64_t seen);
  const void* checked_data(DType dtype, Location where) const;
  void read_item(DType dtype, void* value, Location where) const;

  detail::TensorImpl* impl_ = nullptr;
};

/// NumPy's layout: `Tensor([ 1.  4.  9. 16. 25.], shape=(5,), dtype=float32)`; large tensors are summarised,
/// a symbolic one prints as `Tensor("pow:0", shape=(5,), dtype=float32)`.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);
std::string to_string(const Tensor& tensor);

/// A tensor of the elements of `values` in row-major order. Errors: the count does not fit the shape.
///
///     td::Tensor m = td::from_span<float>(values, {2, 3});
template <Element T>
Tensor from_span(std::span<const T> values, const Shape& shape);
/// Takes the vector's own buffer, without copying.
template <Element T>
Tensor from_vector(std::vector<T>&& values, const Shape& shape);
/// Any range of elements, as a vector of shape (n,).
template <class Range>
requires requires(const Range& r) {
  r.begin();
  r.end();
}
Tensor from_range(const Range& range) {
  using T = std::remove_cvref_t<decltype(*range.begin())>;
  std::vector<T> values(range.begin(), range.end());
  const auto n = static_cast<int64_t>(values.size());
  return from_vector<T>(std::move(values), {n});
}

namespace detail {
/// A tensor's Spec without reading its sizes: unknown ones are codes below zero.
Spec coded_spec(const Tensor& tensor);
Tensor from_bytes(const void* data, DType dtype, size_t count, const Shape& shape);
/// Shares foreign memory; `release(argument)` runs when the last tensor lets go.
Tensor from_foreign(void* data, DType dtype, size_t count, const Shape& shape, void (*release)(void*),
                    void* argument);
}  // namespace detail

template <Element T>
Tensor from_span(std::span<const T> values, const Shape& shape) {
  return detail::from_bytes(values.data(), dtype_of<T>, values.size(), shape);
}
template <Element T>
Tensor from_vector(std::vector<T>&& values, const Shape& shape) {
  if constexpr (std::is_same_v<T, bool>) {  // vector<bool> has no buffer to take
    const std::vector<uint8_t> bytes(values.begin(), values.end());
    return detail::from_bytes(bytes.data(), DType::boolean, bytes.size(), shape);
  } else {
    auto* owned = new std::vector<T>(std::move(values));
    try {
      return detail::from_foreign(
          owned->data(), dtype_of<T>, owned->size(), shape,
          [](void* vector) { delete static_cast<std::vector<T>*>(vector); }, owned);
    } catch (...) {
      delete owned;
      throw;
    }
  }
}

}  // namespace tandem
