#pragma once
// Operations on images and other samples of space: resizing, sampling, rearranging. Tensors have shape
// (batch, channels, sizes...) unless more is said.

#include <cmath>
#include <string_view>
#include <vector>

#include "tandem/operand.h"

namespace tandem {

/// How resize() finds its elements; ONNX's names.
struct ResizeOptions {
  std::string_view mode = "nearest";  ///< or "linear", "cubic"
  /// Where an element of the result lies in x: "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",
  /// "align_corners", "asymmetric" or "tf_crop_and_resize".
  std::string_view coordinates = "half_pixel";
  std::string_view nearest = "round_prefer_floor";  ///< or "round_prefer_ceil", "floor", "ceil"
  bool antialias = false;        ///< widens the linear and cubic filters where the result is smaller
  bool exclude_outside = false;  ///< elements outside x weigh nothing
  float cubic_coefficient = -0.75f;
  /// With sizes: "not_larger" and "not_smaller" scale all axes alike, at most or at least to the sizes.
  std::string_view aspect_ratio = "stretch";
  Dims axes = {};                   ///< which axes sizes, scales and region are for; all where left out
  std::vector<double> region = {};  ///< "tf_crop_and_resize": starts, then ends, as fractions of x
  float extrapolation_value = 0;    ///< "tf_crop_and_resize": what lies outside x
};
/// x in other sizes, ONNX Resize. All dtypes. `td::resize(x, {1, 3, 64, 64}, {.mode = "linear"})`
/// Errors: as many sizes as axes are needed; unknown words.
Tensor resize(const Operand& x, const Operand& sizes, const ResizeOptions& options = {});
/// The same by factors: the sizes are those of x times `scales`, rounded down.
Tensor resize_by(const Operand& x, const std::vector<float>& scales, const ResizeOptions& options = {});
/// x with each axis `scales` times as long; `mode` is "nearest" or "linear". Positions are divided by the
/// scale, as Upsample did that ONNX once had.
Tensor upsample(const Operand& x, const std::vector<float>& scales, std::string_view mode = "nearest");

/// How grid_sample() reads between elements and beyond them.
struct GridOptions {
  std::string_view mode = "linear";    ///< or "nearest", "cubic"
  std::string_view padding = "zeros";  ///< or "border", "reflection"
  bool align_corners = false;  ///< -1 and 1 are the centres of the outermost elements, not their edges
};
/// x read at the positions of `grid`, of shape (batch, sizes..., dimensions), ONNX GridSample: coordinates
/// from -1 to 1, the last dimension's first. Any dtype of x. Errors: a grid that does not fit x.
Tensor grid_sample(const Operand& x, const Operand& grid, const GridOptions& options = {});
/// Positions for grid_sample: those of a regular grid of shape `size`, (batch, channels, sizes...), moved by
/// theta, (batch, 2, 3) or (batch, 3, 4), ONNX AffineGrid.
Tensor affine_grid(const Operand& theta, const Operand& size, bool align_corners = false);

/// Moves blocks of channels into space, ONNX DepthToSpace: (b, c, h, w) becomes (b, c / block^2, h * block, w
/// * block). `mode` says whether the block's position counts before the channel ("DCR") or after it ("CRD").
Tensor depth_to_space(const Operand& x, int64_t block, std::string_view mode = "DCR");
/// The way back from "DCR", ONNX SpaceToDepth. Errors: sizes that the block does not divide.
Tensor space_to_depth(const Operand& x, int64_t block);
/// x cut, or padded with zeros, around its middle to `shape`, along `axes` (all where left out), ONNX
/// CenterCropPad.
Tensor center_crop_pad(const Operand& x, const Operand& shape, const Dims& axes = {});

/// How im2col and col2im slide.
struct ColumnOptions {
  Dims strides = {}, pads = {}, dilations = {};  ///< as in ConvOptions
};
/// The windows of x as columns: (batch, channels * window's elements, windows).
Tensor im2col(const Operand& x, const Operand& block_shape, const ColumnOptions& options = {});
/// Columns added up where im2col takes them from, ONNX Col2Im. Numeric dtypes.
/// Errors: as many columns as windows are needed.
Tensor col2im(const Operand& columns, const Operand& image_shape, const Operand& block_shape,
              const ColumnOptions& options = {});

/// What non_max_suppression() keeps.
struct SuppressionOptions {
  int64_t most = INT64_MAX;   ///< boxes of each class
  double overlap = 0;         ///< boxes that share more than this part of their union with a better one go
  double score = -INFINITY;   ///< only boxes with a higher score count
  bool center_point = false;  ///< boxes are (x, y, width, height) of their middles, not corners (y, x, y, x)
};
/// The best boxes that do not overlap, ONNX NonMaxSuppression: boxes (batch, count, 4) and scores (batch,
/// classes, count) give rows of (batch, class, box), int64, best first in each class.
Tensor non_max_suppression(const Operand& boxes, const Operand& scores,
                           const SuppressionOptions& options = {});

}  // namespace tandem
