#pragma once
// Small tensors written down: elements for the samples of ops, and integers for their parameters.

#include <cstdint>
#include <vector>

#include "ops/dispatch.h"
#include "tandem/tensor.h"

namespace tandem {

/// from, from + by, ... of float32, `stride` steps at a time and around after `period` steps: with a stride
/// that does not divide the period, neighbours differ and not everything ascends.
inline Tensor stepped(const Shape& shape, float from, float by, size_t stride = 1, size_t period = SIZE_MAX) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * stride) % period) * by + from;
  return from_vector(std::move(v), shape);
}

/// Elements of different sizes and both signs, -1.5 to 1.5.
inline Tensor ramp(const Shape& shape) { return stepped(shape, -1.5f, 0.25f, 7, 13); }

/// A tensor of these, int64.
inline Tensor integers(const Dims& values) { return to_tensor(Operand(values)); }

}  // namespace tandem
