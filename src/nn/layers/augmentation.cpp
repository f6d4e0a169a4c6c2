#include "tandem/nn/layers/augmentation.h"

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// A layer that changes images in training. Inside, the channels come first.
class AugmentationBody : public LayerBody {
 public:
  AugmentationBody(std::string_view data_format, std::optional<uint64_t> seed)
      : channels_last_(detail::is_channels_last(data_format)), noise_(seed) {}

  Tensor call(ModuleState& state, const Tensor& x) final {
    detail::check_layout(x, 2, channels_last_);
    detail::check_floating(x);
    const Variable& numbers = noise_.generator(state);
    if (!is_training() && !always()) return x;
    const Tensor y = changed(channels_last_ ? detail::channels_to_front(x) : x, numbers);
    return channels_last_ ? detail::channels_to_back(y) : y;
  }

 protected:
  virtual Tensor changed(const Tensor& x, const Variable& numbers) const = 0;
  /// Outside training too.
  virtual bool always() const { return false; }

  /// One number an image, (batch, 1, 1, 1).
  static Tensor draw(const Tensor& x, const Factor& factor, const Variable& numbers) {
    return random::uniform({x.dim(0), Dim(1), Dim(1), Dim(1)}, factor.low(), factor.high(), x.dtype(),
                           numbers);
  }

 private:
  bool channels_last_;
  detail::NoiseSource noise_;
};

void check_factor(std::string_view what, const Factor& f, double low, double high) {
  TD_CHECK(f.low() <= f.high() && f.low() >= low && f.high() <= high,
           "{} is from {} to {}; expected an order within {} to {}", what, f.low(), f.high(), low, high);
}

class FlipBody final : public AugmentationBody {
 public:
  FlipBody(const std::string& mode, const AugmentationOptions& o)
      : AugmentationBody(o.data_format, o.seed),
        horizontal_(mode != "vertical"),
        vertical_(mode != "horizontal") {
    detail::check_word("mode", mode, {"horizontal", "vertical", "horizontal_and_vertical"});
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    Tensor y = x;
    for (const auto& [wanted, axis] : {std::pair(horizontal_, 3), std::pair(vertical_, 2)}) {
      if (!wanted) continue;
      const Tensor turned = random::bernoulli(0.5, {x.dim(0), Dim(1), Dim(1), Dim(1)}, numbers);
      y = where(turned, flip(y, {axis}), y);
    }
    return y;
  }

 private:
  bool horizontal_, vertical_;
};

class CropBody final : public AugmentationBody {
 public:
  CropBody(int64_t height, int64_t width, const AugmentationOptions& o)
      : AugmentationBody(o.data_format, o.seed), sizes_{height, width} {
    TD_CHECK(height > 0 && width > 0, "a size of {} by {} was asked for; expected at least 1 by 1", height,
             width);
  }

 protected:
  bool always() const override { return true; }
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    for (int i = 0; i < 2; ++i)
      TD_CHECK(x.shape().codes()[2 + i] < 0 || x.shape().codes()[2 + i] >= sizes_[i],
               "images of {} by {} are smaller than {} by {}", x.shape().codes()[2], x.shape().codes()[3],
               sizes_[0], sizes_[1]);
    const Tensor room = shape_of(x, 2) - Tensor({sizes_[0], sizes_[1]}, DType::i64);
    if (!is_training()) {
      const Tensor starts = room / 2;
      return slice(x, starts, starts + Tensor({sizes_[0], sizes_[1]}, DType::i64), {2, 3});
    }
    // Rows and columns are gathered: their number is known whatever the start.
    const Tensor share = random::uniform({2}, 0, 1, DType::f64, numbers);
    const Tensor starts = minimum(cast(share * cast(room + 1, DType::f64), DType::i64), room);
    const Tensor rows = gather(x, arange(sizes_[0]) + starts[0], 2);
    return gather(rows, arange(sizes_[1]) + starts[1], 3);
  }

 private:
  Dims sizes_;
};

/// A layer that reads images at other places.
class MoveBody : public AugmentationBody {
 public:
  explicit MoveBody(const RandomMoveOptions& o) : AugmentationBody(o.data_format, o.seed) {
    detail::check_word("fill_mode", o.fill_mode, {"reflect", "nearest", "constant"});
    detail::check_word("interpolation", o.interpolation, {"bilinear", "nearest"});
    grid_.mode = o.interpolation == "bilinear" ? "linear" : "nearest";
    grid_.padding = o.fill_mode == "reflect" ? "reflection" : o.fill_mode == "nearest" ? "border" : "zeros";
  }

 protected:
  /// x read at (a b; c d) (x, y) + (e, f), in halves of width and height from the middle; each entry is
  /// (batch, 1, 1, 1).
  Tensor moved(const Tensor& x, const Tensor& a, const Tensor& b, const Tensor& e, const Tensor& c,
               const Tensor& d, const Tensor& f) const {
    const Tensor theta = reshape(concat({a, b, e, c, d, f}, 1), {-1, 2, 3});
    return grid_sample(x, affine_grid(theta, shape_of(x)), grid_);
  }

 private:
  GridOptions grid_;
};

class RotationBody final : public MoveBody {
 public:
  RotationBody(const Factor& factor, const RandomMoveOptions& o) : MoveBody(o), factor_(factor) {
    check_factor("factor", factor, -1, 1);
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    const Tensor angle = draw(x, factor_, numbers) * 6.283185307179586;
    const Tensor height = cast(shape_of(x, 2, 3), x.dtype()), width = cast(shape_of(x, 3, 4), x.dtype());
    const Tensor none = zeros_like(angle);
    return moved(x, cos(angle), -sin(angle) * height / width, none, sin(angle) * width / height, cos(angle),
                 none);
  }

 private:
  Factor factor_;
};

class ZoomBody final : public MoveBody {
 public:
  ZoomBody(const Factor& height, const std::optional<Factor>& width, const RandomMoveOptions& o)
      : MoveBody(o), height_(height), width_(width) {
    check_factor("height_factor", height, -1, 1e6);
    if (width) check_factor("width_factor", *width, -1, 1e6);
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    const Tensor height = 1 + draw(x, height_, numbers);
    const Tensor width = width_ ? 1 + draw(x, *width_, numbers) : height;
    const Tensor none = zeros_like(height);
    return moved(x, width, none, none, none, height, none);
  }

 private:
  Factor height_;
  std::optional<Factor> width_;
};

class TranslationBody final : public MoveBody {
 public:
  TranslationBody(const Factor& height, const Factor& width, const RandomMoveOptions& o)
      : MoveBody(o), height_(height), width_(width) {
    check_factor("height_factor", height, -1, 1);
    check_factor("width_factor", width, -1, 1);
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    const Tensor down = draw(x, height_, numbers), right = draw(x, width_, numbers);
    const Tensor one = ones_like(down), none = zeros_like(down);
    return moved(x, one, none, right * -2, none, one, down * -2);
  }

 private:
  Factor height_, width_;
};

class ContrastBody final : public AugmentationBody {
 public:
  ContrastBody(const Factor& factor, const RandomLightOptions& o)
      : AugmentationBody(o.data_format, o.seed), factor_(factor), low_(o.low), high_(o.high) {
    check_factor("factor", factor, -1, 1e6);
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    const Tensor mean = reduce_mean(x, {2, 3}, true);
    return clip((x - mean) * (1 + draw(x, factor_, numbers)) + mean, low_, high_);
  }

 private:
  Factor factor_;
  double low_, high_;
};

class BrightnessBody final : public AugmentationBody {
 public:
  BrightnessBody(const Factor& factor, const RandomLightOptions& o)
      : AugmentationBody(o.data_format, o.seed), factor_(factor), low_(o.low), high_(o.high) {
    check_factor("factor", factor, -1, 1);
  }

 protected:
  Tensor changed(const Tensor& x, const Variable& numbers) const override {
    return clip(x + draw(x, factor_, numbers) * (high_ - low_), low_, high_);
  }

 private:
  Factor factor_;
  double low_, high_;
};

}  // namespace

RandomFlip::RandomFlip(std::string mode, AugmentationOptions options, Location where)
    : Layer("RandomFlip", options.name, where,
            detail::make_body<FlipBody>("RandomFlip", where, mode, options)) {}

RandomCrop::RandomCrop(int64_t height, int64_t width, AugmentationOptions options, Location where)
    : Layer("RandomCrop", options.name, where,
            detail::make_body<CropBody>("RandomCrop", where, height, width, options)) {}

RandomRotation::RandomRotation(Factor factor, RandomMoveOptions options, Location where)
    : Layer("RandomRotation", options.name, where,
            detail::make_body<RotationBody>("RandomRotation", where, factor, options)) {}

RandomZoom::RandomZoom(Factor height_factor, std::optional<Factor> width_factor, RandomMoveOptions options,
                       Location where)
    : Layer("RandomZoom", options.name, where,
            detail::make_body<ZoomBody>("RandomZoom", where, height_factor, width_factor, options)) {}

RandomTranslation::RandomTranslation(Factor height_factor, Factor width_factor, RandomMoveOptions options,
                                     Location where)
    : Layer("RandomTranslation", options.name, where,
            detail::make_body<TranslationBody>("RandomTranslation", where, height_factor, width_factor,
                                               options)) {}

RandomContrast::RandomContrast(Factor factor, RandomLightOptions options, Location where)
    : Layer("RandomContrast", options.name, where,
            detail::make_body<ContrastBody>("RandomContrast", where, factor, options)) {}

RandomBrightness::RandomBrightness(Factor factor, RandomLightOptions options, Location where)
    : Layer("RandomBrightness", options.name, where,
            detail::make_body<BrightnessBody>("RandomBrightness", where, factor, options)) {}

}  // namespace tandem::nn
