#include "runtime/matmul_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

namespace tandem::runtime {

namespace {

struct SimdF32 {
  using Element = float;
  using Vector = __m256;
  static constexpr int width = 8, rows = 4, vectors = 3;
  static __m256i mask(int lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector broadcast(float value) { return _mm256_set1_ps(value); }
  static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  static Vector load_first(const float* from, int lanes) { return _mm256_maskload_ps(from, mask(lanes)); }
  static void store(float* to, Vector value) { _mm256_storeu_ps(to, value); }
  static void store_first(float* to, Vector value, int lanes) {
    alignas(32) float all[width];  // a masked store is very slow on some processors
    _mm256_store_ps(all, value);
    for (int i = 0; i < lanes; ++i) to[i] = all[i];
  }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
  static void transpose(Vector (&r)[8]) {
    Vector pairs[8], fours[8];  // fours[4 * g + c], lane l: rows 4 * g and on of column 4 * l + c
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const __m256d low = _mm256_castps_pd(pairs[i / 4 * 4 + i % 4 / 2]);
      const __m256d high = _mm256_castps_pd(pairs[i / 4 * 4 + i % 4 / 2 + 2]);
      fours[i] = _mm256_castpd_ps(i % 2 == 0 ? _mm256_unpacklo_pd(low, high) : _mm256_unpackhi_pd(low, high));
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; ++i) {
      r[i] = _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x20);
      r[4 + i] = _mm256_permute2f128_ps(fours[i], fours[4 + i], 0x31);
    }
  }
};

struct SimdF64 {
  using Element = double;
  using Vector = __m256d;
  static constexpr int width = 4, rows = 4, vectors = 3;
  static __m256i mask(int lanes) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static Vector zero() { return _mm256_setzero_pd(); }
  static Vector broadcast(double value) { return _mm256_set1_pd(value); }
  static Vector load(const double* from) { return _mm256_loadu_pd(from); }
  static Vector load_first(const double* from, int lanes) { return _mm256_maskload_pd(from, mask(lanes)); }
  static void store(double* to, Vector value) { _mm256_storeu_pd(to, value); }
  static void store_first(double* to, Vector value, int lanes) {
    alignas(32) double all[width];
    _mm256_store_pd(all, value);
    for (int i = 0; i < lanes; ++i) to[i] = all[i];
  }
  static Vector fma(Vector a, Vector b, Vector c) { return _mm256_fmadd_pd(a, b, c); }
  static void transpose(Vector (&r)[4]) {
    const Vector even_low = _mm256_unpacklo_pd(r[0], r[1]), odd_low = _mm256_unpackhi_pd(r[0], r[1]);
    const Vector even_high = _mm256_unpacklo_pd(r[2], r[3]), odd_high = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(even_low, even_high, 0x20);
    r[1] = _mm256_permute2f128_pd(odd_low, odd_high, 0x20);
    r[2] = _mm256_permute2f128_pd(even_low, even_high, 0x31);
    r[3] = _mm256_permute2f128_pd(odd_low, odd_high, 0x31);
  }
};

}  // namespace

ProductKernels product_kernels_avx2() { return {Product<SimdF32>::run, Product<SimdF64>::run}; }

}  // namespace tandem::runtime

#else

namespace tandem::runtime {
ProductKernels product_kernels_avx2() { return product_kernels_baseline(); }
}  // namespace tandem::runtime

#endif
