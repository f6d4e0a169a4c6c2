#pragma once
// Tensors whose elements are a mapped file's pages.

#include <memory>

#include "core/mapped_file.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// `offset` is a multiple of the element's size, and the elements lie inside the file.
inline Tensor mapped_tensor(std::shared_ptr<const MappedFile> file, size_t offset, DType dtype,
                            const Shape& shape) {
  const auto count = static_cast<size_t>(shape.element_count());
  // Tensors are never written to, so read-only pages will do.
  auto* data = const_cast<std::byte*>(file->data() + offset);
  auto* owned = new std::shared_ptr<const MappedFile>(std::move(file));
  return tandem::detail::from_foreign(
      data, dtype, count, shape, [](void* f) { delete static_cast<std::shared_ptr<const MappedFile>*>(f); },
      owned);
}

}  // namespace tandem::data
