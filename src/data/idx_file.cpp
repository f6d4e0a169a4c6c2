#include "data/idx_file.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "core/check.h"
#include "data/claimed_bytes.h"

namespace tandem::data {

namespace {

// Deflate spends at least one bit on 258 bytes of output, so no gzip file can hold more than this many
// bytes for each of its own.
constexpr uint64_t largest_deflate_ratio = 1032;
constexpr size_t first_chunk = size_t{1} << 20;

struct CloseGzip {
  void operator()(gzFile_s* file) const { gzclose_r(file); }
};

/// A file of either kind, read through zlib, which passes plain files on as they are.
class Source {
 public:
  explicit Source(const std::string& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) fail(ErrorCode::io, "{}: no such file", path);
    if (!std::filesystem::is_regular_file(status)) fail(ErrorCode::io, "{}: not a regular file", path);
    file_size_ = std::filesystem::file_size(path, error);
    if (error) fail(ErrorCode::io, "{}: cannot be read: {}", path, error.message());
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_)
      fail(ErrorCode::io, "{}: cannot be read: {}", path, std::strerror(errno != 0 ? errno : ENOMEM));
    gzbuffer(file_.get(), 128 * 1024);
  }

  /// Reads up to `count` bytes; fewer only at the end of the data.
  size_t read(std::byte* to, size_t count) {
    size_t done = 0;
    while (done < count) {
      // gzread counts in int.
      const auto step = static_cast<unsigned>(std::min(count - done, size_t{1} << 30));
      const int got = gzread(file_.get(), to + done, step);
      if (got < 0) fail_with_zlib_error();
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  /// To be called once all data are read: zlib reports a file cut off in the middle only here.
  void check_end() {
    int code = Z_OK;
    gzerror(file_.get(), &code);
    if (code != Z_OK) fail_with_zlib_error();
  }

  bool is_gzip() const { return gzdirect(file_.get()) == 0; }
  uint64_t file_size() const { return file_size_; }

 private:
  [[noreturn]] void fail_with_zlib_error() {
    int code = Z_OK;
    std::string_view text = gzerror(file_.get(), &code);
    if (code == Z_ERRNO) fail(ErrorCode::io, "{}: cannot be read: {}", path_, std::strerror(errno));
    // zlib's own text begins with the path, too.
    if (text.starts_with(path_ + ": ")) text.remove_prefix(path_.size() + 2);
    fail(ErrorCode::io, "{}: damaged gzip data: {}", path_, text);
  }

  const std::string& path_;
  uint64_t file_size_ = 0;
  std::unique_ptr<gzFile_s, CloseGzip> file_;
};

bool parse_type_code(uint8_t code, DType& dtype) {
  switch (code) {
    case 0x08:
      dtype = DType::u8;
      return true;
    case 0x09:
      dtype = DType::i8;
      return true;
    case 0x0b:
      dtype = DType::i16;
      return true;
    case 0x0c:
      dtype = DType::i32;
      return true;
    case 0x0d:
      dtype = DType::f32;
      return true;
    case 0x0e:
      dtype = DType::f64;
      return true;
    default:
      return false;
  }
}

/// IDX is big-endian.
void to_native_order(std::span<std::byte> bytes, size_t element_size) {
  if (element_size == 1 || std::endian::native == std::endian::big) return;
  for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(element_size))
    std::reverse(at, at + static_cast<std::ptrdiff_t>(element_size));
}

}  // namespace

struct IdxReader::Stream : Source {
  using Source::Source;
};

IdxReader::IdxReader(const std::string& path) : path_(path), source_(std::make_unique<Stream>(path_)) {
  std::array<std::byte, 4> magic;
  if (const size_t got = source_->read(magic.data(), magic.size()); got != magic.size()) {
    source_->check_end();
    fail(ErrorCode::io, "{}: {} bytes are too few for an IDX file; its header has at least 8", path_, got);
  }
  const auto at = [&](int i) { return std::to_integer<unsigned>(magic[i]); };
  if (at(0) != 0 || at(1) != 0)
    fail(ErrorCode::io, "{}: not an IDX file: it begins with 0x{:02x} 0x{:02x}; expected 0x00 0x00", path_,
         at(0), at(1));
  if (!parse_type_code(static_cast<uint8_t>(at(2)), dtype_))
    fail(ErrorCode::io,
         "{}: IDX type code 0x{:02x} is unknown; expected 0x08 (uint8), 0x09 (int8), 0x0b (int16), 0x0c "
         "(int32), "
         "0x0d (float32) or 0x0e (float64)",
         path_, at(2));
  const auto rank = static_cast<int>(at(3));
  if (rank < 1 || rank > max_rank)
    fail(ErrorCode::io, "{}: IDX rank {} is out of range; expected 1 to {}", path_, rank, max_rank);

  std::array<std::byte, 4 * max_rank> sizes;
  const size_t sizes_bytes = 4 * static_cast<size_t>(rank);
  if (const size_t got = source_->read(sizes.data(), sizes_bytes); got != sizes_bytes) {
    source_->check_end();
    fail(ErrorCode::io,
         "{}: the file ends inside its header, after {} bytes; an IDX header of rank {} has {}", path_,
         magic.size() + got, rank, magic.size() + sizes_bytes);
  }
  for (int i = 0; i < rank; ++i) {
    int64_t size = 0;
    for (int j = 0; j < 4; ++j) size = size << 8 | std::to_integer<int64_t>(sizes[4 * i + j]);
    shape_.push_back(size);
  }

  const std::optional<uint64_t> claimed = claimed_bytes(shape_, dtype_);
  const uint64_t header = magic.size() + sizes_bytes;
  const uint64_t room =
      source_->is_gzip() ? source_->file_size() * largest_deflate_ratio : source_->file_size() - header;
  claim_ = fmt::format("its header declares {} of {}", shape_, dtype_);
  if (!claimed) fail(ErrorCode::io, "{}: {}, more bytes than 64 bits can count", path_, claim_);
  const uint64_t declared = *claimed;
  if (source_->is_gzip() ? declared > room : declared != room)
    fail(ErrorCode::io, "{}: {}, {} bytes, but the file {} {} bytes of data", path_, claim_, declared,
         source_->is_gzip() ? "can hold at most" : "holds", room);

  bytes_ = declared;
  data_offset_ = header;
}

IdxReader::~IdxReader() = default;

bool IdxReader::is_gzip() const { return source_->is_gzip(); }

void IdxReader::read(std::byte* to, size_t count) {
  const size_t got = source_->read(to, count);
  done_ += got;
  if (got < count) {
    source_->check_end();
    fail(ErrorCode::io, "{}: {}, {} bytes, but the file holds {} bytes of data", path_, claim_, bytes_,
         done_);
  }
  if (size_of(dtype_) > 1) to_native_order({to, count}, size_of(dtype_));
}

void IdxReader::finish() {
  std::byte beyond;
  if (source_->read(&beyond, 1) != 0)
    fail(ErrorCode::io, "{}: {}, {} bytes, but the file holds more data", path_, claim_, bytes_);
  source_->check_end();
}

IdxArray read_idx_file(const std::string& path) {
  IdxReader reader(path);
  IdxArray array{reader.dtype(), reader.shape(), {}};
  size_t got = 0;
  while (got < reader.bytes()) {
    // Doubling what has really arrived: a lying header takes no more than a few times the memory of the data.
    array.bytes.resize(std::min<uint64_t>(reader.bytes(), std::max(first_chunk, 2 * got)));
    reader.read(array.bytes.data() + got, array.bytes.size() - got);
    got = array.bytes.size();
  }
  reader.finish();
  return array;
}

}  // namespace tandem::data
