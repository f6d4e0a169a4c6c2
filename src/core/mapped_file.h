#pragma once
// Files read through the page cache, without a copy.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace tandem {

/// A regular file's bytes, mapped read-only. Whoever shrinks the file while it is mapped takes the pages away
/// from the process, so writers replace files instead (AtomicFile does).
class MappedFile {
 public:
  /// Errors (io): no such file, not a regular file, unreadable.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::byte* data() const { return static_cast<const std::byte*>(data_); }
  size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data(), size_}; }

 private:
  MappedFile(void* data, size_t size) : data_(data), size_(size) {}
  void* data_;
  size_t size_;
};

}  // namespace tandem
