#pragma once
// Convolutions of float32 by oneDNN, whose library is opened when the first one is large enough for it.
//
// It always runs single-threaded, on slices that are cut here by shapes alone: bits depend on neither the
// threads nor who calls.

#include "runtime/convolution.h"

namespace tandem::runtime::onednn {

/// True when the library was found and can be used. Opens it.
bool is_available();

// As the functions of convolution.h. False, with nothing done, where the library is missing or has nothing
// better than a plain loop for these sizes.
bool convolve(const Convolution& c, const float* x, const float* w, const float* bias, float* y,
              ChannelOrder order);
bool convolve_transposed(const Convolution& c, const float* y, const float* w, float* x, ChannelOrder order);
bool correlate(const Convolution& c, const float* x, const float* y, float* w, ChannelOrder order);
bool computes(const Convolution& c, ConvolutionKind kind, bool bias);
ChannelOrder preferred_order(const Convolution& c, bool bias);

/// Memory allocations of ours are none in steady state; oneDNN makes a few a call. This many primitives are
/// kept by the calling thread.
int cached_primitives();

}  // namespace tandem::runtime::onednn
