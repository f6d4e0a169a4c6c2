#include "tandem/nn/layers/preprocessing.h"

#include <algorithm>
#include <map>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

// ---- Normalization

class NormalizationBody final : public LayerBody {
 public:
  explicit NormalizationBody(NormalizationOptions options) : options_(std::move(options)) {
    TD_CHECK(options_.mean.defined() == options_.variance.defined(),
             "only one of mean and variance is given; give both, or neither and call adapt");
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    detail::check_floating(x);
    const Dims axes = axes_of(x);
    const Statistics& s = statistics(state, x, axes, state.where);
    const auto shaped = [&](const Tensor& t) {
      Dims shape = Dims::filled(x.rank(), 1);
      for (int i = 0; i < axes.size(); ++i) shape[static_cast<int>(axes[i])] = s.sizes[i];
      return reshape(cast(t, x.dtype()), shape);
    };
    for (int i = 0; i < axes.size(); ++i) {
      const int64_t size = x.shape().codes()[static_cast<int>(axes[i])];
      TD_CHECK(size < 0 || size == s.sizes[i], "dimension {} of input shape {} is {}; the layer knows {}",
               axes[i], x.shape(), size, s.sizes[i]);
    }
    const Tensor mean = shaped(s.mean), deviation = maximum(sqrt(shaped(s.variance)), 1e-7);
    return options_.invert ? x * deviation + mean : (x - mean) / deviation;
  }

  void adapt(ModuleState& state, const Tensor& data, Location where) {
    TD_CHECK(!options_.mean.defined(), "mean and variance were given; there is nothing to learn");
    TD_CHECK(data.rank() >= 1 && data.shape().codes()[0] != 0, "data of shape {} has no examples",
             data.shape());
    const Tensor wide = cast(data, DType::f64);
    const Dims axes = axes_of(wide);
    Dims others;
    for (int i = 0; i < wide.rank(); ++i)
      if (std::find(axes.begin(), axes.end(), i) == axes.end()) others.push_back(i);
    const Statistics& s = statistics(state, wide, axes, where);
    const Tensor mean = reduce_mean(wide, others, true);
    const Tensor variance = reduce_mean(square(wide - mean), others);
    s.mean.assign(Operand(cast(reshape(mean, variance.shape()), s.mean.dtype()), where));
    s.variance.assign(Operand(cast(variance, s.variance.dtype()), where));
  }

 private:
  struct Statistics {
    Variable mean, variance;
    Shape sizes;
  };

  Dims axes_of(const Tensor& x) const {
    Dims axes;
    for (int64_t axis : options_.axis.numbers()) {
      const int64_t at = axis < 0 ? axis + x.rank() : axis;
      TD_CHECK(at >= 0 && at < x.rank(), "axis {} is out of range for input shape {}", axis, x.shape());
      axes.push_back(at);
    }
    std::sort(axes.begin(), axes.end());
    return axes;
  }
  const Statistics& statistics(ModuleState& state, const Tensor& x, const Dims& axes, Location where) {
    return statistics_.get([&] {
      Statistics s;
      for (int64_t axis : axes) s.sizes.push_back(x.dim(static_cast<int>(axis), where));
      const auto make = [&](const char* name, const Tensor& given, double first) {
        return state.parameter(
            name, s.sizes,
            [given, first](const Shape& shape, DType dtype) {
              return given.defined() ? expand(cast(given, dtype), shape).contiguous()
                                     : full(shape, first, dtype);
            },
            {.trainable = false, .dtype = DType::f32}, where);
      };
      s.mean = make("mean", options_.mean, 0);
      s.variance = make("variance", options_.variance, 1);
      return s;
    });
  }

  NormalizationOptions options_;
  detail::Once<Statistics> statistics_;
};

class RescalingBody final : public LayerBody {
 public:
  RescalingBody(double scale, double offset) : scale_(scale), offset_(offset) {}
  Tensor call(ModuleState&, const Tensor& x) override {
    const Tensor y = (is_floating(x.dtype()) ? x : cast(x, DType::f32)) * scale_;
    return offset_ == 0 ? y : y + offset_;
  }
  bool passes_mask() const override { return true; }

 private:
  double scale_, offset_;
};

// ---- categories

/// How indices are given out.
class Encoding {
 public:
  Encoding(std::string_view mode, int64_t depth, bool with_int) : depth_(depth) {
    if (with_int)
      detail::check_word("output_mode", mode, {"int", "one_hot", "multi_hot", "count"});
    else
      detail::check_word("output_mode", mode, {"one_hot", "multi_hot", "count"});
    mode_ = mode;
  }

  Tensor operator()(const Tensor& indices) const {
    if (mode_ == "int") return indices;
    if (mode_ == "one_hot") {
      const bool drops = indices.rank() > 1 && indices.shape().codes().back() == 1;
      return one_hot(drops ? squeeze(indices, {-1}) : indices, depth_);
    }
    TD_CHECK(indices.rank() <= 2, "the input has shape {}; expected (batch, n)", indices.shape());
    const Tensor rows = one_hot(indices.rank() == 1 ? unsqueeze(indices, {-1}) : indices, depth_);
    return mode_ == "count" ? reduce_sum(rows, {1}) : reduce_max(rows, {1});
  }

 private:
  std::string mode_;
  int64_t depth_;
};

class CategoryEncodingBody final : public LayerBody {
 public:
  CategoryEncodingBody(int64_t count, const std::string& mode)
      : count_(count), encoding_(mode, count, false) {
    TD_CHECK(count > 0, "num_tokens is {}; expected at least 1", count);
  }
  Tensor call(ModuleState&, const Tensor& x) override {
    const Tensor indices = cast(x, DType::i64);
    // Where the numbers are known now.
    if (!indices.is_symbolic())
      for (int64_t i : indices.to_vector<int64_t>())
        TD_CHECK(i >= 0 && i < count_, "the input has a {}; expected 0 to {}", i, count_ - 1);
    return encoding_(indices);
  }

 private:
  int64_t count_;
  Encoding encoding_;
};

class DiscretizationBody final : public LayerBody {
 public:
  DiscretizationBody(const std::vector<double>& boundaries, const std::string& mode)
      : boundaries_(boundaries), encoding_(mode, static_cast<int64_t>(boundaries.size()) + 1, true) {
    TD_CHECK(std::is_sorted(boundaries.begin(), boundaries.end()),
             "bin_boundaries are not in ascending order");
  }
  Tensor call(ModuleState&, const Tensor& x) override {
    std::vector<double> values = boundaries_;
    const auto count = static_cast<int64_t>(values.size());
    const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    const Tensor limits = cast(from_vector(std::move(values), {count}), dtype);
    const Tensor below = greater_or_equal(unsqueeze(cast(x, dtype), {-1}), limits);
    return encoding_(reduce_sum(cast(below, DType::i64), {-1}));
  }

 private:
  std::vector<double> boundaries_;
  Encoding encoding_;
};

class IntegerLookupBody final : public LayerBody {
 public:
  IntegerLookupBody(const std::vector<int64_t>& vocabulary, const IntegerLookupOptions& o)
      : others_(o.num_oov_indices),
        encoding_(o.output_mode, others_ + static_cast<int64_t>(vocabulary.size()), true) {
    TD_CHECK(others_ >= 0, "num_oov_indices is {}; expected at least 0", others_);
    TD_CHECK(!vocabulary.empty(), "the vocabulary is empty; expected at least 1 number");
    for (size_t i = 0; i < vocabulary.size(); ++i)
      TD_CHECK(places_.emplace(vocabulary[i], others_ + static_cast<int64_t>(i)).second,
               "{} is in the vocabulary twice", vocabulary[i]);
    for (const auto& [number, place] : places_) sorted_.push_back(number), at_.push_back(place);
  }

  // The numbers are searched for among the sorted ones by halves, all at once.
  Tensor call(ModuleState&, const Tensor& input) override {
    const auto count = static_cast<int64_t>(sorted_.size());
    const Tensor sorted = from_vector(std::vector<int64_t>(sorted_), {count});
    const Tensor places = from_vector(std::vector<int64_t>(at_), {count});
    const Tensor x = cast(input, DType::i64);
    Tensor low = zeros_like(x);
    int64_t step = 1;
    while (step < count) step *= 2;
    for (; step >= 1; step /= 2) {
      const Tensor next = low + step;
      const Tensor fits = less(next, count);
      low = where(logical_and(fits, less_or_equal(gather(sorted, minimum(next, count - 1)), x)), next, low);
    }
    const Tensor known = equal(gather(sorted, low), x);
    Tensor unknown = zeros_like(x);
    if (others_ == 0) {
      if (!x.is_symbolic())
        TD_CHECK(reduce_all(known).item<bool>(),
                 "the input has numbers outside the vocabulary, and num_oov_indices is 0");
      unknown = unknown - 1;
    } else if (others_ > 1) {
      unknown = floor_mod(x, others_);
    }
    return encoding_(where(known, gather(places, low), unknown));
  }

 private:
  int64_t others_;
  Encoding encoding_;
  std::map<int64_t, int64_t> places_;
  std::vector<int64_t> sorted_, at_;
};

// ---- sizes of images

/// The middle of x, (batch, channels, sizes...), with these spatial sizes.
Tensor middle(const Tensor& x, int64_t height, int64_t width) {
  const Tensor wanted({height, width}, DType::i64), starts = (shape_of(x, 2) - wanted) / 2;
  return slice(x, starts, starts + wanted, {2, 3});
}

class ImageSizeBody final : public LayerBody {
 public:
  /// `crops`: a large enough image is cut only; `keeps_aspect`: otherwise it is not stretched.
  ImageSizeBody(int64_t height, int64_t width, const std::string& interpolation, bool crops,
                bool keeps_aspect, const std::string& data_format)
      : height_(height),
        width_(width),
        crops_(crops),
        keeps_aspect_(keeps_aspect),
        channels_last_(detail::is_channels_last(data_format)) {
    TD_CHECK(height > 0 && width > 0, "a size of {} by {} was asked for; expected at least 1 by 1", height,
             width);
    detail::check_word("interpolation", interpolation, {"bilinear", "nearest", "bicubic"});
    options_.mode = interpolation == "nearest" ? "nearest" : interpolation == "bilinear" ? "linear" : "cubic";
    options_.cubic_coefficient = -0.5f;
    options_.exclude_outside = interpolation == "bicubic";
    options_.axes = {2, 3};
    if (interpolation == "nearest") options_.nearest = "round_prefer_ceil";
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    detail::check_layout(x, 2, channels_last_);
    const Tensor image = channels_last_ ? detail::channels_to_front(x) : x;
    const Tensor y = sized(image, image.dim(2, state.where), image.dim(3, state.where));
    return channels_last_ ? detail::channels_to_back(y) : y;
  }

 private:
  Tensor sized(const Tensor& x, int64_t height, int64_t width) const {
    if (crops_ && height >= height_ && width >= width_) return middle(x, height_, width_);
    Tensor y = x;
    if (keeps_aspect_) {
      // The largest part of the wanted shape.
      const int64_t rows = std::min(height, std::max<int64_t>(1, width * height_ / width_));
      const int64_t columns = std::min(width, std::max<int64_t>(1, height * width_ / height_));
      y = middle(x, rows, columns);
    }
    return resize(y, {height_, width_}, options_);
  }

  int64_t height_, width_;
  bool crops_, keeps_aspect_, channels_last_;
  ResizeOptions options_;
};

}  // namespace

Normalization::Normalization(NormalizationOptions options, Location where)
    : Layer("Normalization", options.name, where,
            detail::make_body<NormalizationBody>("Normalization", where, options)) {}

void Normalization::adapt(const Tensor& data, Location where) const {
  detail::in_call("adapt", where,
                  [&] { static_cast<NormalizationBody&>(*body()).adapt(*state(), data, where); });
}

Rescaling::Rescaling(double scale, RescalingOptions options, Location where)
    : Layer("Rescaling", options.name, where, detail::make_clonable<RescalingBody>(scale, options.offset)) {}

CategoryEncoding::CategoryEncoding(int64_t num_tokens, CategoryEncodingOptions options, Location where)
    : Layer("CategoryEncoding", options.name, where,
            detail::make_body<CategoryEncodingBody>("CategoryEncoding", where, num_tokens,
                                                    options.output_mode)) {}

Discretization::Discretization(std::vector<double> bin_boundaries, DiscretizationOptions options,
                               Location where)
    : Layer("Discretization", options.name, where,
            detail::make_body<DiscretizationBody>("Discretization", where, bin_boundaries,
                                                  options.output_mode)) {}

Discretization Discretization::adapted(int64_t num_bins, const Tensor& data, DiscretizationOptions options,
                                       Location where) {
  std::vector<double> boundaries;
  detail::in_call("adapted", where, [&] {
    std::vector<double> values = cast(data, DType::f64).to_vector<double>();
    TD_CHECK(num_bins > 0 && !values.empty(),
             "{} bins of {} numbers were asked for; expected at least 1 of each", num_bins, values.size());
    std::sort(values.begin(), values.end());
    for (int64_t i = 1; i < num_bins; ++i)
      boundaries.push_back(values[static_cast<size_t>(i) * values.size() / static_cast<size_t>(num_bins)]);
    boundaries.erase(std::unique(boundaries.begin(), boundaries.end()), boundaries.end());
  });
  return Discretization(std::move(boundaries), std::move(options), where);
}

IntegerLookup::IntegerLookup(std::vector<int64_t> vocabulary, IntegerLookupOptions options, Location where)
    : Layer("IntegerLookup", options.name, where,
            detail::make_body<IntegerLookupBody>("IntegerLookup", where, vocabulary, options)) {}

IntegerLookup IntegerLookup::adapted(const Tensor& data, int64_t max_tokens, IntegerLookupOptions options,
                                     Location where) {
  std::map<int64_t, int64_t> counts;
  for (int64_t number : cast(Operand(data, where), DType::i64).to_vector<int64_t>()) ++counts[number];
  std::vector<int64_t> vocabulary;
  for (const auto& [number, count] : counts) vocabulary.push_back(number);
  std::stable_sort(vocabulary.begin(), vocabulary.end(),
                   [&](int64_t a, int64_t b) { return counts[a] > counts[b]; });
  const int64_t room = max_tokens - options.num_oov_indices;
  if (max_tokens > 0 && static_cast<int64_t>(vocabulary.size()) > room)
    vocabulary.resize(static_cast<size_t>(std::max<int64_t>(0, room)));
  return IntegerLookup(std::move(vocabulary), std::move(options), where);
}

Resizing::Resizing(int64_t height, int64_t width, ResizingOptions options, Location where)
    : Layer("Resizing", options.name, where,
            detail::make_body<ImageSizeBody>("Resizing", where, height, width, options.interpolation, false,
                                             options.crop_to_aspect_ratio, options.data_format)) {}

CenterCrop::CenterCrop(int64_t height, int64_t width, CenterCropOptions options, Location where)
    : Layer("CenterCrop", options.name, where,
            detail::make_body<ImageSizeBody>("CenterCrop", where, height, width, std::string("bilinear"),
                                             true, true, options.data_format)) {}

}  // namespace tandem::nn
