#include "ops/elements.h"

#include <cstring>

#include "tandem/ops/shape.h"

namespace tandem {

Shape shape_parameter(const InferContext& c, int i) {
  Integers sizes;
  Shape shape;
  if (c.constant(i, sizes)) {
    for (int64_t d : sizes) {
      TD_CHECK(d >= 0 || is_symbol(d), "size {} is negative", d);
      shape.push_back(d);
    }
    return shape;
  }
  TD_CHECK(c.shape(i).rank() == 1 && c.shape(i)[0] >= 0, "the shape's length must be known while tracing");
  for (int64_t k = 0; k < c.shape(i)[0]; ++k) shape.push_back(c.fresh_symbol());
  return shape;
}

Integers read_integers(const kernel::View& v) {
  Integers result;
  const int64_t count = v.shape.element_count();
  for (int64_t i = 0; i < count; ++i) result.push_back(integer_at(v, i));
  return result;
}

Tensor wide_indices(const Operand& indices) {
  if (!indices.is_tensor() || indices.tensor_impl()->dtype != DType::i32) return {};
  return cast(indices, DType::i64);
}

namespace {

template <class T>
void copy_line(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride, int64_t count) {
  const auto* source = reinterpret_cast<const T*>(from);
  auto* target = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < count; ++i) target[i * to_stride] = source[i * from_stride];
}

}  // namespace

void copy_strided(const void* from, const Strides& from_strides, void* to, const Strides& to_strides,
                  const Shape& shape, size_t element_size) {
  // Dimensions that both sides walk as one become one; sizes of 1 go.
  Shape sizes;
  Strides steps_from, steps_to;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 0) return;
    if (shape[i] == 1) continue;
    const int last = sizes.rank() - 1;
    if (last >= 0 && steps_from[last] == from_strides[i] * shape[i] &&
        steps_to[last] == to_strides[i] * shape[i]) {
      sizes[last] *= shape[i];
      steps_from[last] = from_strides[i];
      steps_to[last] = to_strides[i];
      continue;
    }
    sizes.push_back(shape[i]);
    steps_from.push_back(from_strides[i]);
    steps_to.push_back(to_strides[i]);
  }
  const auto size = static_cast<int64_t>(element_size);
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  if (sizes.empty()) {
    std::memcpy(target, source, element_size);
    return;
  }
  const int line = sizes.rank() - 1;
  const bool dense = steps_from[line] == 1 && steps_to[line] == 1;
  Dims at = Dims::filled(line, 0);
  for (;;) {
    if (dense) {
      std::memcpy(target, source, static_cast<size_t>(sizes[line]) * element_size);
    } else {
      switch (element_size) {
        case 1:
          copy_line<uint8_t>(source, steps_from[line], target, steps_to[line], sizes[line]);
          break;
        case 2:
          copy_line<uint16_t>(source, steps_from[line], target, steps_to[line], sizes[line]);
          break;
        case 4:
          copy_line<uint32_t>(source, steps_from[line], target, steps_to[line], sizes[line]);
          break;
        default:
          copy_line<uint64_t>(source, steps_from[line], target, steps_to[line], sizes[line]);
      }
    }
    int i = line - 1;
    for (; i >= 0; --i) {
      source += steps_from[i] * size;
      target += steps_to[i] * size;
      if (++at[i] < sizes[i]) break;
      source -= steps_from[i] * sizes[i] * size;
      target -= steps_to[i] * sizes[i] * size;
      at[i] = 0;
    }
    if (i < 0) return;
  }
}

}  // namespace tandem
