// What a Writer's events hold.

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/named.h"
#include "data/image_file.h"
#include "summary/event_file.h"
#include "tandem/ops.h"

namespace tandem::summary {

namespace {

/// How TensorBoard keeps a plugin's data.
enum class DataClass { scalar = 1, tensor = 2, blob_sequence = 3 };

// TensorFlow's numbers of dtypes.
constexpr int64_t float_type = 1, double_type = 2, string_type = 7;

/// TensorProto: dtype (1), tensor_shape (2) of dims (2) of sizes (1).
ProtoEncoder tensor_of(int64_t dtype, std::initializer_list<int64_t> shape) {
  ProtoEncoder tensor, dims;
  tensor.integer(1, dtype);
  for (int64_t size : shape) {
    ProtoEncoder dim;
    dim.integer(1, size);
    dims.message(2, dim);
  }
  tensor.message(2, dims);
  return tensor;
}

/// SummaryMetadata: plugin_data (1) of plugin_name (1) and content (2), data_class (4).
ProtoEncoder metadata_of(std::string_view plugin, DataClass data_class, const ProtoEncoder& content = {}) {
  ProtoEncoder data, metadata;
  data.bytes(1, plugin);
  if (!content.str().empty()) data.message(2, content);
  metadata.message(1, data);
  metadata.integer(4, static_cast<int64_t>(data_class));
  return metadata;
}

/// Event.summary (5) of one value (1): tag (1), tensor (8), metadata (9).
void write_value(detail::EventFile& file, std::string_view tag, int64_t step, const ProtoEncoder& tensor,
                 const ProtoEncoder& metadata) {
  ProtoEncoder value, summary, event = detail::event_at(detail::wall_time(), step);
  value.bytes(1, tag);
  value.message(8, tensor);
  value.message(9, metadata);
  summary.message(1, value);
  event.message(5, summary);
  file.write(event);
}

template <class F>
void as(std::string_view name, Location where, F&& f) {
  const CallSite site(where);
  tandem::detail::named(name, where, std::forward<F>(f));
}

struct Bucket {
  double left, right, count;
};

/// As TensorBoard's own writer makes them.
std::vector<Bucket> buckets_of(const Tensor& values, int64_t count) {
  std::vector<double> finite;
  for (double v : cast(values, DType::f64).to_vector<double>())
    if (std::isfinite(v)) finite.push_back(v);
  std::vector<Bucket> buckets(static_cast<size_t>(count), Bucket{});
  if (finite.empty()) return buckets;
  const auto [low, high] = std::minmax_element(finite.begin(), finite.end());
  if (*low == *high) {
    for (Bucket& b : buckets) b = {*low, *low, 0};
    buckets.back().count = static_cast<double>(finite.size());
    return buckets;
  }
  const double least = *low, most = *high, n = static_cast<double>(count);
  const double width = most / n - least / n;  // the range itself may be too large for a double
  for (int64_t i = 0; i < count; ++i)
    buckets[static_cast<size_t>(i)] = {least + width * static_cast<double>(i),
                                       i + 1 == count ? most : least + width * static_cast<double>(i + 1), 0};
  for (double v : finite) {
    const double place = (v / width) - (least / width);
    buckets[static_cast<size_t>(std::min(static_cast<double>(count - 1), std::max(0.0, place)))].count += 1;
  }
  return buckets;
}

Tensor as_pixels(const Tensor& images) {
  if (images.dtype() == DType::u8) return images.contiguous();
  // As TensorFlow converts: each of 256 levels is equally wide.
  return cast(clip(cast(images, DType::f32) * 255.5f, 0, 255), DType::u8).contiguous();
}

}  // namespace

Writer::Writer(const std::string& folder, WriterOptions options, Location where) {
  as("Writer", where, [&] { file_ = std::make_shared<detail::EventFile>(folder, std::move(options)); });
}

void Writer::scalar(std::string_view tag, const Tensor& value, int64_t step, Location where) const {
  as("scalar", where, [&] {
    TD_CHECK(value.defined(), "the value of {} is an empty tensor handle", tag);
    const auto number = cast(value, DType::f32).item<float>(where);
    if (file_->options().scalars == ScalarForm::tensor) {
      ProtoEncoder tensor = tensor_of(float_type, {});
      tensor.floats(5, std::array{static_cast<double>(number)});  // float_val
      write_value(*file_, tag, step, tensor, metadata_of("scalars", DataClass::scalar));
      return;
    }
    ProtoEncoder simple, summary, event = detail::event_at(detail::wall_time(), step);
    simple.bytes(1, tag);
    simple.number(2, number);  // simple_value
    summary.message(1, simple);
    event.message(5, summary);
    file_->write(event);
  });
}

void Writer::histogram(std::string_view tag, const Tensor& values, int64_t step, HistogramOptions options,
                       Location where) const {
  as("histogram", where, [&] {
    TD_CHECK(values.defined(), "the values of {} are an empty tensor handle", tag);
    TD_CHECK(options.buckets > 0, "{} buckets were asked for; expected 1 or more", options.buckets);
    ProtoEncoder tensor = tensor_of(double_type, {options.buckets, 3}), content;
    for (const Bucket& b : buckets_of(values, options.buckets))
      for (double v : {b.left, b.right, b.count}) content.raw(v);
    tensor.message(4, content);  // tensor_content
    write_value(*file_, tag, step, tensor, metadata_of("histograms", DataClass::tensor));
  });
}

void Writer::image(std::string_view tag, const Tensor& images, int64_t step, ImageOptions options,
                   Location where) const {
  as("image", where, [&] {
    TD_CHECK(images.defined(), "the images of {} are an empty tensor handle", tag);
    TD_CHECK(images.rank() == 3 || images.rank() == 4,
             "images of shape {} were given; expected (height, width, channels) or (batch, height, width, "
             "channels)",
             images.shape());
    TD_CHECK(images.dtype() == DType::u8 || is_floating(images.dtype()),
             "images of dtype {} were given; expected uint8, or floating between 0 and 1", images.dtype());
    const Tensor batch = as_pixels(images.rank() == 3 ? unsqueeze(images, {0}) : images);
    const Shape& shape = batch.shape().codes();
    const int64_t height = shape[1], width = shape[2], channels = shape[3];
    TD_CHECK(channels >= 1 && channels <= 4 && height > 0 && width > 0,
             "images of shape {} were given; expected some pixels of 1 to 4 channels", images.shape());
    const int64_t count = std::min(shape[0], std::max<int64_t>(0, options.max_outputs));
    ProtoEncoder tensor = tensor_of(string_type, {count + 2});
    tensor.bytes(8, std::to_string(width));  // string_val
    tensor.bytes(8, std::to_string(height));
    const auto size = static_cast<size_t>(height * width * channels);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i)
      tensor.bytes(8,
                   data::encode_png(batch.span<uint8_t>().subspan(i * size, size), height, width, channels));
    write_value(*file_, tag, step, tensor, metadata_of("images", DataClass::blob_sequence));
  });
}

void Writer::text(std::string_view tag, const std::string& text, int64_t step, Location where) const {
  as("text", where, [&] {
    ProtoEncoder tensor = tensor_of(string_type, {});
    tensor.bytes(8, text);  // string_val
    write_value(*file_, tag, step, tensor, metadata_of("text", DataClass::tensor));
  });
}

void Writer::hyperparameters(const std::map<std::string, Hyperparameter>& values, Location where) const {
  as("hyperparameters", where, [&] {
    // HParamsPluginData.session_start_info (3): hparams (1), a map to google.protobuf.Value (number 2, text
    // 3, bool 4); start_time_secs (5).
    ProtoEncoder info, content;
    for (const auto& [name, value] : values) {
      ProtoEncoder any, entry;
      if (const bool* flag = std::get_if<bool>(&value)) any.integer(4, *flag);
      if (const double* number = std::get_if<double>(&value)) any.number(2, *number);
      if (const std::string* word = std::get_if<std::string>(&value)) any.bytes(3, *word);
      entry.bytes(1, name);
      entry.message(2, any);
      info.message(1, entry);
    }
    info.number(5, detail::wall_time());
    content.message(3, info);
    // The plugin's data lie in the metadata; the value itself says nothing.
    ProtoEncoder nothing = tensor_of(float_type, {1});
    nothing.floats(5, std::array{0.0});
    write_value(*file_, "_hparams_/session_start_info", 0, nothing,
                metadata_of("hparams", DataClass::tensor, content));
  });
}

void Writer::flush(Location where) const {
  as("flush", where, [&] { file_->flush(); });
}

const std::string& Writer::path() const { return file_->path(); }

void Writer::check_count(size_t given, size_t wanted, Location where) {
  as("graph", where,
     [&] { TD_CHECK(given == wanted, "{} specs were given for {} arguments", given, wanted); });
}

}  // namespace tandem::summary
