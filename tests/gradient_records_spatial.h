#pragma once
// Convolutions, pooling and resizing in PyTorch's manner, for the gradient records.

#include <algorithm>
#include <cmath>

#include "tests/gradient_records.h"

namespace tandem::testing::spatial {

/// PyTorch takes entries without a batch too: gives x a batch, and takes it from the result.
struct Batched {
  explicit Batched(const Tensor& x, int spatial_rank) : alone(x.rank() == spatial_rank + 1) {
    value = alone ? unsqueeze(x, {0}) : x;
  }
  Tensor finish(const Tensor& y) const { return alone ? squeeze(y, {0}) : y; }
  bool alone;
  Tensor value;
};

/// An argument that is one number for all dimensions or one each.
inline Dims each(const Record& r, int position, const char* name, int rank, int64_t otherwise) {
  std::vector<int64_t> list = r.integers(position, name);
  if (list.empty()) list = {otherwise};
  if (list.size() == 1) list.assign(static_cast<size_t>(rank), list[0]);
  return Dims(list);
}
inline Dims twice(const Dims& pads) {
  Dims result = pads;
  for (int64_t p : pads) result.push_back(p);
  return result;
}

inline Tensor convolution(const Record& r, int rank) {
  const Batched x(r.input(), rank);
  const Tensor w = r.tensor(0, "weight"), bias = r.tensor(1, "bias");
  ConvOptions options{.strides = each(r, -1, "stride", rank, 1),
                      .dilations = each(r, -1, "dilation", rank, 1),
                      .group = r.integer(-1, "groups", 1)};
  const std::string word = r.text(-1, "padding", "");
  if (word == "same")
    options.auto_pad = "SAME_UPPER";
  else if (word.empty())
    options.pads = twice(each(r, -1, "padding", rank, 0));
  return x.finish(conv(x.value, w, bias, options));
}

inline Tensor transposed_convolution(const Record& r, int rank) {
  const Batched x(r.input(), rank);
  return x.finish(conv_transpose(x.value, r.tensor(0, "weight"), r.tensor(1, "bias"),
                                 {.strides = each(r, -1, "stride", rank, 1),
                                  .pads = twice(each(r, -1, "padding", rank, 0)),
                                  .dilations = each(r, -1, "dilation", rank, 1),
                                  .group = r.integer(-1, "groups", 1),
                                  .output_padding = each(r, -1, "output_padding", rank, 0)}));
}

inline Tensor average(const Record& r, int rank) {
  const Batched x(r.input(), rank);
  const Dims kernel = each(r, 0, "kernel_size", rank, 1);
  std::vector<int64_t> strides = r.integers(1, "stride");
  if (strides.size() == 1) strides.assign(static_cast<size_t>(rank), strides[0]);
  PoolOptions options{.strides = strides.empty() ? kernel : Dims(strides),
                      .pads = twice(each(r, 2, "padding", rank, 0)),
                      .ceil_mode = r.flag(3, "ceil_mode", false),
                      .count_include_pad = r.flag(4, "count_include_pad", true)};
  if (r.has(5, "divisor_override"))
    return x.finish(sum_pool(x.value, kernel, options) / r.number(5, "divisor_override", 1));
  return x.finish(average_pool(x.value, kernel, options));
}

inline TensorList largest(const Record& r, int rank) {
  const Batched x(r.input(), rank);
  const Dims kernel = each(r, -1, "kernel_size", rank, 1);
  const PoolOptions options{.strides = each(r, -1, "stride", rank, 1),
                            .pads = twice(each(r, -1, "padding", rank, 0)),
                            .dilations = each(r, -1, "dilation", rank, 1),
                            .ceil_mode = r.flag(-1, "ceil_mode", false)};
  if (!r.flag(-1, "return_indices", false)) return {x.finish(max_pool(x.value, kernel, options))};
  const MaxPoolResult found = max_pool_indices(x.value, kernel, options);
  int64_t plane = 1;  // PyTorch counts within each channel
  for (int i = 2; i < x.value.rank(); ++i) plane *= x.value.shape()[i];
  return {x.finish(found.values), x.finish(mod(found.indices, plane))};
}

// ---- Resizing is a linear map of each dimension by itself.

/// Rows: weights of an input's elements in one element of the output.
using Weights = std::vector<std::vector<double>>;

inline Tensor map_axis(const Tensor& x, int axis, const Weights& weights, int64_t size) {
  const auto out = static_cast<int64_t>(weights.size());
  std::vector<double> flat;
  for (const auto& row : weights) flat.insert(flat.end(), row.begin(), row.end());
  const Tensor matrix = from_vector(std::move(flat), {out, size});
  return moveaxis(matmul(moveaxis(x, axis, -1), transpose(matrix)), -1, axis);
}

inline Weights window_means(int64_t in, int64_t out) {
  Weights w(static_cast<size_t>(out), std::vector<double>(static_cast<size_t>(in), 0));
  for (int64_t i = 0; i < out; ++i) {
    const int64_t begin = i * in / out, end = ((i + 1) * in + out - 1) / out;
    for (int64_t k = begin; k < end; ++k)
      w[static_cast<size_t>(i)][static_cast<size_t>(k)] = 1.0 / static_cast<double>(end - begin);
  }
  return w;
}

/// The weight of a cubic's neighbour at this distance, as PyTorch's (a = -0.75).
inline double cubic(double d) {
  constexpr double a = -0.75;
  d = std::abs(d);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

/// `scale`: output over input where it was given, else it follows from the sizes.
inline Weights resizing(int64_t in, int64_t out, double scale, const std::string& mode, bool align_corners) {
  if (mode == "area") return window_means(in, out);
  Weights w(static_cast<size_t>(out), std::vector<double>(static_cast<size_t>(in), 0));
  const double step = align_corners
                          ? (out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0)
                          : (scale > 0 ? 1 / scale : static_cast<double>(in) / static_cast<double>(out));
  for (int64_t i = 0; i < out; ++i) {
    const auto add = [&](int64_t at, double weight) {
      w[static_cast<size_t>(i)][static_cast<size_t>(std::clamp<int64_t>(at, 0, in - 1))] += weight;
    };
    const auto position = static_cast<double>(i);
    if (mode == "nearest") {
      add(static_cast<int64_t>(position * step), 1);
      continue;
    }
    double at = align_corners ? position * step : (position + 0.5) * step - 0.5;
    if (mode == "bicubic") {
      const double base = std::floor(at);
      for (int k = -1; k <= 2; ++k) add(static_cast<int64_t>(base) + k, cubic(at - base - k));
    } else {
      at = std::max(at, 0.0);
      const double base = std::floor(at);
      add(static_cast<int64_t>(base), 1 - (at - base));
      add(static_cast<int64_t>(base) + 1, at - base);
    }
  }
  return w;
}

inline Tensor resized(const Record& r, const std::string& mode, const std::vector<int64_t>& sizes,
                      double scale, bool align_corners) {
  Tensor x = r.input();
  for (int axis = 2; axis < x.rank(); ++axis) {
    const int64_t in = x.shape()[axis];
    const int64_t out = sizes.empty() ? static_cast<int64_t>(std::floor(static_cast<double>(in) * scale))
                                      : sizes[static_cast<size_t>(axis - 2)];
    x = map_axis(x, axis, resizing(in, out, sizes.empty() ? scale : 0, mode, align_corners), in);
  }
  return x;
}

inline Tensor interpolate(const Record& r) {
  const Json* scale = r.find(1, "scale_factor");
  return resized(r, r.text(2, "mode", "nearest"), r.integers(0, "size"), scale ? scale->get<double>() : 0,
                 r.flag(3, "align_corners", false));
}

inline Tensor upsample_nearest(const Record& r) {
  return resized(r, "nearest", r.integers(-1, "size"), r.number(-1, "scale_factor", 0), false);
}

inline Tensor adaptive_average(const Record& r) {
  const Batched x(r.input(), 2);
  Tensor y = x.value;
  const Json& sizes = *r.find(0, "output_size");
  for (int axis = 2; axis < 4; ++axis) {
    const Json& size = sizes[static_cast<size_t>(axis - 2)];
    const int64_t in = y.shape()[axis];
    if (!size.is_null()) y = map_axis(y, axis, window_means(in, size.get<int64_t>()), in);
  }
  return x.finish(y);
}

/// The windows of each entry as columns: (batch, channels * window, places).
inline Tensor unfold(const Record& r) {
  const Dims kernel = each(r, 0, "kernel_size", 2, 1), dilation = each(r, 1, "dilation", 2, 1);
  const Dims padding = each(r, 2, "padding", 2, 0), stride = each(r, 3, "stride", 2, 1);
  const Tensor x = pad(r.input(), Dims({0, 0, padding[0], padding[1], 0, 0, padding[0], padding[1]}));
  int64_t places[2];
  for (int i = 0; i < 2; ++i)
    places[i] = (x.shape()[2 + i] - dilation[i] * (kernel[i] - 1) - 1) / stride[i] + 1;
  TensorList columns;
  for (int64_t i = 0; i < kernel[0]; ++i)
    for (int64_t j = 0; j < kernel[1]; ++j) {
      const int64_t top = i * dilation[0], left = j * dilation[1];
      const Tensor part = slice(
          x, {top, left}, {top + (places[0] - 1) * stride[0] + 1, left + (places[1] - 1) * stride[1] + 1},
          {2, 3}, {stride[0], stride[1]});
      columns.push_back(unsqueeze(part, {2}));
    }
  const Tensor all = concat(columns, 2);
  return reshape(all, {x.shape()[0], x.shape()[1] * kernel[0] * kernel[1], places[0] * places[1]});
}

}  // namespace tandem::testing::spatial
