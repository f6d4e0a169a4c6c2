#pragma once
// Mathematical functions as expressions in the kernel IR, so that every target gets the same bits.

#include "kernel/program.h"

namespace tandem::kernel {

// Floating types only (f32, f64). Accuracy is tested against MPFR; the bound stands beside each in math.cpp.
Value exp(Value x);
Value expm1(Value x);
Value log(Value x);
Value log1p(Value x);
Value sin(Value x);
Value cos(Value x);
Value tan(Value x);
Value asin(Value x);
Value acos(Value x);
Value atan(Value x);
Value sinh(Value x);
Value cosh(Value x);
Value tanh(Value x);
Value asinh(Value x);
Value acosh(Value x);
Value atanh(Value x);
Value erf(Value x);
Value sigmoid(Value x);
Value softplus(Value x);
/// IEEE pow with C's special cases; integer exponents 0, 1, 2 and -1 give exactly 1, x, x*x and 1/x.
/// Integers: repeated multiplication, wrapping.
Value pow(Value x, Value y);
Value reciprocal(Value x);
Value sign(Value x);

/// 32 random bits per element: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
/// 1, 2, 3") with 64-bit key, counter block = base + index/4, lane = index%4. Returns u32.
Value philox(Value key_u64, Value base_u64, Value index_u64);

}  // namespace tandem::kernel
