#include "image_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "core/text_table.h"
#include "inspect/sampler.h"
#include "tandem/data/digits.h"

namespace tandem::cli {

namespace {

constexpr int64_t drawn_to_train = 20'000, drawn_to_test = 5'000;

data::Images draw() {
  // Two seeds: nothing that is learned from is judged by.
  const auto [train_images, train_labels] = data::digits(drawn_to_train, 1);
  const auto [test_images, test_labels] = data::digits(drawn_to_test, 2);
  return {train_images, train_labels, test_images, test_labels};
}

}  // namespace

std::string preview(const Tensor& images, const Tensor& labels, int count) {
  constexpr std::string_view shades = " .:-=+*#%@";
  const auto side = images.shape()[1];
  const auto shown_images = std::min<int64_t>(count, images.shape()[0]);
  const uint8_t* pixels = images.data<uint8_t>();
  std::string text;
  // A character is about twice as high as wide: two rows of pixels make one line.
  for (int64_t row = 0; row + 1 < side; row += 2) {
    std::string line;
    for (int64_t i = 0; i < shown_images; ++i) {
      for (int64_t column = 0; column < side; ++column) {
        const uint8_t* upper = pixels + (i * side + row) * side + column;
        const int light = (upper[0] + upper[side]) / 2;
        line += shades[static_cast<size_t>(light) * shades.size() / 256];
      }
      line += "  ";
    }
    line.resize(line.find_last_not_of(' ') + 1);
    // Empty lines at the top and bottom say nothing.
    if (!line.empty()) text += line + '\n';
  }
  for (int64_t i = 0; i < shown_images; ++i)
    text += fmt::format("{:^{}}  ", fmt::format("label {}", labels.data<int64_t>()[i]), side);
  text.resize(text.find_last_not_of(' ') + 1);
  return text + '\n';
}

ImageSource obtain_images(const std::string& folder) {
  const Stopwatch watch;
  const data::Images images = folder.empty() ? draw() : data::load_images(folder);
  const std::string counts =
      fmt::format("{} images to learn from and {} to be judged by, {} in {}",
                  format_count(images.train_labels.shape()[0]), format_count(images.test_labels.shape()[0]),
                  folder.empty() ? "drawn" : "read", format_time(watch.nanoseconds()));
  return {images, folder.empty() ? "No folder was named (--data DIR takes MNIST's files), so Tandem draws "
                                   "handwritten-looking digits itself: " +
                                       counts + "."
                                 : "From " + folder + ": " + counts + "."};
}

}  // namespace tandem::cli
