#pragma once
// IDX files (the format of MNIST), as bytes: everything that must be doubted is doubted here.

#include <cstddef>
#include <string>
#include <vector>

#include "tandem/dtype.h"
#include "tandem/shape.h"

namespace tandem::data {

/// The content of one IDX file; `bytes` holds the elements row by row, in this machine's byte order.
struct IdxArray {
  DType dtype = DType::u8;
  Shape shape;
  std::vector<std::byte> bytes;
};

/// Reads an IDX file, plain or gzip. Memory is taken as data arrive, never on the word of a header alone.
/// Errors (io): no such file, not IDX, damaged gzip data, less or more data than the header declares.
IdxArray read_idx_file(const std::string& path);

}  // namespace tandem::data
