#include "runtime/matmul_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

namespace tandem::runtime {

namespace {

struct SimdF32 {
  using Element = float;
  using Vector = __m256;
  static constexpr int width = 8, rows = 4, vectors = 3, narrow_rows = 8;
  static __m256i mask(int lanes) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static void prefetch(const void* from) { __builtin_prefetch(from, 0, 2); }
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
  static constexpr int width = 4, rows = 4, vectors = 3, narrow_rows = 8;
  static __m256i mask(int lanes) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(lanes), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static void prefetch(const void* from) { __builtin_prefetch(from, 0, 2); }
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

__m256 widen_f16(__m128i bits) { return _mm256_cvtph_ps(bits); }
__m256 widen_bf16(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
__m128i narrow_f16(__m256 values) { return _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT); }
__m128i narrow_bf16(__m256 values) {
  const __m256i bits = _mm256_castps_si256(values), top = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const __m256i quiet_nan = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(values, values, _CMP_UNORD_Q));
  const __m256i result = _mm256_blendv_epi8(rounded, quiet_nan, is_nan);
  return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
}

template <__m256 (*convert)(__m128i)>
void widen(int64_t count, const uint16_t* from, float* to) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_ps(to + i, convert(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i))));
  if (i == count) return;
  alignas(16) uint16_t rest[8] = {};
  for (int64_t j = i; j < count; ++j) rest[j - i] = from[j];
  SimdF32::store_first(to + i, convert(_mm_load_si128(reinterpret_cast<const __m128i*>(rest))),
                       static_cast<int>(count - i));
}

template <__m128i (*convert)(__m256)>
void narrow(int64_t count, const float* from, uint16_t* to) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), convert(_mm256_loadu_ps(from + i)));
  if (i == count) return;
  alignas(16) uint16_t rest[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(rest),
                  convert(SimdF32::load_first(from + i, static_cast<int>(count - i))));
  for (int64_t j = i; j < count; ++j) to[j] = rest[j - i];
}

}  // namespace

ProductKernels product_kernels_avx2() {
  return {Product<SimdF32>::run, Product<SimdF64>::run, widen<widen_f16>,
          widen<widen_bf16>,     narrow<narrow_f16>,    narrow<narrow_bf16>};
}

}  // namespace tandem::runtime

#else

namespace tandem::runtime {
ProductKernels product_kernels_avx2() { return product_kernels_baseline(); }
}  // namespace tandem::runtime

#endif
