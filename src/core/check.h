#pragma once
// Throwing errors with formatted messages.
//
//   TD_CHECK(axis < rank, "axis {} is out of range for rank {}; expected {} to {}", ...);
//
// TD_CHECK is for users' mistakes, TD_ASSERT for Tandem's own.

#include <fmt/format.h>

#include "tandem/dim.h"
#include "tandem/dtype.h"
#include "tandem/error.h"
#include "tandem/shape.h"

namespace tandem {

template <class... Args>
[[noreturn]] [[gnu::cold]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
[[noreturn]] [[gnu::cold]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::invalid_argument, fmt::format(format, std::forward<Args>(args)...));
}

#define TD_CHECK(condition, ...)   \
  do {                             \
    if (!(condition)) [[unlikely]] \
      ::tandem::fail(__VA_ARGS__); \
  } while (false)

#define TD_ASSERT(condition)                                                                  \
  do {                                                                                        \
    if (!(condition)) [[unlikely]]                                                            \
      ::tandem::fail(::tandem::ErrorCode::internal, "internal error: {} ({}:{})", #condition, \
                     ::tandem::here(__FILE__, __LINE__).file_name(), __LINE__);               \
  } while (false)

}  // namespace tandem

// Defined in formatting.cpp: as templates they would be compiled in every file.
template <>
struct fmt::formatter<tandem::Dims> : fmt::formatter<std::string_view> {
  format_context::iterator format(const tandem::Dims& dims, format_context& context) const;
};
template <>
struct fmt::formatter<tandem::TensorShape> : fmt::formatter<tandem::Dims> {
  format_context::iterator format(const tandem::TensorShape& shape, format_context& context) const {
    return fmt::formatter<tandem::Dims>::format(shape.codes(), context);
  }
};
template <>
struct fmt::formatter<tandem::DType> : fmt::formatter<std::string_view> {
  format_context::iterator format(tandem::DType dtype, format_context& context) const;
};
