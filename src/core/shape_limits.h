#pragma once
// Shapes that no memory holds.

#include "tandem/dtype.h"
#include "tandem/shape.h"

namespace tandem {

/// Strides are products of sizes, and must fit an int64; so must the bytes. Errors (out_of_memory): sizes,
/// those beside a 0 too, of which that is not true. Unknown ones count as 1.
void check_sizes(const Shape& shape, DType dtype);

}  // namespace tandem
