#include "tandem/nn/layers/normalization.h"

#include <algorithm>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// What statistics are computed in.
DType statistics_dtype(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype;
}

/// The position of an axis of x, which must not be the batch.
int positive_axis(const Tensor& x, int64_t axis) {
  const int rank = x.rank();
  TD_CHECK(axis >= -rank && axis < rank, "axis {} is out of range for input shape {}; expected {} to {}",
           axis, x.shape(), -rank, rank - 1);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

/// Axes of x in ascending order.
Dims positive_axes(const Tensor& x, const Axes& axes) {
  Dims found;
  for (int64_t axis : axes.numbers()) found.push_back(positive_axis(x, axis));
  std::sort(found.begin(), found.end());
  TD_CHECK(std::adjacent_find(found.begin(), found.end()) == found.end(), "axis {} is listed twice",
           *std::adjacent_find(found.begin(), found.end()));
  return found;
}

/// x's sizes along `axes`.
Shape sizes_along(const Tensor& x, const Dims& axes, Location where) {
  Shape shape;
  for (int64_t axis : axes) shape.push_back(x.dim(static_cast<int>(axis), where));
  return shape;
}

/// Throws unless x has the sizes along `axes` that the layer was built for.
void check_sizes(const Tensor& x, const Dims& axes, const Shape& built_for) {
  for (int i = 0; i < axes.size(); ++i) {
    const int64_t size = x.shape().codes()[static_cast<int>(axes[i])];
    TD_CHECK(size < 0 || size == built_for[i],
             "dimension {} of input shape {} is {}; the layer was built for {}", axes[i], x.shape(), size,
             built_for[i]);
  }
}

/// A parameter with numbers along `axes` of x, in a shape that broadcasts to x.
Tensor along(const Tensor& parameter, const Dims& axes, int rank) {
  Dims shape = Dims::filled(rank, 1);
  for (int i = 0; i < axes.size(); ++i) shape[static_cast<int>(axes[i])] = parameter.shape().codes()[i];
  // Trailing axes broadcast as they are.
  return axes[0] == rank - axes.size() ? parameter : reshape(parameter, shape);
}

struct Scales {
  Variable gamma, beta;
  Shape sizes;
};

template <class Options>
Scales make_scales(ModuleState& state, const Shape& sizes, DType dtype, const Options& o) {
  Scales s;
  s.sizes = sizes;
  if (o.scale)
    s.gamma = detail::make_parameter(state, "gamma", sizes, dtype, o.gamma_initializer, o.gamma_regularizer,
                                     o.gamma_constraint);
  if (o.center)
    s.beta = detail::make_parameter(state, "beta", sizes, dtype, o.beta_initializer, o.beta_regularizer,
                                    o.beta_constraint);
  return s;
}

// ---- BatchNormalization

class BatchNormalizationBody final : public LayerBody {
 public:
  explicit BatchNormalizationBody(BatchNormalizationOptions options) : options_(std::move(options)) {
    TD_CHECK(options_.momentum >= 0 && options_.momentum <= 1, "momentum is {}; expected 0 to 1",
             options_.momentum);
    TD_CHECK(options_.epsilon >= 0, "epsilon is {}; expected at least 0", options_.epsilon);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Dims channels{positive_axis(x, options_.axis)};
    const Weights& w = weights_.get([&] { return build(state, x, channels); });
    check_sizes(x, channels, w.mean.shape());
    const DType type = w.mean.dtype();
    const Tensor wide = cast(x, type);
    const int rank = x.rank();
    Tensor mean = w.mean, variance = w.variance, distance;
    if (is_training() && is_trainable(state)) {
      Dims others;
      for (int i = 0; i < rank; ++i)
        if (i != channels[0]) others.push_back(i);
      const Counting counting(x, wide, others);
      const Tensor batch_mean = counting.mean(wide);
      distance = wide - along(batch_mean, channels, rank);
      const Tensor batch_variance = counting.mean(square(distance));
      follow(w.mean, mean, batch_mean, counting);
      follow(w.variance, variance, batch_variance, counting);
      variance = batch_variance;
    } else {
      distance = wide - along(mean, channels, rank);
    }
    Tensor factor = rsqrt(variance + options_.epsilon);
    if (w.gamma.defined()) factor = factor * w.gamma;
    Tensor y = distance * along(factor, channels, rank);
    if (w.beta.defined()) y = y + along(w.beta, channels, rank);
    return cast(y, x.dtype());
  }
  bool passes_mask() const override { return true; }

 private:
  struct Weights {
    Variable gamma, beta, mean, variance;
  };

  /// Means over the positions that the mask of x lets count.
  class Counting {
   public:
    Counting(const Tensor& x, const Tensor& wide, const Dims& axes) : axes_(axes) {
      const Tensor mask = mask_of(x);
      if (!mask.defined()) return;
      Dims missing;
      for (int i = mask.rank(); i < x.rank(); ++i) missing.push_back(i);
      const Tensor shaped = cast(missing.empty() ? mask : unsqueeze(mask, missing), wide.dtype());
      weights_ = expand(shaped, shape_of(x));
      count_ = reduce_sum(weights_, axes);
    }
    Tensor mean(const Tensor& t) const {
      if (!weights_.defined()) return reduce_mean(t, axes_);
      return reduce_sum(t * weights_, axes_) / maximum(count_, 1);
    }
    /// `now`, or `before` where nothing counts.
    Tensor if_any(const Tensor& now, const Tensor& before) const {
      return weights_.defined() ? where(greater(count_, 0), now, before) : now;
    }

   private:
    Dims axes_;
    Tensor weights_, count_;
  };

  void follow(const Variable& moving, const Tensor& old, const Tensor& batch,
              const Counting& counting) const {
    moving.assign(counting.if_any(old * options_.momentum + batch * (1 - options_.momentum), old));
  }
  /// Neither it nor what it is part of is frozen.
  static bool is_trainable(const ModuleState& state) {
    if (!state.trainable.load(std::memory_order_relaxed)) return false;
    const std::shared_ptr<ModuleState> above = state.parent.lock();
    return !above || is_trainable(*above);
  }

  Weights build(ModuleState& state, const Tensor& x, const Dims& channels) const {
    detail::check_floating(x);
    const Shape shape = sizes_along(x, channels, state.where);
    const DType type = statistics_dtype(x.dtype());
    const Scales scales = make_scales(state, shape, type, options_);
    const auto moving = [&](const char* name, const Initializer& initializer) {
      return state.parameter(name, shape, initializer, {.trainable = false, .dtype = type}, state.where);
    };
    Weights w;
    w.gamma = scales.gamma;
    w.beta = scales.beta;
    w.mean = moving("moving_mean", options_.moving_mean_initializer);
    w.variance = moving("moving_variance", options_.moving_variance_initializer);
    return w;
  }

  BatchNormalizationOptions options_;
  detail::Once<Weights> weights_;
};

// ---- LayerNormalization, RMSNormalization

class LayerNormalizationBody final : public LayerBody {
 public:
  explicit LayerNormalizationBody(LayerNormalizationOptions options) : options_(std::move(options)) {
    TD_CHECK(!options_.axis.empty(), "axis is an empty list; expected at least one");
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Dims axes = positive_axes(x, options_.axis);
    const Scales& s = scales_.get([&] {
      detail::check_floating(x);
      return make_scales(state, sizes_along(x, axes, state.where), x.dtype(), options_);
    });
    check_sizes(x, axes, s.sizes);
    const int rank = x.rank();
    if (s.gamma.defined() && axes[0] == rank - axes.size())
      return layer_normalization(x, s.gamma, s.beta.defined() ? Tensor(s.beta) : Tensor(), axes[0],
                                 static_cast<float>(options_.epsilon));
    const Tensor wide = cast(x, statistics_dtype(x.dtype()));
    const Tensor distance = wide - reduce_mean(wide, axes, true);
    Tensor y =
        cast(distance * rsqrt(reduce_mean(square(distance), axes, true) + options_.epsilon), x.dtype());
    if (s.gamma.defined()) y = y * along(s.gamma, axes, rank);
    if (s.beta.defined()) y = y + along(s.beta, axes, rank);
    return y;
  }
  bool passes_mask() const override { return true; }

 private:
  LayerNormalizationOptions options_;
  detail::Once<Scales> scales_;
};

class RMSNormalizationBody final : public LayerBody {
 public:
  explicit RMSNormalizationBody(RMSNormalizationOptions options) : options_(std::move(options)) {
    TD_CHECK(!options_.axis.empty(), "axis is an empty list; expected at least one");
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Dims axes = positive_axes(x, options_.axis);
    const Scales& s = scales_.get([&] {
      detail::check_floating(x);
      Scales made;
      made.sizes = sizes_along(x, axes, state.where);
      made.gamma = state.parameter("scale", made.sizes, "ones", {.dtype = x.dtype()}, state.where);
      return made;
    });
    check_sizes(x, axes, s.sizes);
    if (axes[0] == x.rank() - axes.size())
      return rms_normalization(x, s.gamma, axes[0], static_cast<float>(options_.epsilon));
    const Tensor wide = cast(x, statistics_dtype(x.dtype()));
    const Tensor factor = rsqrt(reduce_mean(square(wide), axes, true) + options_.epsilon);
    return cast(wide * factor, x.dtype()) * along(s.gamma, axes, x.rank());
  }
  bool passes_mask() const override { return true; }

 private:
  RMSNormalizationOptions options_;
  detail::Once<Scales> scales_;
};

class UnitNormalizationBody final : public LayerBody {
 public:
  explicit UnitNormalizationBody(UnitNormalizationOptions options) : options_(std::move(options)) {}

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_floating(x);
    const Dims axes = positive_axes(x, options_.axis);
    return x * rsqrt(maximum(reduce_sum_square(x, axes, true), 1e-12));
  }
  bool passes_mask() const override { return true; }

 private:
  UnitNormalizationOptions options_;
};

// ---- GroupNormalization

class GroupNormalizationBody final : public LayerBody {
 public:
  explicit GroupNormalizationBody(GroupNormalizationOptions options) : options_(std::move(options)) {
    TD_CHECK(options_.groups > 0 || options_.groups == -1,
             "groups is {}; expected at least 1, or -1 for each channel", options_.groups);
  }

  Tensor call(ModuleState& state, const Tensor& x) override {
    const Dims channels{positive_axis(x, options_.axis)};
    const Scales& s = scales_.get([&] { return build(state, x, channels); });
    check_sizes(x, channels, s.sizes);
    const int rank = x.rank(), at = static_cast<int>(channels[0]);
    TD_CHECK(rank < max_rank && at > 0, "input shape {} has {} dimensions and its channels at {}", x.shape(),
             rank, at);
    // Channels cut into groups: everything but the batch and the groups is averaged.
    const int64_t groups = options_.groups == -1 ? s.sizes[0] : options_.groups;
    std::vector<Tensor> parts{shape_of(x, 0, at), Tensor({groups, s.sizes[0] / groups}, DType::i64)};
    if (at + 1 < rank) parts.push_back(shape_of(x, at + 1));
    const Tensor cut = reshape(cast(x, statistics_dtype(x.dtype())), concat(parts, 0));
    Dims others;
    for (int i = 1; i < cut.rank(); ++i)
      if (i != at) others.push_back(i);
    const Tensor distance = cut - reduce_mean(cut, others, true);
    const Tensor unit = distance * rsqrt(reduce_mean(square(distance), others, true) + options_.epsilon);
    Tensor y = cast(reshape(unit, shape_of(x)), x.dtype());
    if (s.gamma.defined()) y = y * along(s.gamma, channels, rank);
    if (s.beta.defined()) y = y + along(s.beta, channels, rank);
    return y;
  }
  bool passes_mask() const override { return true; }

 private:
  Scales build(ModuleState& state, const Tensor& x, const Dims& channels) const {
    detail::check_floating(x);
    const Shape sizes = sizes_along(x, channels, state.where);
    TD_CHECK(options_.groups == -1 || sizes[0] % options_.groups == 0,
             "the {} channels of input shape {} cannot be cut into {} groups", sizes[0], x.shape(),
             options_.groups);
    return make_scales(state, sizes, x.dtype(), options_);
  }

  GroupNormalizationOptions options_;
  detail::Once<Scales> scales_;
};

}  // namespace

BatchNormalization::BatchNormalization(BatchNormalizationOptions options, Location where)
    : Layer("BatchNormalization", options.name, where,
            detail::make_body<BatchNormalizationBody>("BatchNormalization", where, options)) {}

LayerNormalization::LayerNormalization(LayerNormalizationOptions options, Location where)
    : Layer("LayerNormalization", options.name, where,
            detail::make_body<LayerNormalizationBody>("LayerNormalization", where, options)) {}

GroupNormalization::GroupNormalization(GroupNormalizationOptions options, Location where)
    : Layer("GroupNormalization", options.name, where,
            detail::make_body<GroupNormalizationBody>("GroupNormalization", where, options)) {}

RMSNormalization::RMSNormalization(RMSNormalizationOptions options, Location where)
    : Layer("RMSNormalization", options.name, where,
            detail::make_body<RMSNormalizationBody>("RMSNormalization", where, options)) {}

UnitNormalization::UnitNormalization(UnitNormalizationOptions options, Location where)
    : Layer("UnitNormalization", options.name, where,
            detail::make_body<UnitNormalizationBody>("UnitNormalization", where, options)) {}

}  // namespace tandem::nn
