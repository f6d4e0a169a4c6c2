#include "runtime/matmul_kernels.h"

#if defined(__AVX512F__)

#include <immintrin.h>

namespace tandem::runtime {

namespace {

struct SimdF32 {
  using Element = float;
  using Vector = __m512;
  static constexpr int width = 16, rows = 8, vectors = 3;
  static __mmask16 mask(int lanes) { return static_cast<__mmask16>((1u << lanes) - 1); }
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector broadcast(float value) { return _mm512_set1_ps(value); }
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static Vector load_first(const float* from, int lanes) { return _mm512_maskz_loadu_ps(mask(lanes), from); }
  static void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static void store_first(float* to, Vector value, int lanes) { _mm512_mask_storeu_ps(to, mask(lanes), value); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
};

struct SimdF64 {
  using Element = double;
  using Vector = __m512d;
  static constexpr int width = 8, rows = 8, vectors = 3;
  static __mmask8 mask(int lanes) { return static_cast<__mmask8>((1u << lanes) - 1); }
  static Vector zero() { return _mm512_setzero_pd(); }
  static Vector broadcast(double value) { return _mm512_set1_pd(value); }
  static Vector load(const double* from) { return _mm512_loadu_pd(from); }
  static Vector load_first(const double* from, int lanes) { return _mm512_maskz_loadu_pd(mask(lanes), from); }
  static void store(double* to, Vector value) { _mm512_storeu_pd(to, value); }
  static void store_first(double* to, Vector value, int lanes) { _mm512_mask_storeu_pd(to, mask(lanes), value); }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_pd(a, b, c); }
};

}  // namespace

ProductKernels product_kernels_avx512() { return {Product<SimdF32>::run, Product<SimdF64>::run}; }

}  // namespace tandem::runtime

#else

namespace tandem::runtime {
ProductKernels product_kernels_avx512() { return product_kernels_baseline(); }
}  // namespace tandem::runtime

#endif
