#include "tandem/data/text.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/mapped_file.h"
#include "core/tensor_impl.h"
#include "data/stages.h"

namespace tandem::data {

namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.data()), file.size()};
}

constexpr int64_t lines_a_place = 64;

/// Only every 64th line's place is kept: the others are found from there.
class LineRows final : public detail::Rows {
 public:
  explicit LineRows(const std::string& path) : file_(MappedFile::open(path)) {
    const std::string_view text = text_of(*file_);
    for (size_t at = 0; at < text.size(); ++count_) {
      if (count_ % lines_a_place == 0) places_.push_back(at);
      at = end_of_line(at) + 1;
    }
  }
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    size_t at = places_[static_cast<size_t>(i / lines_a_place)];
    for (int64_t k = 0; k < i % lines_a_place; ++k) at = end_of_line(at) + 1;
    std::string_view line = text_of(*file_).substr(at, end_of_line(at) - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const Tensor bytes = tandem::detail::empty_tensor(DType::u8, {static_cast<int64_t>(line.size())});
    if (!line.empty()) std::memcpy(tandem::detail::mutable_data<uint8_t>(bytes), line.data(), line.size());
    return Nest(bytes);
  }

 private:
  size_t end_of_line(size_t at) const { return std::min(text_of(*file_).find('\n', at), file_->size()); }

  std::shared_ptr<const MappedFile> file_;
  std::vector<size_t> places_;
  int64_t count_ = 0;
};

/// Calls `f(code point, byte offset)` for each character.
template <class F>
void for_each_character(std::string_view text, F f) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(at);
    const size_t length = first < 0x80   ? 1
                          : first < 0xc2 ? 0
                          : first < 0xe0 ? 2
                          : first < 0xf0 ? 3
                          : first < 0xf5 ? 4
                                         : 0;
    bool valid = length > 0 && at + length <= text.size();
    char32_t code = length == 1 ? first : first & (0x7f >> length);
    for (size_t i = 1; valid && i < length; ++i) {
      valid = (byte(at + i) & 0xc0) == 0x80;
      code = code << 6 | (byte(at + i) & 0x3f);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    valid = valid && code >= least[length] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    TD_CHECK(valid, "the text is no UTF-8 at byte {}", at);
    f(code, at);
    at += length;
  }
}

void append_utf8(std::string& text, char32_t code) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  const auto put_rest = [&](int shift) { put(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put_rest(6);
  } else {
    put(0xf0 | code >> 18);
    put_rest(12);
    put_rest(6);
  }
  put_rest(0);
}

}  // namespace

std::string read_text(const std::string& path) { return std::string(text_of(*MappedFile::open(path))); }

Dataset text_lines(const std::string& path) {
  return Dataset(detail::rows_stage("text_lines", std::make_shared<LineRows>(path)));
}

std::string to_text(const Tensor& bytes) {
  TD_CHECK(bytes.dtype() == DType::u8 && bytes.rank() == 1,
           "to_text: a tensor of {} and shape {} is no vector of bytes", bytes.dtype(), bytes.shape());
  const std::vector<uint8_t> values = bytes.to_vector<uint8_t>();
  return std::string(values.begin(), values.end());
}

CharacterCodes::CharacterCodes(std::string_view text) {
  // Sorted now and then, so that memory follows the alphabet and not the text.
  const auto tidy = [&] {
    std::sort(characters_.begin(), characters_.end());
    characters_.erase(std::unique(characters_.begin(), characters_.end()), characters_.end());
  };
  size_t limit = 4096;
  for_each_character(text, [&](char32_t code, size_t) {
    characters_.push_back(code);
    if (characters_.size() < limit) return;
    tidy();
    limit = 2 * characters_.size() + 4096;
  });
  tidy();
}

Tensor CharacterCodes::encode(std::string_view text) const {
  std::vector<int64_t> codes;
  codes.reserve(text.size());
  for_each_character(text, [&](char32_t code, size_t at) {
    const auto found = std::lower_bound(characters_.begin(), characters_.end(), code);
    TD_CHECK(found != characters_.end() && *found == code, "the character U+{:04X} at byte {} has no code",
             static_cast<uint32_t>(code), at);
    codes.push_back(found - characters_.begin());
  });
  const auto count = static_cast<int64_t>(codes.size());
  return from_vector(std::move(codes), {count});
}

std::string CharacterCodes::decode(const Tensor& codes) const {
  std::string text;
  for (int64_t code : codes.to(DType::i64).to_vector<int64_t>()) {
    TD_CHECK(code >= 0 && code < size(), "code {} is out of range; expected 0 to {}", code, size() - 1);
    append_utf8(text, characters_[static_cast<size_t>(code)]);
  }
  return text;
}

std::string CharacterCodes::characters() const {
  std::string text;
  for (char32_t code : characters_) append_utf8(text, code);
  return text;
}

}  // namespace tandem::data
