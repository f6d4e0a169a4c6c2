#pragma once
// Element types.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace tandem {

/// Element type of a tensor. The order is that of the tables in src/.
enum class DType : uint8_t { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64 };

inline constexpr int dtype_count = 13;

inline constexpr DType boolean = DType::boolean, uint8 = DType::u8, int8 = DType::i8, uint16 = DType::u16,
                       int16 = DType::i16, uint32 = DType::u32, int32 = DType::i32, uint64 = DType::u64,
                       int64 = DType::i64, float16 = DType::f16, bfloat16 = DType::bf16, float32 = DType::f32,
                       float64 = DType::f64;

/// IEEE 754 binary16 as storage; arithmetic happens in float.
struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value);
  explicit operator float() const;
  bool operator==(const Half&) const = default;
};

/// bfloat16 as storage; arithmetic happens in float.
struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value);  ///< rounds to nearest even; NaN stays NaN
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
  bool operator==(const BFloat16&) const = default;
};

/// Bytes of one element.
constexpr size_t size_of(DType dtype) {
  constexpr uint8_t sizes[dtype_count] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(dtype)];
}
/// Half, bfloat16, float and double.
constexpr bool is_floating(DType dtype) { return dtype >= DType::f16; }
/// Signed or not; bool is none.
constexpr bool is_integer(DType dtype) { return dtype >= DType::u8 && dtype <= DType::i64; }
/// Can hold a negative number.
constexpr bool is_signed(DType dtype) {
  return is_floating(dtype) || dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 ||
         dtype == DType::i64;
}

/// NumPy's name: "float32", "bool", ...
std::string_view name_of(DType dtype);
/// The inverse of name_of; false when the name is unknown.
bool parse_dtype(std::string_view name, DType& dtype);

namespace detail {
template <class T>
struct DTypeOf {};
#define TANDEM_DTYPE(type, name)                \
  template <>                                   \
  struct DTypeOf<type> {                        \
    static constexpr DType value = DType::name; \
  };
TANDEM_DTYPE(bool, boolean)
TANDEM_DTYPE(Half, f16)
TANDEM_DTYPE(BFloat16, bf16)
TANDEM_DTYPE(float, f32)
TANDEM_DTYPE(double, f64)
#undef TANDEM_DTYPE

template <class T>
constexpr DType integer_dtype() {
  constexpr DType of_size[2][9] = {{{}, DType::u8, DType::u16, {}, DType::u32, {}, {}, {}, DType::u64},
                                   {{}, DType::i8, DType::i16, {}, DType::i32, {}, {}, {}, DType::i64}};
  return of_size[std::is_signed_v<T> ? 1 : 0][sizeof(T)];
}
template <class T>
requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) struct DTypeOf<T> {
  static constexpr DType value = integer_dtype<T>();
};
}  // namespace detail

/// The DType of a C++ element type: dtype_of<float> is float32.
template <class T>
inline constexpr DType dtype_of = detail::DTypeOf<std::remove_cv_t<T>>::value;

template <class T>
concept Element = requires {
  detail::DTypeOf<std::remove_cv_t<T>>::value;
};

}  // namespace tandem
