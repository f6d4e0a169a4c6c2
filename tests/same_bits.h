#pragma once
// Equality to the last bit, for tests.

#include <cstddef>
#include <cstring>

#include "core/same_bits.h"
#include "tandem/ops.h"

namespace tandem::testing {

using detail::same_bits;

/// The same bits, or neither is defined; but NaNs may differ in theirs.
inline bool same_bits_or_nans(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (same_bits(a, b)) return true;
  if (a.spec() != b.spec() || !is_floating(a.dtype())) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  const Tensor nan_x = is_nan(x), nan_y = is_nan(y);
  const auto *p = static_cast<const std::byte*>(x.impl()->data),
             *q = static_cast<const std::byte*>(y.impl()->data);
  const auto count = static_cast<size_t>(x.size()), width = size_of(x.dtype());
  for (size_t i = 0; i < count; ++i)
    if (!(nan_x.data<bool>()[i] && nan_y.data<bool>()[i]) &&
        std::memcmp(p + i * width, q + i * width, width) != 0)
      return false;
  return true;
}

}  // namespace tandem::testing
