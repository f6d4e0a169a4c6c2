#include "data/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "core/check.h"

namespace tandem::data {

namespace {

constexpr uint32_t local_mark = 0x04034b50, directory_mark = 0x02014b50, end_mark = 0x06054b50,
                   end64_mark = 0x06064b50, locator64_mark = 0x07064b50;
constexpr size_t local_bytes = 30, directory_bytes = 46, end_bytes = 22, end64_bytes = 56,
                 locator64_bytes = 20;
constexpr uint32_t in_zip64 = 0xffffffff;
// Deflate spends at least one bit on 258 bytes of output.
constexpr uint64_t largest_deflate_ratio = 1032;

/// Little-endian numbers at checked places.
class Bytes {
 public:
  explicit Bytes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  size_t size() const { return bytes_.size(); }
  uint64_t number(uint64_t at, size_t count) const {
    check(at, count);
    uint64_t value = 0;
    for (size_t i = count; i-- > 0;) value = value << 8 | static_cast<uint64_t>(bytes_[at + i]);
    return value;
  }
  uint32_t u32(uint64_t at) const { return static_cast<uint32_t>(number(at, 4)); }
  uint64_t u16(uint64_t at) const { return number(at, 2); }
  uint64_t u64(uint64_t at) const { return number(at, 8); }
  std::span<const std::byte> part(uint64_t at, uint64_t count) const {
    check(at, count);
    return bytes_.subspan(at, count);
  }

 private:
  void check(uint64_t at, uint64_t count) const {
    TD_CHECK(at <= bytes_.size() && count <= bytes_.size() - at, ErrorCode::io,
             "the archive is cut off or damaged");
  }
  std::span<const std::byte> bytes_;
};

void append(std::string& to, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}

/// Sizes that do not fit 32 bits stand in an extra field, in this order, those that do left out.
void read_zip64(const Bytes& bytes, uint64_t at, uint64_t length, ZipEntry& entry) {
  for (uint64_t end = at + length; at + 4 <= end;) {
    const uint64_t kind = bytes.u16(at), size = bytes.u16(at + 2);
    uint64_t from = at + 4;
    at = from + size;
    if (kind != 1) continue;
    for (uint64_t* field : {&entry.size, &entry.stored_size, &entry.header_offset}) {
      if (*field != in_zip64) continue;
      TD_CHECK(from + 8 <= at, ErrorCode::io, "the archive is cut off or damaged");
      *field = bytes.u64(from);
      from += 8;
    }
  }
}

uint32_t checksum_of(std::span<const std::byte> bytes, uint32_t seed = 0) {
  return static_cast<uint32_t>(crc32_z(seed, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Memory is taken as data arrive, never on the word of the directory alone.
constexpr size_t first_chunk = size_t{1} << 20;

void inflate_into(std::span<const std::byte> stored, size_t size, std::vector<std::byte>& buffer) {
  z_stream stream{};
  // Negative: without zlib's own header.
  TD_CHECK(inflateInit2(&stream, -MAX_WBITS) == Z_OK, ErrorCode::out_of_memory, "zlib could not begin");
  struct Closer {
    z_stream& stream;
    ~Closer() { inflateEnd(&stream); }
  } closer{stream};
  constexpr size_t step = std::numeric_limits<uInt>::max();
  size_t read = 0, written = 0;
  int code = Z_OK;
  buffer.clear();
  while (code == Z_OK) {
    if (written == buffer.size()) buffer.resize(std::min(size, std::max(first_chunk, buffer.size() * 2)));
    const auto in = static_cast<uInt>(std::min(stored.size() - read, step));
    const auto out = static_cast<uInt>(std::min(buffer.size() - written, step));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(stored.data() + read));
    stream.avail_in = in;
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data() + written);
    stream.avail_out = out;
    code = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    written += out - stream.avail_out;
  }
  TD_CHECK(code == Z_STREAM_END && written == size, ErrorCode::io, "its compressed data are damaged");
}

}  // namespace

std::vector<ZipEntry> list_zip(std::span<const std::byte> archive) {
  const Bytes bytes(archive);
  // The end record is last, but for a comment of up to 65,535 bytes.
  TD_CHECK(bytes.size() >= end_bytes, ErrorCode::io, "this is no ZIP archive");
  uint64_t end = bytes.size() - end_bytes;
  const uint64_t first = end > 65535 ? end - 65535 : 0;
  while (bytes.u32(end) != end_mark) {
    TD_CHECK(end > first, ErrorCode::io, "this is no ZIP archive, or it is cut off");
    --end;
  }
  uint64_t count = bytes.u16(end + 10), at = bytes.u32(end + 16);
  if (end >= locator64_bytes && bytes.u32(end - locator64_bytes) == locator64_mark) {
    const uint64_t end64 = bytes.u64(end - locator64_bytes + 8);
    TD_CHECK(bytes.u32(end64) == end64_mark, ErrorCode::io, "the archive is cut off or damaged");
    count = bytes.u64(end64 + 32);
    at = bytes.u64(end64 + 48);
  }
  TD_CHECK(count <= bytes.size() / directory_bytes, ErrorCode::io, "the archive says it has {} entries",
           count);
  std::vector<ZipEntry> entries;
  uint64_t stored_in_all = 0;
  for (uint64_t i = 0; i < count; ++i) {
    TD_CHECK(bytes.u32(at) == directory_mark, ErrorCode::io, "the archive is cut off or damaged");
    const uint64_t flags = bytes.u16(at + 8), method = bytes.u16(at + 10);
    const uint64_t name = bytes.u16(at + 28), extra = bytes.u16(at + 30), comment = bytes.u16(at + 32);
    ZipEntry entry;
    const auto text = bytes.part(at + directory_bytes, name);
    entry.name.assign(reinterpret_cast<const char*>(text.data()), text.size());
    entry.checksum = bytes.u32(at + 16);
    entry.stored_size = bytes.u32(at + 20);
    entry.size = bytes.u32(at + 24);
    entry.header_offset = bytes.u32(at + 42);
    read_zip64(bytes, at + directory_bytes + name, extra, entry);
    TD_CHECK((flags & 1) == 0, ErrorCode::io, "the archive's entry \"{}\" is encrypted", entry.name);
    TD_CHECK(
        method == 0 || method == 8, ErrorCode::io,
        "the archive's entry \"{}\" is compressed with method {}; stored (0) and deflate (8) are supported",
        entry.name, method);
    entry.deflated = method == 8;
    const bool possible = entry.deflated ? entry.size / largest_deflate_ratio <= entry.stored_size
                                         : entry.size == entry.stored_size;
    TD_CHECK(possible && entry.stored_size <= bytes.size(), ErrorCode::io,
             "the archive's entry \"{}\" says {} bytes in {}, which cannot be", entry.name, entry.size,
             entry.stored_size);
    // Entries that share their bytes would unpack to far more than the file's size allows.
    stored_in_all += entry.stored_size;
    TD_CHECK(stored_in_all <= bytes.size(), ErrorCode::io,
             "the archive's entries take more bytes than it has");
    at += directory_bytes + name + extra + comment;
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::span<const std::byte> extract(std::span<const std::byte> archive, const ZipEntry& entry,
                                   std::vector<std::byte>& buffer) {
  const Bytes bytes(archive);
  const uint64_t at = entry.header_offset;
  TD_CHECK(bytes.u32(at) == local_mark, ErrorCode::io, "the archive is cut off or damaged");
  const auto stored =
      bytes.part(at + local_bytes + bytes.u16(at + 26) + bytes.u16(at + 28), entry.stored_size);
  std::span<const std::byte> content = stored;
  if (entry.deflated) {
    inflate_into(stored, entry.size, buffer);
    content = buffer;
  }
  TD_CHECK(checksum_of(content) == entry.checksum, ErrorCode::io,
           "its checksum is wrong: the data are damaged");
  return content;
}

void ZipWriter::write(const std::string& bytes) {
  file_.write(bytes.data(), bytes.size());
  offset_ += bytes.size();
}

namespace {

/// What local header and directory have in common: version to flags, time, checksum, sizes, name and extra
/// lengths. Time is the oldest there is, so that equal arrays give equal files.
std::string common_fields(const ZipEntry& e, bool large, size_t extra) {
  std::string s;
  append(s, large ? 45 : 20, 2);
  append(s, 1 << 11, 2);  // names are UTF-8
  append(s, 0, 2);
  append(s, 0, 2);
  append(s, 1 << 5 | 1, 2);  // 1 January 1980
  append(s, e.checksum, 4);
  append(s, large ? in_zip64 : e.stored_size, 4);
  append(s, large ? in_zip64 : e.size, 4);
  append(s, e.name.size(), 2);
  append(s, extra, 2);
  return s;
}

bool is_large(const ZipEntry& e) { return e.size >= in_zip64 || e.header_offset >= in_zip64; }

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> first,
                    std::span<const std::byte> second) {
  ZipEntry e;
  e.name = name;
  e.checksum = checksum_of(second, checksum_of(first));
  e.size = e.stored_size = first.size() + second.size();
  e.header_offset = offset_;
  const bool large = e.size >= in_zip64;
  std::string header;
  append(header, local_mark, 4);
  header += common_fields(e, large, large ? 20 : 0) + name;
  if (large) {
    append(header, 1, 2);
    append(header, 16, 2);
    append(header, e.size, 8);
    append(header, e.stored_size, 8);
  }
  write(header);
  file_.write(first.data(), first.size());
  file_.write(second.data(), second.size());
  offset_ += e.size;
  entries_.push_back(std::move(e));
}

void ZipWriter::finish() {
  const uint64_t start = offset_;
  for (const ZipEntry& e : entries_) {
    const bool large = is_large(e);
    std::string s;
    append(s, directory_mark, 4);
    append(s, 45, 2);
    s += common_fields(e, large, large ? 28 : 0);
    append(s, 0, 2 + 2 + 2);             // comment, disk, internal attributes
    append(s, uint64_t{0600} << 16, 4);  // permissions
    append(s, large ? in_zip64 : e.header_offset, 4);
    s += e.name;
    if (large) {
      append(s, 1, 2);
      append(s, 24, 2);
      append(s, e.size, 8);
      append(s, e.stored_size, 8);
      append(s, e.header_offset, 8);
    }
    write(s);
  }
  const uint64_t end = offset_, count = entries_.size();
  const bool large = start >= in_zip64 || count >= 0xffff;
  std::string s;
  if (large) {
    append(s, end64_mark, 4);
    append(s, end64_bytes - 12, 8);
    append(s, 45, 2);
    append(s, 45, 2);
    append(s, 0, 8);
    append(s, count, 8);
    append(s, count, 8);
    append(s, end - start, 8);
    append(s, start, 8);
    append(s, locator64_mark, 4);
    append(s, 0, 4);
    append(s, end, 8);
    append(s, 1, 4);
  }
  append(s, end_mark, 4);
  append(s, 0, 4);
  append(s, large ? 0xffff : count, 2);
  append(s, large ? 0xffff : count, 2);
  append(s, large ? in_zip64 : end - start, 4);
  append(s, large ? in_zip64 : start, 4);
  append(s, 0, 2);
  write(s);
}

}  // namespace tandem::data
