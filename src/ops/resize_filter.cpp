#include "ops/resize_filter.h"

#include <algorithm>
#include <cmath>

namespace tandem {

namespace {

enum class Coordinates { half_pixel, symmetric, pytorch, align_corners, asymmetric, crop };

Coordinates coordinates(const ResizeAttributes& a) {
  const std::string_view mode = a.coordinate_transformation_mode;
  constexpr std::pair<std::string_view, Coordinates> names[] = {
      {"half_pixel", Coordinates::half_pixel},      {"half_pixel_symmetric", Coordinates::symmetric},
      {"pytorch_half_pixel", Coordinates::pytorch}, {"align_corners", Coordinates::align_corners},
      {"asymmetric", Coordinates::asymmetric},      {"tf_crop_and_resize", Coordinates::crop}};
  for (const auto& [name, value] : names)
    if (name == mode) return value;
  fail(
      "coordinate_transformation_mode \"{}\" is unknown; expected \"half_pixel\", \"half_pixel_symmetric\", "
      "\"pytorch_half_pixel\", \"align_corners\", \"asymmetric\" or \"tf_crop_and_resize\"",
      mode);
}

/// Where the output's element `i` lies in the input.
double position(Coordinates how, const ResizedAxis& axis, int64_t i) {
  const double x = static_cast<double>(i), input = static_cast<double>(axis.input);
  const double output = axis.scale * input;  // with its fraction
  switch (how) {
    case Coordinates::align_corners:
      return output == 1 ? 0 : x * (input - 1) / (output - 1);
    case Coordinates::asymmetric:
      return x / axis.scale;
    case Coordinates::crop: {
      const double room = (axis.end - axis.start) * (input - 1);
      return axis.start * (input - 1) + (output == 1 ? room / 2 : x * room / (output - 1));
    }
    case Coordinates::pytorch:
      return output == 1 ? -0.5 : (x + 0.5) / axis.scale - 0.5;
    case Coordinates::symmetric: {
      // The middles of input and output coincide, also where the output's size was rounded down.
      const double adjustment = static_cast<double>(axis.output) / output;
      return input / 2 * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5;
    }
    default:
      return (x + 0.5) / axis.scale - 0.5;
  }
}

int64_t nearest(const Word& mode, double x) {
  if (mode == "floor") return static_cast<int64_t>(std::floor(x));
  if (mode == "ceil") return static_cast<int64_t>(std::ceil(x));
  if (mode == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
  return static_cast<int64_t>(std::ceil(x - 0.5));
}

double triangle(double distance) { return std::max(0.0, 1 - std::abs(distance)); }

/// Keys's cubic convolution.
double cubic(double a, double distance) {
  const double x = std::abs(distance);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

}  // namespace

bool is_nearest(const ResizeAttributes& a) { return a.mode == "nearest"; }

void check_words(const ResizeAttributes& a) {
  TD_CHECK(a.mode == "nearest" || a.mode == "linear" || a.mode == "cubic",
           "mode \"{}\" is unknown; expected \"nearest\", \"linear\" or \"cubic\"", std::string_view(a.mode));
  coordinates(a);
  TD_CHECK(
      a.nearest_mode == "round_prefer_floor" || a.nearest_mode == "round_prefer_ceil" ||
          a.nearest_mode == "floor" || a.nearest_mode == "ceil",
      "nearest_mode \"{}\" is unknown; expected \"round_prefer_floor\", \"round_prefer_ceil\", \"floor\" "
      "or \"ceil\"",
      std::string_view(a.nearest_mode));
  TD_CHECK(a.keep_aspect_ratio_policy == "stretch" || a.keep_aspect_ratio_policy == "not_larger" ||
               a.keep_aspect_ratio_policy == "not_smaller",
           "keep_aspect_ratio_policy \"{}\" is unknown; expected \"stretch\", \"not_larger\" or "
           "\"not_smaller\"",
           std::string_view(a.keep_aspect_ratio_policy));
}

bool ResizeFilter::is_identity(const ResizedAxis& axis) const {
  if (axis.input != axis.output) return false;
  for (int64_t o = 0; o < axis.output; ++o)
    for (int64_t t = 0; t < taps; ++t) {
      const double w = weight(o)[t];
      if (index(o)[t] < 0 || (w != 0 && (w != 1 || index(o)[t] != o))) return false;
    }
  return true;
}

ResizeFilter resize_filter(const ResizeAttributes& a, const ResizedAxis& axis) {
  const Coordinates how = coordinates(a);
  const bool linear = a.mode == "linear", by_nearest = is_nearest(a);
  // How far a filter is stretched, and from which element left of the position on it reaches.
  const double stretch = a.antialias ? std::min(axis.scale, 1.0) : 1.0;
  const double radius = linear ? 1 : 2;
  const auto first = by_nearest ? 0 : static_cast<int64_t>(std::floor(-radius / stretch)) + 1;
  ResizeFilter filter;
  filter.taps = by_nearest ? 1 : 2 - 2 * first;
  filter.indices = detail::empty_tensor(DType::i64, {axis.output, filter.taps});
  filter.weights = detail::empty_tensor(DType::f64, {axis.output, filter.taps});
  for (int64_t o = 0; o < axis.output; ++o) {
    const double x = position(how, axis, o);
    int64_t* index = detail::mutable_data<int64_t>(filter.indices) + o * filter.taps;
    double* weight = detail::mutable_data<double>(filter.weights) + o * filter.taps;
    std::fill_n(weight, filter.taps, 1.0);
    if (how == Coordinates::crop && !(x >= 0 && x <= static_cast<double>(axis.input - 1))) {
      std::fill_n(index, filter.taps, int64_t{-1});
      continue;
    }
    const int64_t last = axis.input - 1;
    if (by_nearest) {
      index[0] = std::clamp<int64_t>(nearest(a.nearest_mode, x), 0, last);
      continue;
    }
    // The element left of x, which x itself is not: distances are in (0, 1].
    const auto left = static_cast<int64_t>(std::ceil(x)) - 1;
    const double ratio = x - static_cast<double>(left);
    double total = 0;
    for (int64_t t = 0; t < filter.taps; ++t) {
      const int64_t at = left + first + t;
      const double distance = stretch * (static_cast<double>(first + t) - ratio);
      weight[t] = linear ? triangle(distance) : cubic(a.cubic_coeff_a, distance);
      if (a.exclude_outside && (at < 0 || at > last)) weight[t] = 0;
      index[t] = std::clamp<int64_t>(at, 0, last);
      total += weight[t];
    }
    if (a.antialias || a.exclude_outside)
      for (int64_t t = 0; t < filter.taps; ++t) weight[t] /= total;
  }
  return filter;
}

}  // namespace tandem
