#pragma once
// Pictures: PNG and JPEG files, and folders of them.

#include <string>
#include <vector>

#include "tandem/data/dataset.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// How a picture is read.
struct ImageOptions {
  int64_t channels = 3;  ///< 1 (grey), 3 (red, green, blue) or 4 (and alpha); 0: as many as the file has
  /// Height and width to resize to, linearly; none: the picture's own.
  Shape size = {};
  /// More pixels than this are an error: what a file says of its size is not believed blindly.
  int64_t most_pixels = int64_t{1} << 26;
};

/// A PNG or JPEG file as uint8 of shape (height, width, channels). Its content tells which, not its name.
/// Errors (io): missing, neither of the two, damaged, too large.
Tensor read_image(const std::string& path, const ImageOptions& options = {});
/// The same of a file's bytes, a uint8 vector.
Tensor decode_image(const Tensor& bytes, const ImageOptions& options = {});

/// Options of image_folder.
struct ImageFolderOptions {
  ImageOptions image = {};
  /// The folders to read, in the order of their labels; default: all, by name.
  std::vector<std::string> classes = {};
  /// Looks at every file first, and leaves out those that cannot be read, each named on standard error.
  bool skip_unreadable = false;
};

/// Pictures with the folders that they are in as labels.
struct ImageFolder {
  Dataset data;                      ///< elements [uint8 picture, int64 label], by folder and file name
  std::vector<std::string> classes;  ///< the folder's name for each label
  std::vector<std::string> paths;    ///< of each element
};

/// The pictures in `folder/CLASS/`, also further down: files that end in png, jpg or jpeg. They are read when
/// they are needed; an unreadable one is an error there, which names it.
///
///     auto pets = td::data::image_folder("pets", {.image = {.size = {64, 64}}});
///     auto train = pets.data.shuffle(1).map(augment, {.workers = 4}).batch(32).prefetch();
///
/// Errors (io): no such folder, no class, no picture.
ImageFolder image_folder(const std::string& folder, const ImageFolderOptions& options = {});

}  // namespace tandem::data
