// Normalization by channel: over the batch, over each image, over neighbouring channels.

#include "tandem/ops/normalization.h"

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/samples.h"
#include "ops/windows.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/pooling.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

/// What statistics are computed in.
DType statistics_dtype(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype;
}
void check_channels(const InferContext& c, int first, int last) {
  TD_CHECK(c.rank(0) >= 2, "X has shape {}; a batch and channels are needed", c.shape(0));
  const int64_t channels = c.shape(0)[1];
  for (int i = first; i <= last; ++i) {
    const Shape& s = c.shape(i);
    TD_CHECK(s.rank() == 1 && (s[0] == channels || s[0] < 0 || channels < 0),
             "{} has shape {}; one number for each of {} channels is needed",
             c.op().inputs[static_cast<size_t>(i)].name, s, channels);
  }
}
/// One number a channel, in a shape that broadcasts to tensors of this rank.
Tensor by_channel(const Tensor& numbers, DType dtype, int rank) {
  Dims shape = Dims::filled(rank - 1, 1);
  shape[0] = -1;
  return reshape(cast(numbers, dtype), shape);
}
/// (x - mean) / sqrt(variance + epsilon) * scale + bias, the latter two one number a channel.
Tensor normalized(const Tensor& x, const Tensor& mean, const Tensor& variance, double epsilon,
                  const Tensor& scale, const Tensor& bias) {
  const Tensor factor = by_channel(scale, x.dtype(), x.rank()) / sqrt(variance + epsilon);
  return (x - mean) * factor + by_channel(bias, x.dtype(), x.rank());
}

// ---- BatchNormalization

struct BatchNormalization : Composite {
  static constexpr std::string_view name = "BatchNormalization";
  static constexpr int since = 15, outputs = -1;
  struct Attributes {
    float epsilon = 1e-5f, momentum = 0.9f;
    bool training_mode = false;
    static constexpr auto fields() {
      return std::tuple{field("epsilon", &Attributes::epsilon), field("momentum", &Attributes::momentum),
                        field("training_mode", &Attributes::training_mode)};
    }
  };
  static constexpr std::array<InputDef, 5> inputs{{{"X", types::floating},
                                                   {"scale", types::floating, 1},
                                                   {"B", types::floating, 1},
                                                   {"input_mean", types::floating, 2},
                                                   {"input_var", types::floating, 2}}};
  static void infer(InferContext& c, const Attributes& a) {
    check_channels(c, 1, 4);
    c.output(c.dtype(0), c.shape(0));
    if (!a.training_mode) return;
    c.output(c.dtype(3), c.shape(3));
    c.output(c.dtype(3), c.shape(4));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const DType type = statistics_dtype(in[0].dtype());
    const Tensor x = cast(in[0], type);
    if (!a.training_mode)
      return {cast(normalized(x, by_channel(in[3], type, x.rank()), by_channel(in[4], type, x.rank()),
                              a.epsilon, in[1], in[2]),
                   in[0].dtype())};
    Dims axes = spatial_axes(x.rank());
    axes.insert(0, 0);
    const Tensor mean = reduce_mean(x, axes, true), variance = reduce_mean(square(x - mean), axes, true);
    const Tensor y = normalized(x, mean, variance, a.epsilon, in[1], in[2]);
    const auto running = [&](const Tensor& before, const Tensor& now) {
      const DType kept = statistics_dtype(before.dtype());
      const Tensor seen = cast(reshape(now, {-1}), kept);
      return cast(cast(before, kept) * a.momentum + seen * (1 - a.momentum), before.dtype());
    };
    return {cast(y, in[0].dtype()), running(in[3], mean), running(in[4], variance)};
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({2, 3, 2, 2}), scale({0.5f, 2.f, -1.f}), bias({1.f, 0.f, -2.f}),
                 mean({0.25f, -0.5f, 1.f}), variance({1.f, 0.5f, 2.f});
    const Attributes training{.epsilon = 0.25f, .momentum = 0.75f, .training_mode = true};
    return {{{x, scale, bias, mean, variance}, {}},
            {{x, scale, bias, mean, variance}, boxed(training)},
            {{ramp({4, 3}), scale, bias, mean, variance}, boxed(training)},
            {{zeros({0, 3, 2}), scale, bias, mean, variance}, {}}};
  }
};

// ---- InstanceNormalization

struct InstanceNormalization : Composite {
  static constexpr std::string_view name = "InstanceNormalization";
  static constexpr int since = 22;
  struct Attributes {
    float epsilon = 1e-5f;
    static constexpr auto fields() { return std::tuple{field("epsilon", &Attributes::epsilon)}; }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"input", types::floating}, {"scale", types::floating}, {"B", types::floating}}};
  static void infer(InferContext& c, const Attributes&) {
    TD_CHECK(c.rank(0) >= 3, "the input has shape {}; a batch, channels and spatial dimensions are needed",
             c.shape(0));
    check_channels(c, 1, 2);
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor x = cast(in[0], statistics_dtype(in[0].dtype()));
    const Dims axes = spatial_axes(x.rank());
    const Tensor mean = reduce_mean(x, axes, true), variance = reduce_mean(square(x - mean), axes, true);
    return {cast(normalized(x, mean, variance, a.epsilon, in[1], in[2]), in[0].dtype())};
  }
  static std::vector<Sample> samples() {
    const Tensor scale({0.5f, 2.f, -1.f}), bias({1.f, 0.f, -2.f});
    const Attributes large{0.25f};
    return {{{ramp({2, 3, 2, 3}), scale, bias}, {}},
            {{ramp({2, 3, 4}), scale, bias}, boxed(large)},
            {{zeros({0, 3, 2}), scale, bias}, {}}};
  }
};

// ---- GroupNormalization

struct GroupNormalization : Composite {
  static constexpr std::string_view name = "GroupNormalization";
  static constexpr int since = 21;
  struct Attributes {
    float epsilon = 1e-5f;
    int64_t num_groups = 1, stash_type = 1;
    static constexpr auto fields() {
      return std::tuple{field("epsilon", &Attributes::epsilon), field("num_groups", &Attributes::num_groups),
                        field("stash_type", &Attributes::stash_type)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"X", types::floating}, {"scale", types::floating}, {"bias", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    check_channels(c, 1, 2);
    const int64_t channels = c.shape(0)[1];
    TD_CHECK(a.num_groups > 0 && (channels < 0 || channels % a.num_groups == 0),
             "{} channels cannot be cut into {} groups", channels, a.num_groups);
    TD_CHECK(
        a.stash_type == 1 || a.stash_type == 10 || a.stash_type == 11 || a.stash_type == 16,
        "stash_type {} is no dtype for statistics; allowed are 1 (float32), 10 (float16), 11 (float64) and "
        "16 (bfloat16)",
        a.stash_type);
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    // Statistics are never less precise than float32, nor than x.
    const DType dtype = in[0].dtype();
    const DType type = dtype == DType::f64 || a.stash_type == 11 ? DType::f64 : DType::f32;
    const Tensor x = cast(in[0], type), batch = shape_of(x, 0, 1), channels = shape_of(x, 1, 2);
    const Tensor groups = to_tensor(Operand({a.num_groups}));
    const Tensor cut = reshape(x, concat({batch, groups, channels / a.num_groups, shape_of(x, 2)}, 0));
    Dims axes = spatial_axes(cut.rank());
    const Tensor mean = reduce_mean(cut, axes, true), distance = cut - mean;
    const Tensor variance = reduce_mean(square(distance), axes, true);
    const Tensor first = reshape(distance / sqrt(variance + a.epsilon), x.shape());
    return {cast(first, dtype) * by_channel(in[1], dtype, x.rank()) + by_channel(in[2], dtype, x.rank())};
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({2, 4, 2, 3}), scale({0.5f, 2.f, -1.f, 1.f}), bias({1.f, 0.f, -2.f, 0.5f});
    const Attributes two{.num_groups = 2}, four{.epsilon = 0.25f, .num_groups = 4};
    return {{{x, scale, bias}, {}},
            {{x, scale, bias}, boxed(two)},
            {{ramp({2, 4, 3}), scale, bias}, boxed(four)},
            {{zeros({0, 4, 2}), scale, bias}, boxed(two)}};
  }
};

// ---- LRN

struct LRN : Composite {
  static constexpr std::string_view name = "LRN";
  static constexpr int since = 13;
  struct Attributes {
    float alpha = 1e-4f, beta = 0.75f, bias = 1;
    int64_t size = 0;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("beta", &Attributes::beta),
                        field("bias", &Attributes::bias), field("size", &Attributes::size)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(c.rank(0) >= 2 && c.rank(0) < max_rank, "X has shape {}; a batch and channels are needed",
             c.shape(0));
    TD_CHECK(a.size > 0, "size is {}; the number of channels to sum over must be at least 1", a.size);
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor x = cast(in[0], statistics_dtype(in[0].dtype()));
    // The channels become a spatial dimension: windows slide over (batch, 1, channels, everything else).
    const Tensor one = to_tensor(Operand({int64_t{1}}));
    const Tensor rest = reduce_prod(shape_of(x, 2), nullptr, true);
    const Tensor squares =
        reshape(square(x), concat({shape_of(x, 0, 1), one, shape_of(x, 1, 2), reshape(rest, {1})}, 0));
    const int64_t before = (a.size - 1) / 2;
    const Tensor sums = sum_pool(squares, {a.size, 1}, {.pads = {before, 0, a.size - 1 - before, 0}});
    const Tensor base = reshape(sums, x.shape()) * (a.alpha / static_cast<float>(a.size)) + a.bias;
    return {cast(x / pow(base, a.beta), in[0].dtype())};
  }
  static std::vector<Sample> samples() {
    const Attributes three{.size = 3}, even{.alpha = 0.5f, .beta = 0.5f, .bias = 2, .size = 2};
    return {{{ramp({2, 4, 2, 3})}, boxed(three)},
            {{ramp({1, 5, 2})}, boxed(even)},
            {{zeros({0, 4, 2})}, boxed(three)}};
  }
};

constexpr const OpDef* channel_normalization_table[] = {
    &op_def<BatchNormalization>, &op_def<InstanceNormalization>, &op_def<GroupNormalization>, &op_def<LRN>};

}  // namespace

std::span<const OpDef* const> channel_normalization_ops() { return channel_normalization_table; }

Tensor batch_normalization(const Operand& x, const Operand& scale, const Operand& bias, const Operand& mean,
                           const Operand& variance, float epsilon) {
  return dispatch<BatchNormalization>({.epsilon = epsilon}, x, scale, bias, mean, variance);
}
BatchNormalizationResult batch_normalization_training(const Operand& x, const Operand& scale,
                                                      const Operand& bias, const Operand& mean,
                                                      const Operand& variance, float epsilon,
                                                      float momentum) {
  Tensors y = dispatch_all<BatchNormalization>({epsilon, momentum, true}, x, scale, bias, mean, variance);
  return {y[0], y[1], y[2]};
}
Tensor instance_normalization(const Operand& x, const Operand& scale, const Operand& bias, float epsilon) {
  return dispatch<InstanceNormalization>({epsilon}, x, scale, bias);
}
Tensor group_normalization(const Operand& x, const Operand& scale, const Operand& bias, int64_t groups,
                           float epsilon) {
  return dispatch<GroupNormalization>({.epsilon = epsilon, .num_groups = groups}, x, scale, bias);
}
Tensor local_response_normalization(const Operand& x, int64_t size, float alpha, float beta, float bias) {
  return dispatch<LRN>({alpha, beta, bias, size}, x);
}

}  // namespace tandem
