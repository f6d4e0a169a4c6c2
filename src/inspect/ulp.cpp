#include "inspect/ulp.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/check.h"

namespace tandem {

namespace {

constexpr int64_t furthest = std::numeric_limits<int64_t>::max();

/// |a - b|, or INT64_MAX where that is too large.
template <class Int>
int64_t integer_distance(Int a, Int b) {
  const uint64_t distance = a > b ? static_cast<uint64_t>(a) - static_cast<uint64_t>(b)
                                  : static_cast<uint64_t>(b) - static_cast<uint64_t>(a);
  return static_cast<int64_t>(std::min(distance, static_cast<uint64_t>(furthest)));
}

/// The position of a floating-point number, given as its bits, in the order of all of them.
template <class Bits>
int64_t position(Bits bits) {
  using Signed = std::make_signed_t<Bits>;
  const auto value = static_cast<Signed>(bits);
  // Negative numbers run backwards, from -0 just below +0.
  return value >= 0 ? value : static_cast<int64_t>(std::numeric_limits<Signed>::min()) - value - 1;
}

template <class T>
int64_t distance(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    return integer_distance(a, b);
  } else if constexpr (std::is_floating_point_v<T>) {
    using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b) ? 0 : furthest;
    return integer_distance(position(std::bit_cast<Bits>(a)), position(std::bit_cast<Bits>(b)));
  } else {  // Half and BFloat16
    const bool a_is_nan = std::isnan(static_cast<float>(a)), b_is_nan = std::isnan(static_cast<float>(b));
    if (a_is_nan || b_is_nan) return a_is_nan && b_is_nan ? 0 : furthest;
    return integer_distance(position(a.bits), position(b.bits));
  }
}

template <class T>
int64_t largest_distance(const Tensor& a, const Tensor& b) {
  const Tensor dense_a = a.contiguous(), dense_b = b.contiguous();
  const T *x = dense_a.data<T>(), *y = dense_b.data<T>();
  int64_t largest = 0;
  for (int64_t i = 0, n = a.size(); i < n; ++i) largest = std::max(largest, distance(x[i], y[i]));
  return largest;
}

}  // namespace

int64_t largest_ulp_distance(const Tensor& a, const Tensor& b) {
  TD_CHECK(a.dtype() == b.dtype() && a.shape() == b.shape(),
           "results of different kinds cannot be compared: {} of {} and {} of {}", a.shape(), a.dtype(),
           b.shape(), b.dtype());
  switch (a.dtype()) {
    case DType::boolean:
      return largest_distance<bool>(a, b);
    case DType::u8:
      return largest_distance<uint8_t>(a, b);
    case DType::i8:
      return largest_distance<int8_t>(a, b);
    case DType::u16:
      return largest_distance<uint16_t>(a, b);
    case DType::i16:
      return largest_distance<int16_t>(a, b);
    case DType::u32:
      return largest_distance<uint32_t>(a, b);
    case DType::i32:
      return largest_distance<int32_t>(a, b);
    case DType::u64:
      return largest_distance<uint64_t>(a, b);
    case DType::i64:
      return largest_distance<int64_t>(a, b);
    case DType::f16:
      return largest_distance<Half>(a, b);
    case DType::bf16:
      return largest_distance<BFloat16>(a, b);
    case DType::f32:
      return largest_distance<float>(a, b);
    case DType::f64:
      return largest_distance<double>(a, b);
  }
  TD_ASSERT(false);
}

}  // namespace tandem
