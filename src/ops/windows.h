#pragma once
// Windows that slide over the spatial dimensions: what convolutions and pools share.

#include "ops/dispatch.h"
#include "runtime/windows.h"

namespace tandem {

/// The attributes that ONNX gives both.
struct WindowAttributes {
  Word auto_pad = "NOTSET";
  Dims dilations, kernel_shape, pads, strides;
};

/// Where the output's sizes come from when windows do not divide the input evenly.
enum class Rounding { down, up };

/// How windows of size `kernel` slide over `x`, a shape whose first two dimensions are batch and channels.
/// Unknown sizes stay negative: those of the output then are too. Throws users' mistakes, among them windows
/// that do not fit.
runtime::Windows windows_over(const WindowAttributes& a, const Shape& x, std::span<const int64_t> kernel,
                              Rounding rounding = Rounding::down);
/// The same for transposed convolutions: `x` is what windows would give, the result's `input` what they would
/// slide over.
runtime::Windows windows_under(const WindowAttributes& a, const Dims& output_padding,
                               const Dims& output_shape, const Shape& x, std::span<const int64_t> kernel);
/// As windows_over, with the output's sizes given: those of `y` are checked by nobody.
runtime::Windows windows_between(const WindowAttributes& a, const Shape& x, const Shape& y,
                                 std::span<const int64_t> kernel);

/// Throws unless `x` has a batch, channels, and one to three spatial dimensions.
void check_spatial(std::string_view name, const Shape& x);
/// Spatial dimensions of a tensor argument; 0 for other arguments.
int spatial_rank(const Operand& x);
/// The sizes `given`, or one for all `spatial` dimensions spread out; empty stays empty.
Dims spread(const Dims& given, int spatial);
/// Paddings `given`: all of them, one number for all sides, or one a dimension for both of its sides.
Dims spread_pads(const Dims& given, int spatial);
/// Attributes with the numbers of options spread over the dimensions of x.
WindowAttributes window_attributes(std::string_view auto_pad, const Dims& dilations, const Dims& kernel_shape,
                                   const Dims& pads, const Dims& strides, int spatial);
/// The shape that a parameter asks for, for bodies of standard ops: unknown entries are symbols.
Shape asked_shape(const Tensor& shape);
/// Throws unless every spatial size is known, which bodies of standard ops need.
void check_known(const runtime::Windows& w);
/// Axes 2 and up of a tensor of this rank.
Dims spatial_axes(int rank);

}  // namespace tandem
