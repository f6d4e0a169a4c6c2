#pragma once
// The header of NumPy's arrays, as bytes: everything that must be doubted is doubted here.

#include <cstddef>
#include <span>
#include <string>

#include "tandem/dtype.h"
#include "tandem/shape.h"

namespace tandem::data {

struct NpyHeader {
  DType dtype = DType::f32;
  bool swapped = false;          ///< the elements have the other byte order
  bool columns_first = false;    ///< Fortran's element order
  Shape shape;                   ///< as written, whatever the order
  size_t size = 0;               ///< bytes before the elements
  size_t element_bytes() const;  ///< of all elements
};

/// Errors (io): `bytes` do not begin with a header, or hold fewer elements than it says.
NpyHeader parse_npy_header(std::span<const std::byte> bytes);
/// The header that comes before contiguous elements; its length is a multiple of 64.
std::string format_npy_header(DType dtype, const Shape& shape);

}  // namespace tandem::data
