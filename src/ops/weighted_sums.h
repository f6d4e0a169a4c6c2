#pragma once
// Weighted sums of elements of any dtype, as resizing and sampling make them.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace tandem {

/// What elements are summed up in: double for those that float cannot hold.
template <class T>
using Summed = std::conditional_t<(sizeof(T) > 2 && !std::is_same_v<T, float>), double, float>;

/// A sum as an element: integers lose their fraction, keep to their range, and are 0 for NaN.
template <class T>
T from_sum(Summed<T> v) {
  if constexpr (std::is_same_v<T, bool>) {
    return v != 0;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr double low = static_cast<double>(std::numeric_limits<T>::lowest());
    constexpr double high = static_cast<double>(std::numeric_limits<T>::max());
    const double d = v;
    if (std::isnan(d)) return 0;
    return d <= low    ? std::numeric_limits<T>::lowest()
           : d >= high ? std::numeric_limits<T>::max()
                       : static_cast<T>(d);
  } else {
    return T(v);
  }
}

}  // namespace tandem
