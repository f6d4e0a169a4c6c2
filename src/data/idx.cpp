#include "tandem/data/idx.h"

#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/idx_file.h"
#include "data/mapped_tensor.h"
#include "data/stages.h"

namespace tandem::data {

namespace {

constexpr int64_t image_side = 28, class_count = 10, held_back = 10'000;

template <class T>
Tensor to_tensor(const IdxArray& array) {
  std::vector<T> elements(array.bytes.size() / sizeof(T));
  if (!elements.empty()) std::memcpy(elements.data(), array.bytes.data(), array.bytes.size());
  return from_vector(std::move(elements), array.shape);
}

/// A copy of the rows from `begin` up to `end`.
template <class T>
Tensor rows(const Tensor& tensor, int64_t begin, int64_t end) {
  Shape shape = tensor.shape().codes();
  const int64_t row = tensor.size() / shape[0];
  shape[0] = end - begin;
  return from_span<T>({tensor.data<T>() + begin * row, static_cast<size_t>((end - begin) * row)}, shape);
}

/// A file by the name that the data sets use, or the name that some archives unpack it under.
std::string find_file(const std::filesystem::path& directory, std::string_view start, std::string_view kind) {
  for (const std::string_view separator : {"-", "."})
    for (const std::string_view ending : {"", ".gz"}) {
      const auto path = directory / fmt::format("{}{}{}{}", start, separator, kind, ending);
      if (std::filesystem::exists(path)) return path.string();
    }
  return "";
}

std::pair<Tensor, Tensor> read_labelled(const std::string& images_path, const std::string& labels_path) {
  Tensor images = read_idx(images_path), labels = read_idx(labels_path);
  const Shape& shape = images.shape().codes();
  if (images.dtype() != DType::u8 || shape.rank() != 3 || shape[1] != image_side || shape[2] != image_side)
    fail(ErrorCode::io, "{}: holds {} of {}; expected images, (N, {}, {}) of uint8", images_path, shape,
         images.dtype(), image_side, image_side);
  if (labels.dtype() != DType::u8 || labels.rank() != 1)
    fail(ErrorCode::io, "{}: holds {} of {}; expected labels, (N,) of uint8", labels_path, labels.shape(),
         labels.dtype());
  if (shape[0] != labels.shape().codes()[0])
    fail(ErrorCode::io, "{}: holds {} labels, but {} holds {} images; expected as many", labels_path,
         labels.shape().codes()[0], images_path, shape[0]);
  if (shape[0] == 0) fail(ErrorCode::io, "{}: holds no images; expected at least 1", images_path);
  std::vector<int64_t> wide;
  wide.reserve(static_cast<size_t>(labels.size()));
  for (const uint8_t label : labels.span<uint8_t>()) {
    if (label >= class_count)
      fail(ErrorCode::io, "{}: label {} is {}; expected 0 to {}", labels_path, wide.size(), label,
           class_count - 1);
    wide.push_back(label);
  }
  return {images, from_vector(std::move(wide), labels.shape().codes())};
}

}  // namespace

Tensor read_idx(const std::string& path) {
  const IdxArray array = read_idx_file(path);
  switch (array.dtype) {
    case DType::u8:
      return to_tensor<uint8_t>(array);
    case DType::i8:
      return to_tensor<int8_t>(array);
    case DType::i16:
      return to_tensor<int16_t>(array);
    case DType::i32:
      return to_tensor<int32_t>(array);
    case DType::f32:
      return to_tensor<float>(array);
    default:
      TD_ASSERT(array.dtype == DType::f64);
      return to_tensor<double>(array);
  }
}

Images load_images(const std::string& directory) {
  if (!std::filesystem::is_directory(directory)) fail(ErrorCode::io, "{}: no such folder", directory);
  const auto find = [&](std::string_view start, std::string_view kind) {
    return find_file(directory, start, kind);
  };
  const std::string train_images = find("train-images", "idx3-ubyte"),
                    train_labels = find("train-labels", "idx1-ubyte");
  const std::string test_images = find("t10k-images", "idx3-ubyte"),
                    test_labels = find("t10k-labels", "idx1-ubyte");
  if (train_images.empty() || train_labels.empty())
    fail(ErrorCode::io, "{}: holds no {}; expected MNIST's files, plain or .gz", directory,
         train_images.empty() ? "train-images-idx3-ubyte" : "train-labels-idx1-ubyte");
  if (test_images.empty() != test_labels.empty())
    fail(ErrorCode::io, "{}: holds {}, but no {}; expected both or neither", directory,
         test_images.empty() ? "t10k-labels-idx1-ubyte" : "t10k-images-idx3-ubyte",
         test_images.empty() ? "t10k-images-idx3-ubyte" : "t10k-labels-idx1-ubyte");

  const auto [images, labels] = read_labelled(train_images, train_labels);
  if (!test_images.empty()) {
    const auto [images_of_test, labels_of_test] = read_labelled(test_images, test_labels);
    return {images, labels, images_of_test, labels_of_test};
  }
  const int64_t count = labels.shape().codes()[0], kept = count - held_back;
  if (kept <= 0)
    fail(ErrorCode::io,
         "{}: holds {} images and no test files; expected more than {}, of which the last are held back",
         train_images, count, held_back);
  // Copies, not views: a view would keep all of it alive for whoever wants a part.
  return {rows<uint8_t>(images, 0, kept), rows<int64_t>(labels, 0, kept), rows<uint8_t>(images, kept, count),
          rows<int64_t>(labels, kept, count)};
}

Dataset idx_rows(const std::string& path) {
  const IdxReader header(path);
  const Shape shape = header.shape();
  const DType dtype = header.dtype();
  if (!header.is_gzip() && size_of(dtype) == 1)
    return Dataset::from_tensors(
        Nest(mapped_tensor(MappedFile::open(path), header.data_offset(), dtype, shape)));
  Shape row = shape;
  row.erase(0);
  const auto open_file = [path, row, dtype, count = shape[0]] {
    return [reader = std::make_shared<IdxReader>(path), row, dtype,
            left = count]() mutable -> std::optional<Nest> {
      if (left == 0) {
        reader->finish();
        return std::nullopt;
      }
      --left;
      const Tensor t = tandem::detail::empty_tensor(dtype, row);
      reader->read(tandem::detail::mutable_data<std::byte>(t),
                   static_cast<size_t>(t.size()) * size_of(dtype));
      return Nest(t);
    };
  };
  return Dataset(detail::generator_stage("idx_rows", open_file, shape[0]));
}

}  // namespace tandem::data
