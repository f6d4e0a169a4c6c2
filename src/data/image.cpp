#include "tandem/data/image.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "core/check.h"
#include "core/mapped_file.h"
#include "data/image_file.h"
#include "data/stages.h"
#include "runtime/parallel.h"
#include "tandem/ops/image.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem::data {

namespace {

Tensor decode(std::span<const std::byte> bytes, const ImageOptions& options) {
  TD_CHECK(options.channels == 0 || options.channels == 1 || options.channels == 3 || options.channels == 4,
           "a picture of {} channels was asked for; expected 0, 1, 3 or 4", options.channels);
  TD_CHECK(options.size.empty() || (options.size.rank() == 2 && options.size[0] > 0 && options.size[1] > 0),
           "a picture of size {} was asked for; expected a height and a width", options.size);
  TD_CHECK(is_png(bytes) || is_jpeg(bytes), ErrorCode::io, "neither PNG nor JPEG");
  Tensor picture = is_png(bytes) ? decode_png(bytes, options.channels, options.most_pixels)
                                 : decode_jpeg(bytes, options.channels, options.most_pixels);
  const Shape& size = options.size;
  if (size.empty() || (picture.shape().codes()[0] == size[0] && picture.shape().codes()[1] == size[1]))
    return picture;
  const Tensor resized = resize(cast(picture, DType::f32), Tensor({size[0], size[1]}, DType::i64),
                                {.mode = "linear", .antialias = true, .axes = {0, 1}});
  return cast(clip(round(resized), 0, 255), DType::u8);
}

bool ends_like_an_image(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

class ImageRows final : public detail::Rows {
 public:
  ImageRows(std::vector<std::string> paths, std::vector<int64_t> labels, const ImageOptions& options)
      : paths_(std::move(paths)), labels_(std::move(labels)), options_(options) {}
  int64_t count() const override { return static_cast<int64_t>(paths_.size()); }
  Nest at(int64_t i) const override {
    return Nest{read_image(paths_[i], options_), Tensor(labels_[i], DType::i64)};
  }

 private:
  std::vector<std::string> paths_;
  std::vector<int64_t> labels_;
  ImageOptions options_;
};

/// Decodes every file; those that cannot be are named and left out.
void leave_out_unreadable(std::vector<std::string>& paths, std::vector<int64_t>& labels,
                          const ImageOptions& options) {
  std::vector<std::string> problems(paths.size());
  runtime::parallel_for(static_cast<int64_t>(paths.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) try {
        read_image(paths[i], options);
      } catch (const Error& e) {
        problems[i] = e.message();
      }
  });
  size_t kept = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!problems[i].empty()) {
      std::cerr << "tandem: " << problems[i] << "; left out\n";
      continue;
    }
    std::swap(paths[kept], paths[i]);
    labels[kept++] = labels[i];
  }
  paths.resize(kept);
  labels.resize(kept);
}

}  // namespace

Tensor decode_image(const Tensor& bytes, const ImageOptions& options) {
  TD_CHECK(bytes.dtype() == DType::u8 && bytes.rank() == 1,
           "decode_image: a tensor of {} and shape {} is no vector of bytes", bytes.dtype(), bytes.shape());
  const Tensor dense = bytes.contiguous();
  return decode(std::as_bytes(dense.span<uint8_t>()), options);
}

Tensor read_image(const std::string& path, const ImageOptions& options) {
  const auto file = MappedFile::open(path);
  try {
    return decode(file->bytes(), options);
  } catch (const Error& e) {
    throw Error(e.code(), path + ": " + e.message());
  }
}

ImageFolder image_folder(const std::string& folder, const ImageFolderOptions& options) {
  namespace fs = std::filesystem;
  std::error_code error;
  TD_CHECK(fs::is_directory(folder, error), ErrorCode::io, "{}: no such folder", folder);
  ImageFolder result;
  result.classes = options.classes;
  if (result.classes.empty())
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_directory()) result.classes.push_back(entry.path().filename().string());
  if (options.classes.empty()) std::sort(result.classes.begin(), result.classes.end());
  TD_CHECK(!result.classes.empty(), ErrorCode::io,
           "{}: no folder in it; each folder holds the pictures of one class", folder);
  std::vector<int64_t> labels;
  for (size_t label = 0; label < result.classes.size(); ++label) {
    const fs::path of_class = fs::path(folder) / result.classes[label];
    TD_CHECK(fs::is_directory(of_class, error), ErrorCode::io, "{}: no such folder", of_class.string());
    const size_t first = result.paths.size();
    for (const auto& entry : fs::recursive_directory_iterator(of_class))
      if (entry.is_regular_file() && ends_like_an_image(entry.path()))
        result.paths.push_back(entry.path().string());
    std::sort(result.paths.begin() + static_cast<std::ptrdiff_t>(first), result.paths.end());
    labels.resize(result.paths.size(), static_cast<int64_t>(label));
  }
  if (options.skip_unreadable) leave_out_unreadable(result.paths, labels, options.image);
  TD_CHECK(!result.paths.empty(), ErrorCode::io, "{}: no picture in it", folder);
  result.data = Dataset(detail::rows_stage(
      "image_folder", std::make_shared<ImageRows>(result.paths, std::move(labels), options.image)));
  return result;
}

}  // namespace tandem::data
