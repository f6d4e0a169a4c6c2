#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/check.h"

namespace tandem {

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), aside_(path_ + ".XXXXXX") {
  file_ = mkostemp(aside_.data(), O_CLOEXEC);
  if (file_ < 0) {
    aside_.clear();
    fail_writing();
  }
  // mkostemp makes files for their owner alone; a saved file is as readable as any other.
  const mode_t mask = umask(0);
  umask(mask);
  if (fchmod(file_, 0666 & ~mask) != 0) fail_writing();
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) close(file_);
  if (!aside_.empty()) unlink(aside_.c_str());
}

void AtomicFile::fail_writing() const {
  fail(ErrorCode::io, "{}: cannot be written: {}", path_, std::strerror(errno));
}

void AtomicFile::write(const void* bytes, size_t count) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t done = ::write(file_, from, count);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail_writing();
    from += done;
    count -= static_cast<size_t>(done);
  }
}

void AtomicFile::commit() {
  if (fsync(file_) != 0) fail_writing();
  const int file = file_;
  file_ = -1;
  if (close(file) != 0 || std::rename(aside_.c_str(), path_.c_str()) != 0) fail_writing();
  aside_.clear();
  // The new name must survive a crash, too. Folders that cannot be opened or synced are no reason to fail.
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) return;
  fsync(opened);
  close(opened);
}

}  // namespace tandem
