#pragma once
// Convolutions and their two transposes.

#include "runtime/windows.h"
#include "tandem/dtype.h"

namespace tandem::runtime {

/// x[batch, groups * in_channels, input...], w[groups * out_channels, in_channels, kernel...] and
/// y[batch, groups * out_channels, output...], all contiguous. Channels are counted by group.
struct Convolution {
  DType dtype = DType::f32;  ///< floating; f16 and bf16 are computed in f32 and rounded once
  int64_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;
  Windows windows;

  bool operator==(const Convolution&) const = default;
};

/// Where in memory channels stand: after the batch, or last. Shapes are the same: only strides differ.
struct ChannelOrder {
  bool x_last = false, y_last = false;
  bool w_last = false;  ///< w as (kernel..., in_channels, out_channels); one group only

  bool operator==(const ChannelOrder&) const = default;
};

// The bits of each result depend on neither the threads nor what else is in the batch's slices: every
// element is one chain of fused multiply-adds, or a fixed tree of such.

/// y from x and w; `bias`, one number an output channel, may be null.
void convolve(const Convolution& c, const void* x, const void* w, const void* bias, void* y,
              ChannelOrder order = {});
/// x from y and w: what convolve's derivative with respect to x does, and what transposed convolutions do;
/// `bias`, one number an input channel, may be null.
void convolve_transposed(const Convolution& c, const void* y, const void* w, const void* bias, void* x,
                         ChannelOrder order = {});
/// w from x and y: what convolve's derivative with respect to w does.
void correlate(const Convolution& c, const void* x, const void* y, void* w, ChannelOrder order = {});

enum class ConvolutionKind { forward, input_gradient, weight_gradient };  // the three functions above

/// Whether operands are put into an order of their own anyway: then it does not matter in which they come.
bool takes_any_order(const Convolution& c, ConvolutionKind kind, bool bias = false);
/// Whether convolve is a product that takes x and y in any order, at the same cost.
bool takes_points_in_any_order(const Convolution& c);
/// What convolve computes with: an x or y in another order is moved there, or back. (Of w it says nothing.)
ChannelOrder preferred_order(const Convolution& c, bool bias);

/// (batch, channels, inner...) from channels last to channels first, or back. Bits stay.
void move_channels(DType dtype, int64_t batch, int64_t channels, int64_t inner, bool to_last,
                   const void* from, void* to);

}  // namespace tandem::runtime
