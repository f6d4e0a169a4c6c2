#pragma once
// The native matrix-product kernels, written once over a vector type and compiled per instruction set.
//
// Every element of the product is one chain of fused multiply-adds over k, in order, beginning at zero.
// So its bits depend on nothing but its row of `a` and its column of `b`: not on vector width, blocking,
// strides, slices or threads.

#include <cstdint>

namespace tandem::runtime {

/// c[m,n] = a * b. `a` may have any strides; rows of `b` and `c` are contiguous, `ldb` and `ldc` apart.
/// k may be 0.
template <class T>
using ProductKernel = void (*)(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_column,
                               const T* b, int64_t ldb, T* c, int64_t ldc);

struct ProductKernels {
  ProductKernel<float> f32;
  ProductKernel<double> f64;
};

ProductKernels product_kernels_baseline();
ProductKernels product_kernels_avx2();
ProductKernels product_kernels_avx512();

/// One Simd per instruction set and element type; each of them lives in an unnamed namespace, so that
/// instances of these templates for different instruction sets can't be confused by the linker.
template <class Simd>
struct Product {
  using T = typename Simd::Element;
  using Vector = typename Simd::Vector;
  static constexpr int width = Simd::width, max_rows = Simd::rows, max_vectors = Simd::vectors;

  /// Rows x Vectors accumulators. `lanes` counts the columns of the last vector when Partial.
  template <int Rows, int Vectors, bool Partial>
  static void tile(int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, int64_t ldb, T* c,
                   int64_t ldc, int lanes, bool more) {
    Vector sum[Rows][Vectors];
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Vectors; ++j) {
        if (!more)
          sum[i][j] = Simd::zero();
        else if (Partial && j == Vectors - 1)
          sum[i][j] = Simd::load_first(c + i * ldc + j * width, lanes);
        else
          sum[i][j] = Simd::load(c + i * ldc + j * width);
      }
    for (int64_t p = 0; p < k; ++p) {
      Vector right[Vectors];
      for (int j = 0; j < Vectors; ++j)
        right[j] = Partial && j == Vectors - 1 ? Simd::load_first(b + j * width, lanes) : Simd::load(b + j * width);
      for (int i = 0; i < Rows; ++i) {
        const Vector left = Simd::broadcast(a[i * a_row]);
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Simd::fma(left, right[j], sum[i][j]);
      }
      a += a_column;
      b += ldb;
    }
    for (int i = 0; i < Rows; ++i)
      for (int j = 0; j < Vectors; ++j) {
        if (Partial && j == Vectors - 1)
          Simd::store_first(c + i * ldc + j * width, sum[i][j], lanes);
        else
          Simd::store(c + i * ldc + j * width, sum[i][j]);
      }
  }

  using Tile = void (*)(int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*, int64_t, int, bool);

  template <int Vectors, bool Partial, int Rows = max_rows>
  static void rows(int64_t m, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b, int64_t ldb,
                   T* c, int64_t ldc, int lanes, bool more) {
    for (; m >= Rows; m -= Rows) {
      tile<Rows, Vectors, Partial>(k, a, a_row, a_column, b, ldb, c, ldc, lanes, more);
      a += Rows * a_row;
      c += Rows * ldc;
    }
    if constexpr (Rows > 1) {
      if (m > 0) rows<Vectors, Partial, Rows - 1>(m, k, a, a_row, a_column, b, ldb, c, ldc, lanes, more);
    }
  }

  template <int Vectors = max_vectors>
  static void panel(int64_t vectors, int64_t m, int64_t k, const T* a, int64_t a_row, int64_t a_column,
                    const T* b, int64_t ldb, T* c, int64_t ldc, int lanes, bool more) {
    if (vectors == Vectors) {
      if (lanes == width)
        rows<Vectors, false>(m, k, a, a_row, a_column, b, ldb, c, ldc, lanes, more);
      else
        rows<Vectors, true>(m, k, a, a_row, a_column, b, ldb, c, ldc, lanes, more);
    } else if constexpr (Vectors > 1) {
      panel<Vectors - 1>(vectors, m, k, a, a_row, a_column, b, ldb, c, ldc, lanes, more);
    }
  }

  static void run(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_column, const T* b,
                  int64_t ldb, T* c, int64_t ldc) {
    constexpr int64_t panel_width = max_vectors * width;
    constexpr int64_t depth = 32 * 1024 / (panel_width * sizeof(T));  // a panel of b stays in the L1 cache
    int64_t p = 0;
    do {
      const int64_t steps = k - p < depth ? k - p : depth;
      for (int64_t j = 0; j < n; j += panel_width) {
        const int64_t columns = n - j < panel_width ? n - j : panel_width;
        const int64_t vectors = (columns + width - 1) / width;
        const int lanes = static_cast<int>(columns - (vectors - 1) * width);
        panel(vectors, m, steps, a + p * a_column, a_row, a_column, b + p * ldb + j, ldb, c + j, ldc, lanes, p > 0);
      }
      p += depth;
    } while (p < k);
  }
};

}  // namespace tandem::runtime
