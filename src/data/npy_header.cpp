#include "data/npy_header.h"

#include <fmt/ranges.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "core/check.h"
#include "data/claimed_bytes.h"

namespace tandem::data {

namespace {

constexpr std::string_view magic = "\x93NUMPY";
// NumPy itself refuses longer ones.
constexpr size_t longest_header = 10000;

struct Descr {
  std::string_view text;
  DType dtype;
};
constexpr Descr descriptions[] = {
    {"b1", DType::boolean}, {"u1", DType::u8},  {"i1", DType::i8},  {"u2", DType::u16}, {"i2", DType::i16},
    {"u4", DType::u32},     {"i4", DType::i32}, {"u8", DType::u64}, {"i8", DType::i64}, {"f2", DType::f16},
    {"V2", DType::bf16},    {"f4", DType::f32}, {"f8", DType::f64}};

[[noreturn]] void complain(const std::string& what) {
  fail(ErrorCode::io, "the header of the array {}", what);
}

/// Reads the dictionary, a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  void read(NpyHeader& header) {
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      bool* seen = key == "descr"           ? &descr
                   : key == "fortran_order" ? &order
                   : key == "shape"         ? &shape
                                            : nullptr;
      if (!seen || *seen) complain(fmt::format("has the key \"{}\" {}", key, seen ? "twice" : "too many"));
      *seen = true;
      if (seen == &descr) read_descr(header);
      if (seen == &order) header.columns_first = boolean();
      if (seen == &shape) read_shape(header.shape);
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!rest_.empty()) complain("goes on behind its dictionary");
    if (!descr || !order || !shape) complain("lacks one of descr, fortran_order and shape");
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n' || rest_[0] == '\t'))
      rest_.remove_prefix(1);
  }
  bool take(char c) {
    skip_space();
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) complain(fmt::format("has no '{}' before \"{}\"", c, rest_.substr(0, 20)));
  }
  std::string_view quoted() {
    skip_space();
    const char quote = rest_.empty() ? ' ' : rest_[0];
    if (quote != '\'' && quote != '"')
      complain(fmt::format("has no text before \"{}\"; only plain element types are supported",
                           rest_.substr(0, 20)));
    rest_.remove_prefix(1);
    const size_t end = rest_.find(quote);
    if (end == std::string_view::npos) complain("has a text without an end");
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool boolean() {
    skip_space();
    for (const auto& [text, value] : {std::pair(std::string_view("True"), true), {"False", false}})
      if (rest_.starts_with(text)) {
        rest_.remove_prefix(text.size());
        return value;
      }
    complain("has a fortran_order that is neither True nor False");
  }
  void read_descr(NpyHeader& header) {
    const std::string_view text = quoted();
    const bool ordered = !text.empty() && std::string_view("<>=|").find(text[0]) != std::string_view::npos;
    header.swapped = !text.empty() && text[0] == '>';
    for (const Descr& d : descriptions)
      if (d.text == text.substr(ordered ? 1 : 0)) {
        header.dtype = d.dtype;
        return;
      }
    complain(
        fmt::format("says elements of type '{}'; numbers and booleans of up to 8 bytes are supported", text));
  }
  void read_shape(Shape& shape) {
    expect('(');
    while (!take(')')) {
      skip_space();
      int64_t size = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc() || size < 0)
        complain(fmt::format("has no size before \"{}\"", rest_.substr(0, 20)));
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      take('L');  // Python 2 wrote long integers so
      if (shape.rank() == max_rank) complain(fmt::format("says more than {} dimensions", max_rank));
      shape.push_back(size);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view rest_;
};

}  // namespace

size_t NpyHeader::element_bytes() const {
  return static_cast<size_t>(shape.element_count()) * size_of(dtype);
}

NpyHeader parse_npy_header(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  TD_CHECK(text.starts_with(magic) && text.size() >= 10, ErrorCode::io, "this is no array of NumPy's");
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(text[i])); };
  const size_t version = byte(6);
  TD_CHECK(version >= 1 && version <= 3, ErrorCode::io, "the array's format is version {}; 1 to 3 are known",
           version);
  const size_t prefix = version == 1 ? 10 : 12;
  TD_CHECK(text.size() >= prefix, ErrorCode::io, "the array is cut off in its header");
  const size_t length =
      version == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  TD_CHECK(length <= longest_header, ErrorCode::io,
           "the array's header is {} bytes long; at most {} are read", length, longest_header);
  TD_CHECK(text.size() - prefix >= length, ErrorCode::io, "the array is cut off in its header");
  NpyHeader header;
  Reader(text.substr(prefix, length)).read(header);
  header.size = prefix + length;
  const std::optional<uint64_t> needed = claimed_bytes(header.shape, header.dtype);
  TD_CHECK(needed, ErrorCode::io, "the array's shape {} has too many elements", header.shape);
  TD_CHECK(bytes.size() - header.size >= *needed, ErrorCode::io,
           "the array is cut off: {}{} needs {} bytes, and {} are there", header.dtype, header.shape, *needed,
           bytes.size() - header.size);
  return header;
}

std::string format_npy_header(DType dtype, const Shape& shape) {
  std::string_view descr;
  for (const Descr& d : descriptions)
    if (d.dtype == dtype) descr = d.text;
  const char order = size_of(dtype) == 1 || dtype == DType::bf16 ? '|' : '<';
  std::string text =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': {}, }}", order, descr, shape);
  constexpr size_t prefix = 10;
  text.append(63 - (prefix + text.size()) % 64, ' ');
  text += '\n';
  std::string header(magic);
  header += '\x01';
  header += '\0';
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace tandem::data
