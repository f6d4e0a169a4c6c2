// fmt's functions, and how types of ours print, compiled once. As headers alone every file would compile the
// formatting of numbers anew, 40% of the whole build; Debian's libfmt.so would be a second shared library for
// users to ship. Weak, so that a program with another copy of fmt still links.

#include <fmt/format.h>

#include "core/check.h"

#undef FMT_FUNC
#define FMT_FUNC __attribute__((weak))
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE
namespace detail {

template dragonbox::decimal_fp<float> dragonbox::to_decimal(float) noexcept;
template dragonbox::decimal_fp<double> dragonbox::to_decimal(double) noexcept;
template locale_ref::locale_ref(const std::locale&);
template std::locale locale_ref::get<std::locale>() const;
template thousands_sep_result<char> thousands_sep_impl(locale_ref);
template char decimal_point_impl(locale_ref);

}  // namespace detail
FMT_END_NAMESPACE

fmt::format_context::iterator fmt::formatter<tandem::Dims>::format(const tandem::Dims& dims,
                                                                   format_context& context) const {
  return formatter<std::string_view>::format(tandem::to_string(dims), context);
}

fmt::format_context::iterator fmt::formatter<tandem::DType>::format(tandem::DType dtype,
                                                                    format_context& context) const {
  return formatter<std::string_view>::format(tandem::name_of(dtype), context);
}
