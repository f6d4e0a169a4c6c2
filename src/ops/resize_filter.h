#pragma once
// Which elements of an axis each element of the resized axis is made of, and what they weigh.

#include "ops/op_def.h"

namespace tandem {

/// ONNX's attributes of Resize.
struct ResizeAttributes {
  bool antialias = false;
  Dims axes;
  Word coordinate_transformation_mode = "half_pixel";
  float cubic_coeff_a = -0.75f;
  bool exclude_outside = false;
  float extrapolation_value = 0;
  Word keep_aspect_ratio_policy = "stretch";
  Word mode = "nearest";
  Word nearest_mode = "round_prefer_floor";
  static constexpr auto fields() {
    return std::tuple{
        field("antialias", &ResizeAttributes::antialias),
        field("axes", &ResizeAttributes::axes),
        field("coordinate_transformation_mode", &ResizeAttributes::coordinate_transformation_mode),
        field("cubic_coeff_a", &ResizeAttributes::cubic_coeff_a),
        field("exclude_outside", &ResizeAttributes::exclude_outside),
        field("extrapolation_value", &ResizeAttributes::extrapolation_value),
        field("keep_aspect_ratio_policy", &ResizeAttributes::keep_aspect_ratio_policy),
        field("mode", &ResizeAttributes::mode),
        field("nearest_mode", &ResizeAttributes::nearest_mode)};
  }
};

/// Throws unless all words are known and go together.
void check_words(const ResizeAttributes& a);
bool is_nearest(const ResizeAttributes& a);

/// One axis to be resized.
struct ResizedAxis {
  int64_t input = 0, output = 0;
  double scale = 1;
  double start = 0, end = 1;  ///< the region of interest, as fractions of the input
};

/// For every element of the output `taps` indices of the input with their weights. An index of -1 marks an
/// element outside the region's input: it is extrapolated.
struct ResizeFilter {
  int64_t taps = 1;
  Tensor indices, weights;  ///< int64 and float64: memory that is used again
  const int64_t* index(int64_t o) const { return detail::mutable_data<int64_t>(indices) + o * taps; }
  const double* weight(int64_t o) const { return detail::mutable_data<double>(weights) + o * taps; }
  /// Each element is the input's own.
  bool is_identity(const ResizedAxis& axis) const;
};
ResizeFilter resize_filter(const ResizeAttributes& a, const ResizedAxis& axis);

}  // namespace tandem
