// Mathematical functions, as calls to the C library for now.

#include "kernel/math.h"

#include <cmath>

#include "core/check.h"
#include "kernel/ir.h"

namespace tandem::kernel {

#define LIBRARY(name)                                                                      \
  Value name(Value x) {                                                                    \
    TD_ASSERT(x.type == DType::f32 || x.type == DType::f64);                               \
    return x.type == DType::f32 ? call(static_cast<float (*)(float)>(::name##f), x, #name) \
                                : call(static_cast<double (*)(double)>(::name), x, #name); \
  }
LIBRARY(exp)
LIBRARY(expm1) LIBRARY(log) LIBRARY(log1p) LIBRARY(sin) LIBRARY(cos) LIBRARY(tan) LIBRARY(asin) LIBRARY(acos)
    LIBRARY(atan) LIBRARY(sinh) LIBRARY(cosh) LIBRARY(tanh) LIBRARY(asinh) LIBRARY(acosh) LIBRARY(atanh)
        LIBRARY(erf)
#undef LIBRARY

            Value sigmoid(Value x) {
  return 1.0 / (1.0 + exp(-x));
}
Value softplus(Value x) { return maximum(x, constant_like(x, 0)) + log1p(exp(-abs(x))); }

Value pow(Value x, Value y) {
  TD_ASSERT(x.type == y.type && x.type != DType::boolean);
  if (is_integer(x.type)) return apply(Op::power, x, y);
  Value r = x.type == DType::f32 ? call(static_cast<float (*)(float, float)>(::powf), x, y, "pow")
                                 : call(static_cast<double (*)(double, double)>(::pow), x, y, "pow");
  r = select(equal(y, constant_like(y, 2)), x * x, r);
  r = select(equal(y, constant_like(y, 1)), x, r);
  return select(equal(y, constant_like(y, -1)), reciprocal(x), r);
}
Value reciprocal(Value x) { return 1.0 / x; }
Value sign(Value x) {
  const Value zero = constant_like(x, 0), one = constant_like(x, 1);
  if (is_floating(x.type)) return select(bit_or(equal(x, zero), is_nan(x)), x, copysign(one, x));
  const Value positive = select(greater(x, zero), one, zero);
  return is_signed(x.type) ? select(less(x, zero), constant_like(x, -1), positive) : positive;
}

Value philox(Value key, Value base, Value index) {
  TD_ASSERT(key.type == DType::u64 && base.type == DType::u64 && index.type == DType::u64);
  return apply(Op::philox, DType::u32, index, key, base);
}

}  // namespace tandem::kernel
