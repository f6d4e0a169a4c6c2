#include "onnx/external_data.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/check.h"

namespace tandem::onnx {

namespace {

size_t number(std::string_view key, const std::string& text) {
  size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  TD_CHECK(error == std::errc() && end == text.data() + text.size() && !text.empty(), ErrorCode::io,
           "the external data's {} is \"{}\"; a number of bytes is needed", key, text);
  return value;
}

}  // namespace

std::shared_ptr<const MappedFile> ExternalData::open(const std::string& location) {
  if (const auto found = files_.find(location); found != files_.end()) return found->second;
  namespace fs = std::filesystem;
  const fs::path relative(location);
  const bool climbs =
      std::any_of(relative.begin(), relative.end(), [](const fs::path& p) { return p == ".."; });
  TD_CHECK(!location.empty() && relative.is_relative() && !climbs && location.find('\0') == std::string::npos,
           ErrorCode::io, "the external data's location \"{}\" leaves the model's folder", location);
  // Links are followed, but not out of the folder.
  std::error_code error;
  const fs::path folder = fs::canonical(folder_.empty() ? "." : folder_, error);
  TD_CHECK(!error, ErrorCode::io, "{}: {}", folder_, error.message());
  const fs::path path = fs::canonical(folder / relative, error);
  TD_CHECK(!error, ErrorCode::io, "the external data's file \"{}\": {}", location, error.message());
  const auto [rest, unused] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  TD_CHECK(rest == folder.end(), ErrorCode::io,
           "the external data's location \"{}\" leaves the model's folder", location);
  return files_[location] = MappedFile::open(path.string());
}

ExternalData::Range ExternalData::find(const TensorProto& tensor, size_t bytes) {
  std::string location;
  size_t offset = 0, length = bytes;
  for (const StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number("offset", entry.value());
    if (entry.key() == "length") length = number("length", entry.value());
  }
  TD_CHECK(length == bytes, ErrorCode::io, "the external data have {} bytes; the shape and type need {}",
           length, bytes);
  auto file = open(location);
  TD_CHECK(offset <= file->size() && bytes <= file->size() - offset, ErrorCode::io,
           "the external data are bytes {} to {} of \"{}\", which has {}", offset, offset + bytes, location,
           file->size());
  const std::byte* data = file->data() + offset;
  return {std::move(file), data};
}

}  // namespace tandem::onnx
