#pragma once
// IDX files (the format of MNIST), as bytes: everything that must be doubted is doubted here.

#include <cstddef>
#include <cstdint>
#include <memory>
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

/// Reads an IDX file, plain or gzip, a part at a time.
class IdxReader {
 public:
  /// Reads and doubts the header. Errors (io): no such file, not IDX, sizes that the file cannot hold.
  explicit IdxReader(const std::string& path);
  ~IdxReader();
  IdxReader(const IdxReader&) = delete;
  IdxReader& operator=(const IdxReader&) = delete;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  bool is_gzip() const;
  /// Of all elements, and of what stands before them.
  uint64_t bytes() const { return bytes_; }
  size_t data_offset() const { return data_offset_; }
  /// The next `count` bytes of elements, whole ones, in this machine's byte order. Errors (io): damaged gzip
  /// data, fewer data than the header declares.
  void read(std::byte* to, size_t count);
  /// After the last. Errors (io): there are more data.
  void finish();

 private:
  struct Stream;
  std::string path_;
  std::unique_ptr<Stream> source_;
  DType dtype_ = DType::u8;
  Shape shape_;
  std::string claim_;
  uint64_t bytes_ = 0, done_ = 0;
  size_t data_offset_ = 0;
};

/// Reads an IDX file, plain or gzip. Memory is taken as data arrive, never on the word of a header alone.
/// Errors (io): no such file, not IDX, damaged gzip data, less or more data than the header declares.
IdxArray read_idx_file(const std::string& path);

}  // namespace tandem::data
