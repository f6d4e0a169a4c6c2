#pragma once
// Plain C++ kernels, written once for all dtypes.

#include <type_traits>

#include "tandem/dtype.h"
#include "tandem/shape.h"

namespace tandem {

/// Calls f(T()) with the C++ type of the elements: uint8_t for bool, Half and BFloat16 for theirs.
template <class F>
decltype(auto) with_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::boolean:
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
    case DType::f64:
      break;
  }
  return f(double{});
}

/// What arithmetic on T is done in.
template <class T>
using Computed = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

/// One axis of a contiguous tensor: `outer` times `size` times `inner` elements.
struct AxisLayout {
  int64_t outer = 1, size = 1, inner = 1;
  AxisLayout(const Shape& shape, int axis) {
    for (int i = 0; i < shape.rank(); ++i) (i < axis ? outer : i > axis ? inner : size) *= shape[i];
  }
};

}  // namespace tandem
