#include "data/element_file.h"

#include <cstring>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/claimed_bytes.h"
#include "data/mapped_tensor.h"

namespace tandem::data {

namespace {

// The file: the magic text, `what` with its length; the elements; where each begins; their number, where that
// list begins, and the magic text again. Numbers are 8 bytes, least first; tensors begin at multiples of 64.
constexpr char magic[] = "tandem elements 1\n\n\n\n\n\n";
constexpr size_t magic_bytes = sizeof(magic) - 1;
constexpr size_t alignment = 64;
// How deep an element may nest.
constexpr int deepest = 64;

}  // namespace

ElementFileWriter::ElementFileWriter(const std::string& path, const std::string& what) : file_(path) {
  write(magic, magic_bytes);
  const uint64_t length = what.size();
  write(&length, sizeof(length));
  write(what.data(), what.size());
}

void ElementFileWriter::write(const void* bytes, size_t count) {
  file_.write(bytes, count);
  offset_ += count;
}

void ElementFileWriter::add(const Nest& element) {
  index_.push_back(offset_);
  const auto put = [&](uint64_t number) { write(&number, sizeof(number)); };
  const auto put_nest = [&](const auto& self, const Nest& nest) -> void {
    put(static_cast<uint64_t>(nest.kind()));
    if (!nest.is_leaf()) {
      put(nest.size());
      for (size_t i = 0; i < nest.size(); ++i) {
        if (nest.is_map()) {
          put(nest.keys()[i].size());
          write(nest.keys()[i].data(), nest.keys()[i].size());
        }
        self(self, nest[i]);
      }
      return;
    }
    const Tensor dense = nest.leaf().contiguous();
    put(static_cast<uint64_t>(dense.dtype()));
    put(static_cast<uint64_t>(dense.rank()));
    for (int64_t size : dense.shape().codes()) put(static_cast<uint64_t>(size));
    constexpr char zeros[alignment] = {};
    write(zeros, (alignment - offset_ % alignment) % alignment);
    write(dense.impl()->data, static_cast<size_t>(dense.size()) * size_of(dense.dtype()));
  };
  put_nest(put_nest, element);
}

void ElementFileWriter::finish() {
  const uint64_t end[] = {index_.size(), offset_};
  write(index_.data(), index_.size() * sizeof(uint64_t));
  write(end, sizeof(end));
  write(magic, magic_bytes);
  file_.commit();
}

void ElementFile::damaged() const {
  fail(ErrorCode::io, "{}: the file of cached elements is damaged", path_);
}

uint64_t ElementFile::number_at(uint64_t offset) const {
  if (offset > file_->size() || file_->size() - offset < sizeof(uint64_t)) damaged();
  uint64_t number = 0;
  std::memcpy(&number, file_->data() + offset, sizeof(number));
  return number;
}

std::shared_ptr<const ElementFile> ElementFile::open(const std::string& path, const std::string& what) {
  const std::shared_ptr<ElementFile> result(new ElementFile);
  result->path_ = path;
  result->file_ = MappedFile::open(path);
  const auto bytes = result->file_->bytes();
  const auto has_magic = [&](size_t offset) {
    return std::memcmp(bytes.data() + offset, magic, magic_bytes) == 0;
  };
  constexpr size_t least = 2 * magic_bytes + 3 * sizeof(uint64_t);
  if (bytes.size() < least || !has_magic(0)) fail(ErrorCode::io, "{}: no file of cached elements", path);
  const size_t end = bytes.size() - magic_bytes - 2 * sizeof(uint64_t);
  if (!has_magic(bytes.size() - magic_bytes)) result->damaged();
  const uint64_t length = result->number_at(magic_bytes);
  if (length > bytes.size() - least) result->damaged();
  const std::string of(reinterpret_cast<const char*>(bytes.data()) + magic_bytes + sizeof(uint64_t), length);
  TD_CHECK(of == what, ErrorCode::io, "{}: the file caches {}, not {}; remove it to write it anew", path, of,
           what);
  const uint64_t count = result->number_at(end), index = result->number_at(end + sizeof(uint64_t));
  if (index > end || count != (end - index) / sizeof(uint64_t) || (end - index) % sizeof(uint64_t) != 0)
    result->damaged();
  result->count_ = static_cast<int64_t>(count);
  result->index_ = index;
  return result;
}

Nest ElementFile::at(int64_t i) const {
  uint64_t offset = number_at(index_ + static_cast<uint64_t>(i) * sizeof(uint64_t));
  return read(offset, 0);
}

Nest ElementFile::read(uint64_t& offset, int depth) const {
  const auto take = [&] {
    const uint64_t number = number_at(offset);
    offset += sizeof(number);
    return number;
  };
  const uint64_t kind = take();
  if (depth > deepest) damaged();
  if (kind == static_cast<uint64_t>(Nest::Kind::leaf)) {
    const uint64_t dtype = take(), rank = take();
    if (dtype >= dtype_count || rank > static_cast<uint64_t>(max_rank)) damaged();
    Shape shape;
    for (uint64_t d = 0; d < rank; ++d) {
      const uint64_t size = take();
      if (size > static_cast<uint64_t>(INT64_MAX)) damaged();
      shape.push_back(static_cast<int64_t>(size));
    }
    const std::optional<uint64_t> claimed = claimed_bytes(shape, static_cast<DType>(dtype));
    if (!claimed) damaged();
    const uint64_t bytes = *claimed;
    offset = (offset + alignment - 1) / alignment * alignment;
    if (offset > file_->size() || bytes > file_->size() - offset) damaged();
    const uint64_t from = offset;
    offset += bytes;
    if (static_cast<DType>(dtype) == DType::boolean)
      for (const std::byte b : file_->bytes().subspan(from, bytes))
        if (b > std::byte{1}) damaged();
    return Nest(mapped_tensor(file_, from, static_cast<DType>(dtype), shape));
  }
  const uint64_t size = take();
  // Every entry takes eight bytes at least.
  if (kind > static_cast<uint64_t>(Nest::Kind::map) || size > file_->size() / sizeof(uint64_t)) damaged();
  const bool is_map = kind == static_cast<uint64_t>(Nest::Kind::map);
  std::vector<Nest> entries;
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < size; ++i) {
    if (is_map) {
      const uint64_t length = take();
      if (length > file_->size() - offset) damaged();
      keys.emplace_back(reinterpret_cast<const char*>(file_->data()) + offset, length);
      offset += length;
    }
    entries.push_back(read(offset, depth + 1));
  }
  return is_map ? Nest::from_parts(Nest::Kind::map, std::move(keys), std::move(entries))
                : Nest(std::move(entries));
}

}  // namespace tandem::data
