#include "runtime/matmul.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "core/check.h"
#include "runtime/cpu.h"
#include "runtime/matmul_kernels.h"
#include "runtime/parallel.h"

namespace tandem::runtime {

namespace {

// Multiplications that are worth a slice of their own.
constexpr int64_t slice_work = 256 * 1024;

/// Memory that one thread keeps from product to product.
class Scratch {
 public:
  template <class T>
  T* get(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    if (bytes > size_) {
      memory_.reset();
      size_ = 0;
      memory_.reset(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
      if (!memory_)
        fail(ErrorCode::out_of_memory, "out of memory: {} bytes for the operand of a matrix product", bytes);
      size_ = bytes;
    }
    return static_cast<T*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

thread_local Scratch scratch_a, scratch_b, scratch_c;

/// Copies rows x columns elements into row-major order, converting them.
template <class To, class From>
void pack(int64_t rows, int64_t columns, const From* from, int64_t row_stride, int64_t column_stride, To* to) {
  constexpr int64_t block = 16;  // so that a transposed source is read by whole cache lines
  for (int64_t i = 0; i < rows; i += block)
    for (int64_t j = 0; j < columns; j += block)
      for (int64_t r = i; r < std::min(rows, i + block); ++r)
        for (int64_t s = j; s < std::min(columns, j + block); ++s)
          to[r * columns + s] = static_cast<To>(from[r * row_stride + s * column_stride]);
}

template <class T>
const T* at(const Matrix& matrix) {
  return static_cast<const T*>(matrix.data);
}

ProductKernels kernels() {
  static const ProductKernels best = [] {
    switch (instruction_set()) {
      case InstructionSet::avx512: return product_kernels_avx512();
      case InstructionSet::avx2: return product_kernels_avx2();
      default: return product_kernels_baseline();
    }
  }();
  return best;
}

/// Calls body(row, rows, column, columns) for slices of the product.
template <class Body>
void for_slices(int64_t m, int64_t n, int64_t k, Body body) {
  constexpr int64_t block = 16;
  const int64_t row_blocks = (m + block - 1) / block, column_blocks = (n + block - 1) / block;
  if (m >= n || row_blocks >= 8) {
    const int64_t grain = std::max<int64_t>(1, slice_work / std::max<int64_t>(1, block * n * k));
    parallel_for(row_blocks, grain, [&](int64_t begin, int64_t end) {
      body(begin * block, std::min(m, end * block) - begin * block, 0, n);
    });
  } else {
    const int64_t grain = std::max<int64_t>(1, slice_work / std::max<int64_t>(1, block * m * k));
    parallel_for(column_blocks, grain, [&](int64_t begin, int64_t end) {
      body(0, m, begin * block, std::min(n, end * block) - begin * block);
    });
  }
}

template <class T>
void native(ProductKernel<T> kernel, int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, T* c) {
  const T* right = at<T>(b);
  int64_t ldb = b.row_stride;
  if (b.column_stride != 1 && n > 1) {
    T* packed = scratch_b.get<T>(k * n);
    pack(k, n, right, b.row_stride, b.column_stride, packed);
    right = packed;
    ldb = n;
  }
  for_slices(m, n, k, [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
    kernel(rows, columns, k, at<T>(a) + row * a.row_stride, a.row_stride, a.column_stride, right + column, ldb,
           c + row * n + column, n);
  });
}

void product(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, double* c) {
  native(kernels().f64, m, n, k, a, b, c);
}

void product(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, float* c) {
  native(kernels().f32, m, n, k, a, b, c);
}

/// f16 and bf16: computed in f32, rounded once.
template <class Narrow>
void narrow_product(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, Narrow* c) {
  // Buffers of their own, because the product below may pack again; these are contiguous, so it won't.
  float* left = scratch_a.get<float>(m * k);
  float* right = scratch_b.get<float>(k * n);
  float* sums = scratch_c.get<float>(m * n);
  pack(m, k, at<Narrow>(a), a.row_stride, a.column_stride, left);
  pack(k, n, at<Narrow>(b), b.row_stride, b.column_stride, right);
  product(m, n, k, {left, k, 1}, {right, n, 1}, sums);
  for (int64_t i = 0; i < m * n; ++i) c[i] = static_cast<Narrow>(sums[i]);
}

/// T is unsigned: sums wrap. Narrow ones are computed in 32 bits, so that C++ does not promote to int.
template <class T>
void integer_product(int64_t m, int64_t n, int64_t k, const Matrix& a, const Matrix& b, T* c) {
  using Wide = std::conditional_t<sizeof(T) < 4, uint32_t, T>;
  for_slices(m, n, k, [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
    for (int64_t i = row; i < row + rows; ++i) {
      T* to = c + i * n + column;
      std::fill_n(to, columns, T{0});
      for (int64_t p = 0; p < k; ++p) {
        const Wide left = at<T>(a)[i * a.row_stride + p * a.column_stride];
        const T* right = at<T>(b) + p * b.row_stride + column * b.column_stride;
        for (int64_t j = 0; j < columns; ++j) to[j] = static_cast<T>(to[j] + left * right[j * b.column_stride]);
      }
    }
  });
}

}  // namespace

void matmul(DType dtype, int64_t m, int64_t n, int64_t k, Matrix a, Matrix b, void* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    std::memset(c, 0, static_cast<size_t>(m * n) * size_of(dtype));
    return;
  }
  switch (dtype) {
    case DType::f32: return product(m, n, k, a, b, static_cast<float*>(c));
    case DType::f64: return product(m, n, k, a, b, static_cast<double*>(c));
    case DType::f16: return narrow_product(m, n, k, a, b, static_cast<Half*>(c));
    case DType::bf16: return narrow_product(m, n, k, a, b, static_cast<BFloat16*>(c));
    case DType::u8:
    case DType::i8: return integer_product(m, n, k, a, b, static_cast<uint8_t*>(c));
    case DType::u16:
    case DType::i16: return integer_product(m, n, k, a, b, static_cast<uint16_t*>(c));
    case DType::u32:
    case DType::i32: return integer_product(m, n, k, a, b, static_cast<uint32_t*>(c));
    case DType::u64:
    case DType::i64: return integer_product(m, n, k, a, b, static_cast<uint64_t*>(c));
    case DType::boolean: break;
  }
  fail(ErrorCode::internal, "internal error: no matrix product of {}", dtype);
}

}  // namespace tandem::runtime
