#include "tandem/nn/layers/spatial.h"

#include "nn/layers/layer_support.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/image.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// Before each spatial dimension, then after each.
Dims spread_borders(const Borders& borders, int spatial, std::string_view what) {
  Dims before, after;
  const auto& numbers = borders.numbers();
  const auto count = static_cast<int>(numbers.size() + borders.sides().size());
  if (!borders.sides().empty()) {
    for (const auto& [first, second] : borders.sides()) before.push_back(first), after.push_back(second);
  } else if (spatial == 1 && count == 2) {
    before = {numbers[0]};
    after = {numbers[1]};
  } else {
    before = after = count == 1 ? Dims::filled(spatial, numbers[0]) : Dims(numbers);
  }
  TD_CHECK(before.size() == spatial, "{} has {} entries; expected one, or one for each of {} dimensions",
           what, count, spatial);
  for (int64_t n : after) before.push_back(n);
  for (int64_t n : before) TD_CHECK(n >= 0, "{} is {}; expected at least 0", what, n);
  return before;
}

Dims spatial_dimensions(int spatial, bool channels_last) {
  Dims axes;
  for (int i = 0; i < spatial; ++i) axes.push_back(i + (channels_last ? 1 : 2));
  return axes;
}

class PaddingBody final : public LayerBody {
 public:
  PaddingBody(int spatial, const Borders& padding, const SpatialOptions& options)
      : spatial_(spatial),
        channels_last_(detail::is_channels_last(options.data_format)),
        pads_(spread_borders(padding, spatial, "padding")) {}

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    return pad(x, pads_, "constant", nullptr, spatial_dimensions(spatial_, channels_last_));
  }

 private:
  int spatial_;
  bool channels_last_;
  Dims pads_;
};

class CroppingBody final : public LayerBody {
 public:
  CroppingBody(int spatial, const Borders& cropping, const SpatialOptions& options)
      : spatial_(spatial),
        channels_last_(detail::is_channels_last(options.data_format)),
        cuts_(spread_borders(cropping, spatial, "cropping")) {}

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    const Dims axes = spatial_dimensions(spatial_, channels_last_);
    Dims starts, ends;
    for (int i = 0; i < spatial_; ++i) {
      const int64_t size = x.shape().codes()[static_cast<int>(axes[i])], first = cuts_[i],
                    last = cuts_[spatial_ + i];
      TD_CHECK(size < 0 || first + last < size,
               "cropping ({}, {}) leaves nothing of dimension {} of input shape {}", first, last, axes[i],
               x.shape());
      starts.push_back(first);
      ends.push_back(last == 0 ? INT64_MAX : -last);
    }
    return slice(x, starts, ends, axes);
  }

 private:
  int spatial_;
  bool channels_last_;
  Dims cuts_;
};

class UpSamplingBody final : public LayerBody {
 public:
  UpSamplingBody(int spatial, const PerAxis& size, std::string_view data_format,
                 std::string_view interpolation)
      : spatial_(spatial), channels_last_(detail::is_channels_last(data_format)) {
    const Dims factors = detail::spread(size, spatial, "size");
    factors_ = from_vector(factors.to_vector(), {spatial});
    detail::check_word("interpolation", interpolation, {"nearest", "bilinear", "bicubic"});
    if (interpolation == "nearest") {
      options_ = {.coordinates = "asymmetric", .nearest = "floor"};
    } else if (interpolation == "bilinear") {
      options_ = {.mode = "linear"};
    } else {
      options_ = {.mode = "cubic", .exclude_outside = true, .cubic_coefficient = -0.5f};
    }
    options_.axes = spatial_dimensions(spatial, channels_last_);
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    const int first = channels_last_ ? 1 : 2;
    return resize(x, shape_of(x, first, first + spatial_) * factors_, options_);
  }

 private:
  int spatial_;
  bool channels_last_;
  Tensor factors_;  ///< int64
  ResizeOptions options_;
};

}  // namespace

#define TANDEM_BORDERS(Kind, Body, spatial)                           \
  Kind::Kind(Borders borders, SpatialOptions options, Location where) \
      : Layer(#Kind, options.name, where,                             \
              detail::make_body<Body>(#Kind, where, spatial, borders, options)) {}
TANDEM_BORDERS(ZeroPadding1D, PaddingBody, 1)
TANDEM_BORDERS(ZeroPadding2D, PaddingBody, 2)
TANDEM_BORDERS(ZeroPadding3D, PaddingBody, 3)
TANDEM_BORDERS(Cropping1D, CroppingBody, 1)
TANDEM_BORDERS(Cropping2D, CroppingBody, 2)
TANDEM_BORDERS(Cropping3D, CroppingBody, 3)
#undef TANDEM_BORDERS

#define TANDEM_UPSAMPLING(Kind, Size, Options, spatial, interpolation)                            \
  Kind::Kind(Size size, Options options, Location where)                                          \
      : Layer(#Kind, options.name, where,                                                         \
              detail::make_body<UpSamplingBody>(#Kind, where, spatial, size, options.data_format, \
                                                interpolation)) {}
TANDEM_UPSAMPLING(UpSampling1D, int64_t, SpatialOptions, 1, "nearest")
TANDEM_UPSAMPLING(UpSampling2D, PerAxis, UpSampling2DOptions, 2, options.interpolation)
TANDEM_UPSAMPLING(UpSampling3D, PerAxis, SpatialOptions, 3, "nearest")
#undef TANDEM_UPSAMPLING

}  // namespace tandem::nn
