#pragma once
// The native matrix-product kernels, written once over a vector type and compiled per instruction set.
//
// Every element of the product is one chain of fused multiply-adds over k, in order, beginning at zero.
// So its bits depend on nothing but its row of `a` and its column of `b`: not on vector width, blocking,
// strides, slices or threads.

#include <cstdint>

namespace tandem::runtime {

/// One operand: element strides of its rows and columns.
template <class T>
struct Operand {
  const T* data;
  int64_t row_stride, column_stride;
};

/// c[m,n] = a * b; rows of c are `ldc` apart. k may be 0.
template <class T>
using ProductKernel = void (*)(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c, int64_t ldc);

struct ProductKernels {
  ProductKernel<float> f32;
  ProductKernel<double> f64;
};

ProductKernels product_kernels_baseline();
ProductKernels product_kernels_avx2();
ProductKernels product_kernels_avx512();

/// One Simd per instruction set and element type; each of them lives in an unnamed namespace, so that
/// instances of these templates for different instruction sets can't be confused by the linker.
///
/// The blocking is Goto's: a panel of b (`depth` steps of k, a few vectors wide) stays near the core while
/// the rows of a block of `a` pass by, `max_rows` at a time, and the sums stand in registers.
template <class Simd>
struct Product {
  using T = typename Simd::Element;
  using Vector = typename Simd::Vector;
  static constexpr int width = Simd::width, max_rows = Simd::rows, max_vectors = Simd::vectors;
  static constexpr int64_t panel_width = max_vectors * width;
  static constexpr int64_t depth = 256;
  static constexpr int64_t block_rows = 512;  // with `depth`: a part of `a` that stays in the L2 cache
  static constexpr int64_t packing_rows = 64;  // fewer don't repay the copying of a readable panel

  /// A part of the product that is one panel wide.
  struct Part {
    int64_t m, k;
    Operand<T> a;
    const T* b;
    int64_t ldb;
    T* c;
    int64_t ldc;
    int lanes;  ///< columns in the last vector
    bool more;  ///< c holds the sums of earlier steps
  };

  /// The first `Rows` rows of a part, `Vectors` wide.
  template <int Rows, int Vectors, bool Partial>
  static void tile(const Part& part) {
    const auto load = [&](const T* from, int j) {
      return Partial && j == Vectors - 1 ? Simd::load_first(from + j * width, part.lanes)
                                         : Simd::load(from + j * width);
    };
    const T *a = part.a.data, *b = part.b;
    const int64_t a_row = part.a.row_stride, a_column = part.a.column_stride, ldb = part.ldb;
    Vector sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < Vectors; ++j) sum[i][j] = part.more ? load(part.c + i * part.ldc, j) : Simd::zero();
    for (int64_t p = 0; p < part.k; ++p) {
      Vector right[Vectors];
#pragma GCC unroll 16
      for (int j = 0; j < Vectors; ++j) right[j] = load(b, j);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vector left = Simd::broadcast(a[i * a_row]);
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Simd::fma(left, right[j], sum[i][j]);
      }
      a += a_column;
      b += ldb;
    }
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < Vectors; ++j) {
        T* to = part.c + i * part.ldc + j * width;
        if (Partial && j == Vectors - 1)
          Simd::store_first(to, sum[i][j], part.lanes);
        else
          Simd::store(to, sum[i][j]);
      }
  }

  template <int Vectors, bool Partial, int Rows = max_rows>
  static void rows(Part part) {
    for (; part.m >= Rows; part.m -= Rows) {
      tile<Rows, Vectors, Partial>(part);
      part.a.data += Rows * part.a.row_stride;
      part.c += Rows * part.ldc;
    }
    if constexpr (Rows > 1) {
      if (part.m > 0) rows<Vectors, Partial, Rows - 1>(part);
    }
  }

  template <int Vectors = max_vectors>
  static void panel(int64_t vectors, const Part& part) {
    if (vectors == Vectors) {
      if (part.lanes == width)
        rows<Vectors, false>(part);
      else
        rows<Vectors, true>(part);
    } else if constexpr (Vectors > 1) {
      panel<Vectors - 1>(vectors, part);
    }
  }

  /// Copies steps x columns elements of b into rows of whole vectors, `panel_width` apart.
  static void pack(int64_t steps, int64_t columns, const Operand<T>& b, T* to) {
    if (b.column_stride == 1) {
      for (int64_t p = 0; p < steps; ++p) {
        const T* from = b.data + p * b.row_stride;
        int64_t j = 0;
        for (; j + width <= columns; j += width) Simd::store(to + j, Simd::load(from + j));
        if (j < columns) Simd::store(to + j, Simd::load_first(from + j, static_cast<int>(columns - j)));
        to += panel_width;
      }
    } else if (b.row_stride == 1) {
      for (int64_t j = 0; j < columns; j += width)
        for (int64_t p = 0; p < steps; p += width) {
          const int64_t valid_columns = columns - j < width ? columns - j : width;
          const int64_t valid_steps = steps - p < width ? steps - p : width;
          Vector square[width];
          for (int64_t i = 0; i < width; ++i) {
            const T* from = b.data + p + (j + i) * b.column_stride;
            square[i] = i >= valid_columns      ? Simd::zero()
                        : valid_steps == width ? Simd::load(from)
                                               : Simd::load_first(from, static_cast<int>(valid_steps));
          }
          Simd::transpose(square);
          for (int64_t i = 0; i < valid_steps; ++i) Simd::store(to + (p + i) * panel_width + j, square[i]);
        }
    } else {
      for (int64_t p = 0; p < steps; ++p)
        for (int64_t j = 0; j < columns; ++j)
          to[p * panel_width + j] = b.data[p * b.row_stride + j * b.column_stride];
    }
  }

  /// One row times a matrix with contiguous rows: c is run over once per `Steps` rows of b, so that
  /// memory is read in long streams.
  template <int Steps>
  static void add_rows(int64_t n, const Operand<T>& a, const T* b, int64_t ldb, T* c, bool more) {
    Vector left[Steps];
#pragma GCC unroll 16
    for (int p = 0; p < Steps; ++p) left[p] = Simd::broadcast(a.data[p * a.column_stride]);
    int64_t j = 0;
    for (; j + width <= n; j += width) {
      Vector sum = more ? Simd::load(c + j) : Simd::zero();
#pragma GCC unroll 16
      for (int p = 0; p < Steps; ++p) sum = Simd::fma(left[p], Simd::load(b + p * ldb + j), sum);
      Simd::store(c + j, sum);
    }
    if (j < n) {
      const int lanes = static_cast<int>(n - j);
      Vector sum = more ? Simd::load_first(c + j, lanes) : Simd::zero();
#pragma GCC unroll 16
      for (int p = 0; p < Steps; ++p) sum = Simd::fma(left[p], Simd::load_first(b + p * ldb + j, lanes), sum);
      Simd::store_first(c + j, sum, lanes);
    }
  }

  static void row_product(int64_t n, int64_t k, Operand<T> a, const T* b, int64_t ldb, T* c) {
    constexpr int steps = 8;
    constexpr int64_t columns = 16 * 1024 / sizeof(T);  // c stays in the L1 cache
    for (int64_t j = 0; j < n; j += columns) {
      const int64_t count = n - j < columns ? n - j : columns;
      Operand<T> left = a;
      const T* right = b + j;
      int64_t p = 0;
      for (; p + steps <= k; p += steps, left.data += steps * a.column_stride, right += steps * ldb)
        add_rows<steps>(count, left, right, ldb, c + j, p > 0);
      for (; p < k; ++p, left.data += a.column_stride, right += ldb) add_rows<1>(count, left, right, ldb, c + j, p > 0);
    }
  }

  static void run(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c, int64_t ldc) {
    if (n == 1 && ldc == 1) {  // a column is a row of the transposed product
      const Operand<T> transposed_a = {b.data, b.column_stride, b.row_stride};
      b = {a.data, a.column_stride, a.row_stride};
      a = transposed_a;
      n = m;
      m = 1;
      ldc = n;
    }
    if (m == 1 && b.column_stride == 1 && n > panel_width) return row_product(n, k, a, b.data, b.row_stride, c);
    const bool packing = b.column_stride != 1 || m >= packing_rows;
    const int64_t vectors = (n + width - 1) / width, panels = (vectors + max_vectors - 1) / max_vectors;
    int64_t p = 0;
    do {
      const int64_t steps = k - p < depth ? k - p : depth;
      for (int64_t i = 0; i < m; i += block_rows) {
        const int64_t count = m - i < block_rows ? m - i : block_rows;
        for (int64_t q = 0; q < panels; ++q) {
          const int64_t first = vectors * q / panels, last = vectors * (q + 1) / panels, j = first * width;
          const int64_t columns = (last * width < n ? last * width : n) - j;
          const Operand<T> left = {a.data + i * a.row_stride + p * a.column_stride, a.row_stride, a.column_stride};
          const Operand<T> right = {b.data + p * b.row_stride + j * b.column_stride, b.row_stride, b.column_stride};
          Part part = {count,        steps, left,
                       right.data,   b.row_stride, c + i * ldc + j,
                       ldc,          static_cast<int>(columns - (last - first - 1) * width), p > 0};
          if (packing) {
            alignas(64) T packed[depth * panel_width];
            pack(steps, columns, right, packed);
            part.b = packed;
            part.ldb = panel_width;
            panel(last - first, part);
          } else {
            panel(last - first, part);
          }
        }
      }
      p += depth;
    } while (p < k);
  }
};

}  // namespace tandem::runtime
