// Any machine. The C library's fma is exact where the machine has none, so the bits are the same.

#include <cmath>

#include "runtime/matmul_kernels.h"
#include "tandem/dtype.h"

namespace tandem::runtime {

namespace {

template <class T>
struct Simd {
  using Element = T;
  using Vector = T;
  static constexpr int width = 1, rows = 2, vectors = 4, narrow_rows = 2;
  static void prefetch(const void* from) { __builtin_prefetch(from, 0, 2); }
  static Vector zero() { return 0; }
  static Vector broadcast(T value) { return value; }
  static Vector load(const T* from) { return *from; }
  static Vector load_first(const T* from, int) { return *from; }
  static void store(T* to, Vector value) { *to = value; }
  static void store_first(T* to, Vector value, int) { *to = value; }
  static void transpose(Vector (&)[1]) {}
  static Vector fma(Vector a, Vector b, Vector c) { return std::fma(a, b, c); }
};

template <class Narrow>
void widen(int64_t count, const uint16_t* from, float* to) {
  for (int64_t i = 0; i < count; ++i) {
    Narrow value;
    value.bits = from[i];
    to[i] = static_cast<float>(value);
  }
}

template <class Narrow>
void narrow(int64_t count, const float* from, uint16_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = Narrow(from[i]).bits;
}

}  // namespace

ProductKernels product_kernels_baseline() {
  return {Product<Simd<float>>::run, Product<Simd<double>>::run, widen<Half>, widen<BFloat16>, narrow<Half>,
          narrow<BFloat16>};
}

}  // namespace tandem::runtime
