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
};

}  // namespace

ProductKernels product_kernels_avx2() { return {Product<SimdF32>::run, Product<SimdF64>::run}; }

}  // namespace tandem::runtime

#else

namespace tandem::runtime {
ProductKernels product_kernels_avx2() { return product_kernels_baseline(); }
}  // namespace tandem::runtime

#endif
