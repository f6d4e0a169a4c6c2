#pragma once
// Equality of tensors as the library means it: to the last bit.

#include <cstring>

#include "core/tensor_impl.h"

namespace tandem::detail {

/// Whether two tensors with elements have the same dtype, shape and bits; NaNs are equal where their bits
/// are.
inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (detail::coded_spec(a) != detail::coded_spec(b)) return false;
  if (a.size() == 0) return true;  // memcmp may not have null pointers
  const Tensor x = a.contiguous(), y = b.contiguous();
  return std::memcmp(x.impl()->data, y.impl()->data, static_cast<size_t>(x.size()) * size_of(x.dtype())) == 0;
}

}  // namespace tandem::detail
