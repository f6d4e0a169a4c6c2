#pragma once
// ZIP archives, as far as .npz files need them: stored or deflated entries, ZIP64, one disk, no encryption.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/atomic_file.h"

namespace tandem::data {

struct ZipEntry {
  std::string name;
  bool deflated = false;
  uint32_t checksum = 0;
  uint64_t stored_size = 0, size = 0;
  uint64_t header_offset = 0;
};

/// The entries that the archive's directory lists. Errors (io): no archive, cut off, encrypted, entries of
/// other kinds, sizes that lie.
std::vector<ZipEntry> list_zip(std::span<const std::byte> archive);

/// An entry's content: in the archive itself where it is stored, else inflated into `buffer`. Errors (io):
/// damaged data.
std::span<const std::byte> extract(std::span<const std::byte> archive, const ZipEntry& entry,
                                   std::vector<std::byte>& buffer);

/// Writes stored entries one after the other.
class ZipWriter {
 public:
  explicit ZipWriter(AtomicFile& file) : file_(file) {}
  /// An entry of two parts.
  void add(const std::string& name, std::span<const std::byte> first, std::span<const std::byte> second);
  /// Writes the directory.
  void finish();

 private:
  void write(const std::string& bytes);

  AtomicFile& file_;
  std::vector<ZipEntry> entries_;
  uint64_t offset_ = 0;
};

}  // namespace tandem::data
