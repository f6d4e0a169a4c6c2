#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/check.h"

namespace tandem {

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  struct Closer {
    int file;
    ~Closer() {
      if (file >= 0) close(file);
    }
  };
  // O_NONBLOCK: a pipe in the file's place must not make us wait for a writer.
  const Closer opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (opened.file < 0 && errno == ENOENT) fail(ErrorCode::io, "{}: no such file", path);
  if (opened.file < 0) fail(ErrorCode::io, "{}: cannot be read: {}", path, std::strerror(errno));
  struct stat status;
  if (fstat(opened.file, &status) != 0)
    fail(ErrorCode::io, "{}: cannot be read: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::io, "{}: not a regular file", path);
  const auto size = static_cast<size_t>(status.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, opened.file, 0);
    if (data == MAP_FAILED) fail(ErrorCode::io, "{}: cannot be mapped: {}", path, std::strerror(errno));
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size));
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, size_);
}

}  // namespace tandem
