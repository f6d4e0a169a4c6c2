#pragma once
// Writing files so that readers see the old content or the new, never a part.

#include <cstddef>
#include <string>

namespace tandem {

/// Writes beside `path`, and on commit() makes the content durable and moves it into place. Without commit()
/// nothing remains.
class AtomicFile {
 public:
  /// Errors (io): the folder does not exist or does not let us write.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Errors (io): the disk is full, and the like.
  void write(const void* bytes, size_t count);
  void commit();
  /// For libraries that write to a descriptor themselves.
  int descriptor() const { return file_; }

 private:
  [[noreturn]] void fail_writing() const;

  std::string path_, aside_;
  int file_ = -1;
};

}  // namespace tandem
