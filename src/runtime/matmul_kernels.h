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
using ProductKernel = void (*)(int64_t m, int64_t n, int64_t k, Operand<T> a, Operand<T> b, T* c,
                               int64_t ldc);

struct ProductKernels {
  ProductKernel<float> f32;
  ProductKernel<double> f64;
  // Conversions of `count` contiguous elements, rounding to nearest even.
  void (*widen_f16)(int64_t count, const uint16_t* from, float* to);
  void (*widen_bf16)(int64_t count, const uint16_t* from, float* to);
  void (*narrow_f16)(int64_t count, const float* from, uint16_t* to);
  void (*narrow_bf16)(int64_t count, const float* from, uint16_t* to);
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
  static constexpr int64_t depth = 400;
  static constexpr int64_t prefetch_distance = 1024 / sizeof(T);
  static constexpr int64_t block_rows = 512;  // with `depth`: a part of `a` that stays in the L2 cache
  static constexpr int64_t copying_rows = 3 * max_rows;  // fewer don't repay the copy of a readable panel

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
    T* copy;    ///< where to put a compact copy of the panel of b, or null
  };

  /// The first `Rows` rows of a part, `Vectors` wide. Copying writes the panel of b to part.copy in passing.
  template <int Rows, int Vectors, bool Partial, bool Copying = false>
  [[gnu::noinline]] static void tile(const Part& part) {
    const auto load = [&](const T* from, int j) {
      return Partial && j == Vectors - 1 ? Simd::load_first(from + j * width, part.lanes)
                                         : Simd::load(from + j * width);
    };
    const T *a = part.a.data, *b = part.b;
    const int64_t a_row = part.a.row_stride, a_column = part.a.column_stride, ldb = part.ldb;
    const T* upper = a + 8 * a_row;  // or g++ runs out of registers for the addresses of many rows
    [[maybe_unused]] T* copy = part.copy;
    Vector sum[Rows][Vectors];
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < Vectors; ++j) sum[i][j] = part.more ? load(part.c + i * part.ldc, j) : Simd::zero();
    for (int64_t p = 0; p < part.k; ++p) {
      Vector right[Vectors];
#pragma GCC unroll 16
      for (int j = 0; j < Vectors; ++j) right[j] = load(b, j);
      if constexpr (Copying) {
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) Simd::store(copy + j * width, right[j]);
        copy += panel_width;
      }
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const Vector left = Simd::broadcast(i < 8 ? a[i * a_row] : upper[(i - 8) * a_row]);
#pragma GCC unroll 16
        for (int j = 0; j < Vectors; ++j) sum[i][j] = Simd::fma(left, right[j], sum[i][j]);
      }
      a += a_column;
      if constexpr (Rows > 8) upper += a_column;
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

  /// A part in tiles of about equal height.
  template <int Vectors, bool Partial>
  static void rows(Part part) {
    constexpr int limit = Vectors == 1 ? Simd::narrow_rows : max_rows;
    if (part.m <= limit) return tile_of<Vectors, Partial, limit>(part.m, part);
    const int64_t tiles = (part.m + limit - 1) / limit, m = part.m;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t count = m * (t + 1) / tiles - m * t / tiles;
      tile_of<Vectors, Partial, limit>(count, part);
      part.a.data += count * part.a.row_stride;
      part.c += count * part.ldc;
      if (part.copy != nullptr) {
        part.b = part.copy;
        part.ldb = panel_width;
        part.copy = nullptr;
      }
    }
  }

  template <int Vectors, bool Partial, int Rows>
  static void tile_of(int64_t count, const Part& part) {
    if (count == Rows) {
      if constexpr (Vectors > 1 && Rows * 2 >= max_rows)
        if (part.copy != nullptr) return tile<Rows, Vectors, Partial, true>(part);
      tile<Rows, Vectors, Partial>(part);
    } else if constexpr (Rows > 1) {
      tile_of<Vectors, Partial, Rows - 1>(count, part);
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
    if (b.row_stride == 1) {
      for (int64_t j = 0; j < columns; j += width) {
        const Operand<T> right = {b.data + j * b.column_stride, 1, b.column_stride};
        if (columns - j >= width)
          pack_transposed<false>(steps, width, right, to + j);
        else
          pack_transposed<true>(steps, columns - j, right, to + j);
      }
    } else {
      for (int64_t p = 0; p < steps; ++p)
        for (int64_t j = 0; j < columns; ++j)
          to[p * panel_width + j] = b.data[p * b.row_stride + j * b.column_stride];
    }
  }

  /// The same for up to one vector of columns that are contiguous in memory.
  template <bool Partial>
  [[gnu::noinline]] static void pack_transposed(int64_t steps, int64_t columns, const Operand<T>& b, T* to) {
    Vector square[width];
    int64_t p = 0;
    for (; p + width <= steps; p += width) {
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        square[i] = Partial && i >= columns ? Simd::zero() : Simd::load(b.data + p + i * b.column_stride);
      Simd::transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) Simd::store(to + (p + i) * panel_width, square[i]);
    }
    if (p < steps) {
      const int left = static_cast<int>(steps - p);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        square[i] = i >= columns ? Simd::zero() : Simd::load_first(b.data + p + i * b.column_stride, left);
      Simd::transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i)
        if (i < left) Simd::store(to + (p + i) * panel_width, square[i]);
    }
  }

  /// c += `Steps` elements of one row of a times as many contiguous rows of b.
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

  /// The same with contiguous columns: squares are transposed in registers on their way to the sums. Whole
  /// vectors of columns only; returns how many columns that was.
  [[gnu::noinline]] static int64_t row_product_transposed(int64_t n, int64_t k, const Operand<T>& a,
                                                          const T* b, int64_t ldb, T* c) {
    int64_t j = 0;
    for (; j + width <= n; j += width) {
      const T *left = a.data, *right = b + j * ldb;
      Vector sum = Simd::zero(), square[width];
      int64_t p = 0;
      for (; p + width <= k; p += width) {
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i) {
          square[i] = Simd::load(right + i * ldb + p);
          Simd::prefetch(right + i * ldb + p + prefetch_distance);
        }
        Simd::transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i)
          sum = Simd::fma(Simd::broadcast(left[i * a.column_stride]), square[i], sum);
        left += width * a.column_stride;
      }
      if (p < k) {
        const int steps = static_cast<int>(k - p);
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i) square[i] = Simd::load_first(right + i * ldb + p, steps);
        Simd::transpose(square);
#pragma GCC unroll 16
        for (int i = 0; i < width; ++i)
          if (i < steps) sum = Simd::fma(Simd::broadcast(left[i * a.column_stride]), square[i], sum);
      }
      Simd::store(c + j, sum);
    }
    return j;
  }

  /// One row times a matrix with contiguous rows: c is run over once per `steps` rows of b, so that
  /// memory is read in long streams.
  [[gnu::noinline]] static void row_product(int64_t n, int64_t k, Operand<T> a, const T* b, int64_t ldb,
                                            T* c) {
    constexpr int steps = 8;
    constexpr int64_t columns = 16 * 1024 / sizeof(T);  // c stays in the L1 cache
    for (int64_t j = 0; j < n; j += columns) {
      const int64_t count = n - j < columns ? n - j : columns;
      Operand<T> left = a;
      const T* right = b + j;
      int64_t p = 0;
      for (; p + steps <= k; p += steps, left.data += steps * a.column_stride, right += steps * ldb)
        add_rows<steps>(count, left, right, ldb, c + j, p > 0);
      for (; p < k; ++p, left.data += a.column_stride, right += ldb)
        add_rows<1>(count, left, right, ldb, c + j, p > 0);
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
    if (m == 1 && b.column_stride == 1 && n > panel_width)
      return row_product(n, k, a, b.data, b.row_stride, c);
    if (m == 1 && b.row_stride == 1 && n >= width) {
      const int64_t done = row_product_transposed(n, k, a, b.data, b.column_stride, c);
      if (done == n) return;
      n -= done;
      b.data += done * b.column_stride;
      c += done;
    }
    const int64_t vectors = (n + width - 1) / width;
    if (b.column_stride == 1 && vectors <= max_vectors && k <= depth && m < copying_rows) {
      const int lanes = static_cast<int>(n - (vectors - 1) * width);
      return panel(vectors, Part{m, k, a, b.data, b.row_stride, c, ldc, lanes, false, nullptr});
    }
    blocked(m, n, k, a, b, c, ldc);
  }

  [[gnu::noinline]] static void blocked(int64_t m, int64_t n, int64_t k, const Operand<T>& a,
                                        const Operand<T>& b, T* c, int64_t ldc) {
    alignas(64) T packed[depth * panel_width];
    const int64_t vectors = (n + width - 1) / width, panels = (vectors + max_vectors - 1) / max_vectors;
    const int64_t chunks = (k + depth - 1) / depth;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t p = k * chunk / chunks, steps = k * (chunk + 1) / chunks - p;
      for (int64_t i = 0; i < m; i += block_rows) {
        const int64_t count = m - i < block_rows ? m - i : block_rows;
        for (int64_t q = 0; q < panels; ++q) {
          const int64_t first = vectors * q / panels, last = vectors * (q + 1) / panels, j = first * width;
          const int64_t columns = (last * width < n ? last * width : n) - j;
          const Operand<T> left = {a.data + i * a.row_stride + p * a.column_stride, a.row_stride,
                                   a.column_stride};
          const Operand<T> right = {b.data + p * b.row_stride + j * b.column_stride, b.row_stride,
                                    b.column_stride};
          const int lanes = static_cast<int>(columns - (last - first - 1) * width);
          Part part = {count,           steps, left,  right.data, right.row_stride,
                       c + i * ldc + j, ldc,   lanes, p > 0,      nullptr};
          if (b.column_stride != 1) {
            pack(steps, columns, right, packed);
            part.b = packed;
            part.ldb = panel_width;
          } else if (count >= copying_rows && last - first > 1) {
            part.copy = packed;
          }
          panel(last - first, part);
        }
      }
    }
  }
};

}  // namespace tandem::runtime
