#pragma once
// Text files: lines, and characters as codes for language models.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/data/dataset.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// A file's whole content. Errors (io): missing, unreadable.
std::string read_text(const std::string& path);

/// A file's lines, without their ends, each a uint8 vector of its bytes: read from the file as they are
/// needed; `to_text` makes a text of one. Errors (io): missing, unreadable.
Dataset text_lines(const std::string& path);

/// The text of a vector of bytes. Errors: another dtype, no vector.
std::string to_text(const Tensor& bytes);

/// The characters of a text, numbered in the order of their Unicode code points.
///
///     const std::string text = td::data::read_text("input.txt");
///     const td::data::CharacterCodes codes(text);
///     auto windows = td::data::Dataset::from_tensors(codes.encode(text)).windows(65);
///     codes.decode(td::Tensor({18, 47, 56}));
class CharacterCodes {
 public:
  /// The characters that `text` has. Errors: no UTF-8.
  explicit CharacterCodes(std::string_view text);
  /// How many there are: codes are 0 to size() - 1.
  int64_t size() const { return static_cast<int64_t>(characters_.size()); }
  /// One int64 a character. Errors: no UTF-8, a character without a code.
  Tensor encode(std::string_view text) const;
  /// The text of a vector of integer codes. Errors: a code out of range.
  std::string decode(const Tensor& codes) const;
  /// All characters, in the order of their codes: to be kept with a model, and given to the constructor.
  std::string characters() const;

 private:
  std::vector<char32_t> characters_;  // ascending
};

}  // namespace tandem::data
