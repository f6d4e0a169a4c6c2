#pragma once
// Elements for the samples of ops.

#include <cstdint>
#include <vector>

#include "tandem/tensor.h"

namespace tandem {

/// from, from + by, ... of float32, `stride` steps at a time and around after `period` steps: with a stride
/// that does not divide the period, neighbours differ and not everything ascends.
inline Tensor stepped(const Shape& shape, float from, float by, size_t stride = 1, size_t period = SIZE_MAX) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * stride) % period) * by + from;
  return from_vector(std::move(v), shape);
}

}  // namespace tandem
