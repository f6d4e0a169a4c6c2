#pragma once
// Files of a data set's elements, which can be had by number without reading the rest.

#include <memory>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "core/mapped_file.h"
#include "tandem/nest.h"

namespace tandem::data {

/// Writes the elements one after the other; nothing is there before finish().
class ElementFileWriter {
 public:
  /// `what` says what the elements are of.
  ElementFileWriter(const std::string& path, const std::string& what);
  void add(const Nest& element);
  void finish();

 private:
  void write(const void* bytes, size_t count);

  AtomicFile file_;
  uint64_t offset_ = 0;
  std::vector<uint64_t> index_;
};

/// Such a file, mapped: its tensors' elements are the file's own pages.
class ElementFile : public std::enable_shared_from_this<ElementFile> {
 public:
  /// Errors (io): unreadable, no such file, damaged, or of something else than `what`.
  static std::shared_ptr<const ElementFile> open(const std::string& path, const std::string& what);
  int64_t count() const { return count_; }
  Nest at(int64_t i) const;

 private:
  ElementFile() = default;
  uint64_t number_at(uint64_t offset) const;
  [[noreturn]] void damaged() const;
  Nest read(uint64_t& offset, int depth) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  int64_t count_ = 0;
  uint64_t index_ = 0;
};

}  // namespace tandem::data
