// Any machine. The C library's fma is exact where the machine has none, so the bits are the same.

#include <cmath>

#include "runtime/matmul_kernels.h"

namespace tandem::runtime {

namespace {

template <class T>
struct Simd {
  using Element = T;
  using Vector = T;
  static constexpr int width = 1, rows = 2, vectors = 4;
  static Vector zero() { return 0; }
  static Vector broadcast(T value) { return value; }
  static Vector load(const T* from) { return *from; }
  static Vector load_first(const T* from, int) { return *from; }
  static void store(T* to, Vector value) { *to = value; }
  static void store_first(T* to, Vector value, int) { *to = value; }
  static void transpose(Vector (&)[1]) {}
  static Vector fma(Vector a, Vector b, Vector c) { return std::fma(a, b, c); }
};

}  // namespace

ProductKernels product_kernels_baseline() { return {Product<Simd<float>>::run, Product<Simd<double>>::run}; }

}  // namespace tandem::runtime
