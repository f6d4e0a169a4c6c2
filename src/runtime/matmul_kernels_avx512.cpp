#include "runtime/matmul_kernels.h"

#if defined(__AVX512F__)

#include <immintrin.h>

namespace tandem::runtime {

namespace {

struct SimdF32 {
  using Element = float;
  using Vector = __m512;
  static constexpr int width = 16, rows = 8, vectors = 3, narrow_rows = 16;
  static __mmask16 mask(int lanes) { return static_cast<__mmask16>((1u << lanes) - 1); }
  static void prefetch(const void* from) { __builtin_prefetch(from, 0, 2); }
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector broadcast(float value) { return _mm512_set1_ps(value); }
  static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  static Vector load_first(const float* from, int lanes) { return _mm512_maskz_loadu_ps(mask(lanes), from); }
  static void store(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static void store_first(float* to, Vector value, int lanes) {
    _mm512_mask_storeu_ps(to, mask(lanes), value);
  }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
  static void transpose(Vector (&r)[16]) {
    Vector pairs[16], fours[16];  // fours[4 * g + c], lane l: rows 4 * g and on of column 4 * l + c
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) {
      const __m512d low = _mm512_castps_pd(pairs[i / 4 * 4 + i % 4 / 2]);
      const __m512d high = _mm512_castps_pd(pairs[i / 4 * 4 + i % 4 / 2 + 2]);
      fours[i] = _mm512_castpd_ps(i % 2 == 0 ? _mm512_unpacklo_pd(low, high) : _mm512_unpackhi_pd(low, high));
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; ++i) {
      const Vector even_low = _mm512_shuffle_f32x4(fours[i], fours[4 + i], 0x88);
      const Vector odd_low = _mm512_shuffle_f32x4(fours[i], fours[4 + i], 0xdd);
      const Vector even_high = _mm512_shuffle_f32x4(fours[8 + i], fours[12 + i], 0x88);
      const Vector odd_high = _mm512_shuffle_f32x4(fours[8 + i], fours[12 + i], 0xdd);
      r[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
      r[4 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
      r[8 + i] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
      r[12 + i] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
  }
};

struct SimdF64 {
  using Element = double;
  using Vector = __m512d;
  static constexpr int width = 8, rows = 8, vectors = 3, narrow_rows = 16;
  static __mmask8 mask(int lanes) { return static_cast<__mmask8>((1u << lanes) - 1); }
  static void prefetch(const void* from) { __builtin_prefetch(from, 0, 2); }
  static Vector zero() { return _mm512_setzero_pd(); }
  static Vector broadcast(double value) { return _mm512_set1_pd(value); }
  static Vector load(const double* from) { return _mm512_loadu_pd(from); }
  static Vector load_first(const double* from, int lanes) { return _mm512_maskz_loadu_pd(mask(lanes), from); }
  static void store(double* to, Vector value) { _mm512_storeu_pd(to, value); }
  static void store_first(double* to, Vector value, int lanes) {
    _mm512_mask_storeu_pd(to, mask(lanes), value);
  }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm512_fmadd_pd(a, b, c); }
  static void transpose(Vector (&r)[8]) {
    Vector pairs[8];  // pairs[2 * g + c], lane l: rows 2 * g and 2 * g + 1 of column 2 * l + c
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 2; ++i) {
      const Vector even_low = _mm512_shuffle_f64x2(pairs[i], pairs[2 + i], 0x88);
      const Vector odd_low = _mm512_shuffle_f64x2(pairs[i], pairs[2 + i], 0xdd);
      const Vector even_high = _mm512_shuffle_f64x2(pairs[4 + i], pairs[6 + i], 0x88);
      const Vector odd_high = _mm512_shuffle_f64x2(pairs[4 + i], pairs[6 + i], 0xdd);
      r[i] = _mm512_shuffle_f64x2(even_low, even_high, 0x88);
      r[2 + i] = _mm512_shuffle_f64x2(odd_low, odd_high, 0x88);
      r[4 + i] = _mm512_shuffle_f64x2(even_low, even_high, 0xdd);
      r[6 + i] = _mm512_shuffle_f64x2(odd_low, odd_high, 0xdd);
    }
  }
};

}  // namespace

ProductKernels product_kernels_avx512() {
  ProductKernels kernels = product_kernels_avx2();  // its conversions are as fast as memory
  kernels.f32 = Product<SimdF32>::run;
  kernels.f64 = Product<SimdF64>::run;
  return kernels;
}

}  // namespace tandem::runtime

#else

namespace tandem::runtime {
ProductKernels product_kernels_avx512() { return product_kernels_baseline(); }
}  // namespace tandem::runtime

#endif
