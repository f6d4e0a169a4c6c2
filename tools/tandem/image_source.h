#pragma once
// Where the demo's images come from, and how they look.

#include <string>

#include "tandem/data/idx.h"

namespace tandem::cli {

/// Images, and in words where they are from.
struct ImageSource {
  data::Images images;
  std::string origin;
};

/// Reads the folder's images or, when it is "", draws digits.
ImageSource obtain_images(const std::string& folder);

/// The first `count` images side by side, in characters, with their labels.
std::string preview(const Tensor& images, const Tensor& labels, int count);

}  // namespace tandem::cli
