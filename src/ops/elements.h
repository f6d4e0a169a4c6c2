#pragma once
// What kernels in plain C++ share: a type for each dtype, and copies between strided layouts.

#include <cmath>
#include <limits>
#include <type_traits>

#include "ops/op_def.h"

namespace tandem {

/// Calls f with a value of the unsigned integer that is as wide as an element: for kernels that only move.
template <class F>
decltype(auto) with_carrier(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

/// Calls f with a value of the dtype's C++ type.
template <class F>
decltype(auto) with_element(DType dtype, F&& f) {
  switch (dtype) {
    case DType::boolean:
      return f(bool{});
    case DType::u8:
      return f(uint8_t{});
    case DType::i8:
      return f(int8_t{});
    case DType::u16:
      return f(uint16_t{});
    case DType::i16:
      return f(int16_t{});
    case DType::u32:
      return f(uint32_t{});
    case DType::i32:
      return f(int32_t{});
    case DType::u64:
      return f(uint64_t{});
    case DType::i64:
      return f(int64_t{});
    case DType::f16:
      return f(Half{});
    case DType::bf16:
      return f(BFloat16{});
    case DType::f32:
      return f(float{});
    default:
      return f(double{});
  }
}

/// The type in which an element is computed with: float for Half and BFloat16, else its own.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

template <class T>
bool is_nan_element(T v) {
  if constexpr (std::is_floating_point_v<Computed<T>>)
    return std::isnan(static_cast<Computed<T>>(v));
  else
    return false;
}

/// A total order for sorting: NaN is above everything and equal to itself; -0 equals +0.
template <class T>
bool sorts_before(T a, T b) {
  if (is_nan_element(a)) return false;
  if (is_nan_element(b)) return true;
  return static_cast<Computed<T>>(a) < static_cast<Computed<T>>(b);
}

/// The shape that parameter `i` asks for; sizes not known while tracing are fresh symbols.
Shape shape_parameter(const InferContext& c, int i);
/// The integers of a kernel's contiguous i32 or i64 input.
Integers read_integers(const kernel::View& v);
/// Entry `i` of such an input.
inline int64_t integer_at(const kernel::View& v, int64_t i) {
  return v.dtype == DType::i64 ? static_cast<const int64_t*>(v.data)[i]
                               : static_cast<const int32_t*>(v.data)[i];
}

/// Index `i` counted from the front. Throws "index 7 is out of range for size 5 of axis 0; expected -5 to 4".
inline int64_t normalize_index(int64_t i, int64_t size, int axis) {
  TD_CHECK(i >= -size && i < size, "index {} is out of range for size {} of axis {}; expected {} to {}", i,
           size, axis, -size, size - 1);
  return i < 0 ? i + size : i;
}

/// int32 indices as the int64 that some ops of ONNX insist on; undefined when nothing needs to be done.
Tensor wide_indices(const Operand& indices);

/// Copies `shape` elements between two layouts; strides in elements.
void copy_strided(const void* from, const Strides& from_strides, void* to, const Strides& to_strides,
                  const Shape& shape, size_t element_size);

/// Calls f(i, offset) for each position of `shape` in row-major order, with its offset under `strides`.
template <class F>
void for_each_offset(const Shape& shape, const Strides& strides, F&& f) {
  const int64_t count = shape.element_count();
  Dims at = Dims::filled(shape.rank(), 0);
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    f(i, offset);
    for (int d = shape.rank() - 1; d >= 0; --d) {
      offset += strides[d];
      if (++at[d] < shape[d]) break;
      offset -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}

/// One axis of a contiguous tensor: `outer` times `size` times `inner` elements.
struct AxisLayout {
  int64_t outer = 1, size = 1, inner = 1;
  AxisLayout(const Shape& shape, int axis) {
    for (int i = 0; i < shape.rank(); ++i) (i < axis ? outer : i > axis ? inner : size) *= shape[i];
  }
};

/// Product of sizes [begin, end).
inline int64_t product(const Shape& shape, int begin, int end) {
  int64_t n = 1;
  for (int i = begin; i < end; ++i) n *= shape[i];
  return n;
}

/// Attributes boxed, for samples.
template <class A>
AttributeBox boxed(const A& attributes) {
  return AttributeBox(attribute_type<A>, &attributes);
}

}  // namespace tandem
