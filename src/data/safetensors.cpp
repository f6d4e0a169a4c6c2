#include "tandem/data/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/check.h"
#include "core/mapped_file.h"
#include "core/named.h"
#include "core/tensor_impl.h"
#include "data/claimed_bytes.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

// The file: the header's length in 8 bytes, least first; the header, JSON; the elements, least byte first.
constexpr uint64_t length_bytes = 8;
// What other readers accept.
constexpr uint64_t longest_header = 100'000'000;

struct DTypeName {
  std::string_view name;
  DType dtype;
};
constexpr DTypeName dtype_names[] = {{"BOOL", DType::boolean}, {"U8", DType::u8},     {"I8", DType::i8},
                                     {"U16", DType::u16},      {"I16", DType::i16},   {"U32", DType::u32},
                                     {"I32", DType::i32},      {"U64", DType::u64},   {"I64", DType::i64},
                                     {"F16", DType::f16},      {"BF16", DType::bf16}, {"F32", DType::f32},
                                     {"F64", DType::f64}};

std::string_view file_name_of(DType dtype) {
  return std::find_if(std::begin(dtype_names), std::end(dtype_names),
                      [dtype](const DTypeName& n) { return n.dtype == dtype; })
      ->name;
}

/// Where a tensor lies: bytes [begin, end) behind the header.
struct Entry {
  DType dtype = DType::f32;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

struct Header {
  std::map<std::string, Entry> entries;
  WeightsMetadata metadata;
};

/// Reads the header as it is parsed, so that memory stays within a small multiple of its length, however
/// it nests. Events that do not fit throw.
class HeaderReader {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}
  Header take() { return std::move(header_); }

  // What nlohmann's parser calls.
  using Json = nlohmann::json;
  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("a truth value"); }
  bool binary(Json::binary_t&) { return unexpected("binary data"); }
  bool number_float(Json::number_float_t, const Json::string_t&) { return unexpected("a fraction"); }
  bool number_integer(Json::number_integer_t) { return unexpected("a negative number"); }
  bool number_unsigned(Json::number_unsigned_t n) {
    if (place_ != Place::list) return unexpected("a number");
    if (key_ == "shape") {
      if (entry_.shape.rank() == max_rank)
        complain(fmt::format("{} has more than {} dimensions", described(), max_rank));
      if (n > static_cast<uint64_t>(INT64_MAX)) complain(fmt::format("{} has size {}", described(), n));
      entry_.shape.push_back(static_cast<int64_t>(n));
    } else {
      if (offsets_ == 2) complain(fmt::format("{} has more than two data_offsets", described()));
      (offsets_++ == 0 ? entry_.begin : entry_.end) = n;
    }
    return true;
  }
  bool string(Json::string_t& s) {
    if (place_ == Place::metadata) {
      if (!header_.metadata.emplace(key_, s).second)
        complain(fmt::format("the metadata \"{}\" is listed twice", shown(key_)));
    } else if (place_ == Place::tensor && key_ == "dtype") {
      const auto* found = std::find_if(std::begin(dtype_names), std::end(dtype_names),
                                       [&](const DTypeName& n) { return n.name == s; });
      if (found == std::end(dtype_names)) {
        std::string allowed;
        for (const DTypeName& n : dtype_names) allowed += (allowed.empty() ? "" : ", ") + std::string(n.name);
        complain(fmt::format("{} has dtype \"{}\"; Tandem has {}", described(), shown(s), allowed));
      }
      entry_.dtype = found->dtype;
    } else {
      return unexpected("a text");
    }
    return true;
  }
  bool start_object(size_t) {
    if (place_ == Place::outside) {
      place_ = Place::root;
    } else if (place_ == Place::root && key_ == "__metadata__") {
      place_ = Place::metadata;
    } else if (place_ == Place::root) {
      place_ = Place::tensor;
      name_ = key_;
      entry_ = {};
      offsets_ = 0;
      fields_ = 0;
    } else {
      return unexpected("an object");
    }
    return true;
  }
  bool key(Json::string_t& k) {
    key_ = k;
    if (place_ == Place::tensor) {
      const unsigned field = k == "dtype" ? 1 : k == "shape" ? 2 : k == "data_offsets" ? 4 : 0;
      if (field == 0) complain(fmt::format("{} has a field \"{}\"", described(), shown(k)));
      if (fields_ & field) complain(fmt::format("{} has its {} twice", described(), k));
      fields_ |= field;
    }
    return true;
  }
  bool end_object() {
    if (place_ == Place::tensor) {
      if (fields_ != 7 || offsets_ != 2) complain(described() + " lacks its dtype, shape or data_offsets");
      if (!header_.entries.emplace(name_, entry_).second) complain(described() + " is listed twice");
    }
    place_ = place_ == Place::root ? Place::outside : Place::root;
    return true;
  }
  bool start_array(size_t) {
    if (place_ != Place::tensor || key_ == "dtype") return unexpected("a list");
    place_ = Place::list;
    return true;
  }
  bool end_array() {
    place_ = Place::tensor;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    complain(fmt::format("the header is no JSON (byte {})", position));
  }

 private:
  enum class Place { outside, root, metadata, tensor, list };

  /// Names come from the file: cut, and without control characters.
  static std::string shown(std::string_view text) {
    std::string result;
    for (char c : text.substr(0, 80)) result += static_cast<unsigned char>(c) < 32 ? '?' : c;
    return text.size() > 80 ? result + "..." : result;
  }
  std::string described() const { return fmt::format("the tensor \"{}\"", shown(name_)); }
  [[noreturn]] void complain(const std::string& what) const {
    fail(ErrorCode::io, "{}: no valid safetensors file: {}", path_, what);
  }
  bool unexpected(const char* what) const {
    complain(fmt::format("the header holds {} where none belongs{}", what,
                         place_ == Place::outside ? "" : fmt::format(", at \"{}\"", shown(key_))));
  }

  const std::string& path_;
  Header header_;
  Place place_ = Place::outside;
  std::string key_, name_;
  Entry entry_;
  int offsets_ = 0;
  unsigned fields_ = 0;
};

struct OpenFile {
  std::shared_ptr<const MappedFile> file;
  Header header;
  std::span<const std::byte> elements;
};

OpenFile open_file(const std::string& path) {
  OpenFile f;
  f.file = MappedFile::open(path);
  const auto complain = [&](const std::string& what) {
    fail(ErrorCode::io, "{}: no valid safetensors file: {}", path, what);
  };
  const uint64_t size = f.file->size();
  if (size < length_bytes) complain(fmt::format("{} bytes are too few", size));
  uint64_t length = 0;
  for (uint64_t i = 0; i < length_bytes; ++i) length |= static_cast<uint64_t>(f.file->data()[i]) << (8 * i);
  const uint64_t longest = std::min(longest_header, size - length_bytes);
  if (length > longest)
    complain(
        fmt::format("the header's length is said to be {} of the file's {} bytes; at most {} are allowed",
                    length, size, longest));
  const auto* text = reinterpret_cast<const char*>(f.file->data()) + length_bytes;
  if (length == 0 || text[0] != '{') complain("the header does not begin with {");
  HeaderReader reader(path);
  nlohmann::json::sax_parse(text, text + length, &reader);
  f.header = reader.take();
  f.elements = f.file->bytes().subspan(length_bytes + length);

  // Every byte belongs to exactly one tensor.
  std::vector<std::pair<const std::string*, const Entry*>> order;
  for (const auto& [name, entry] : f.header.entries) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  uint64_t at = 0;
  for (const auto& [name, entry] : order) {
    const std::optional<uint64_t> bytes = data::claimed_bytes(entry->shape, entry->dtype);
    if (entry->begin != at || entry->end < entry->begin || entry->end > f.elements.size() || !bytes ||
        *bytes != entry->end - entry->begin)
      complain(
          fmt::format("\"{}\", {}{}, is said to lie in bytes {} to {} of {}; expected were {} bytes from {}",
                      name->substr(0, 80), entry->dtype, entry->shape, entry->begin, entry->end,
                      f.elements.size(), bytes ? std::to_string(*bytes) : "too many", at));
    at = entry->end;
  }
  if (at != f.elements.size())
    complain(fmt::format("{} bytes of elements belong to no tensor", f.elements.size() - at));
  return f;
}

Tensor read_tensor(const OpenFile& f, const std::string& path, const std::string& name, const Entry& entry) {
  const auto bytes = f.elements.subspan(entry.begin, entry.end - entry.begin);
  if (entry.dtype == DType::boolean)
    for (std::byte b : bytes)
      if (static_cast<uint8_t>(b) > 1)
        fail(ErrorCode::io, "{}: no valid safetensors file: \"{}\" holds the truth value {}", path,
             name.substr(0, 80), static_cast<int>(b));
  return detail::from_bytes(bytes.data(), entry.dtype, bytes.size() / size_of(entry.dtype), entry.shape);
}

}  // namespace

void save_weights(const Weights& weights, const std::string& path, const WeightsMetadata& metadata,
                  Location where) {
  detail::named("save_weights", where, [&] {
    // The widest elements first, so that all lie at multiples of their size.
    std::vector<std::pair<const std::string*, Tensor>> order;
    for (const auto& [name, value] : weights) {
      TD_CHECK(value.defined(), "the tensor \"{}\" is undefined", name);
      TD_CHECK(!value.is_symbolic(), "the tensor \"{}\" is symbolic; save outside of the traced function",
               name);
      TD_CHECK(name != "__metadata__", "\"__metadata__\" cannot be a tensor's name");
      order.emplace_back(&name, value.contiguous());
    }
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
      return size_of(a.second.dtype()) > size_of(b.second.dtype());
    });
    nlohmann::ordered_json header = nlohmann::ordered_json::object();
    if (!metadata.empty()) header["__metadata__"] = metadata;
    uint64_t at = 0;
    for (const auto& [name, value] : order) {
      const uint64_t end = at + static_cast<uint64_t>(value.size()) * size_of(value.dtype());
      header[*name] = {{"dtype", file_name_of(value.dtype())},
                       {"shape", value.shape().codes().to_vector()},
                       {"data_offsets", {at, end}}};
      at = end;
    }
    std::string text;
    try {
      text = header.dump();
    } catch (const nlohmann::json::type_error&) {
      fail("a tensor's name or a metadata text is no UTF-8");
    }
    text.append((8 - text.size() % 8) % 8, ' ');
    TD_CHECK(text.size() <= longest_header, "the names take {} bytes; at most {} are allowed", text.size(),
             longest_header);
    unsigned char length[length_bytes];
    for (uint64_t i = 0; i < length_bytes; ++i)
      length[i] = static_cast<unsigned char>(text.size() >> (8 * i));
    AtomicFile file(path);
    file.write(length, sizeof(length));
    file.write(text.data(), text.size());
    for (const auto& [name, value] : order)
      file.write(value.impl()->data, static_cast<size_t>(value.size()) * size_of(value.dtype()));
    file.commit();
  });
}

Weights load_weights(const std::string& path) {
  const OpenFile f = open_file(path);
  Weights weights;
  for (const auto& [name, entry] : f.header.entries) weights.emplace(name, read_tensor(f, path, name, entry));
  return weights;
}

WeightsMetadata load_weights_metadata(const std::string& path) { return open_file(path).header.metadata; }

}  // namespace tandem
