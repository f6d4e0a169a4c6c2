#include "runtime/matmul.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "runtime/cpu.h"
#include "runtime/matmul_kernels.h"
#include "runtime/parallel.h"

namespace tandem::runtime {

namespace {

// Multiplications that are worth a slice of their own.
constexpr int64_t slice_work = 256 * 1024;

/// Memory that one thread keeps from product to product.
class PackedOperand {
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

template <class T>
Operand<T> operand(const Matrix& matrix) {
  return {static_cast<const T*>(matrix.data), matrix.row_stride, matrix.column_stride};
}

template <class T>
Operand<T> operator+(const Operand<T>& matrix, std::pair<int64_t, int64_t> offset) {
  const auto [row, column] = offset;
  return {matrix.data + row * matrix.row_stride + column * matrix.column_stride, matrix.row_stride,
          matrix.column_stride};
}

const ProductKernels& kernels() {
  static const ProductKernels best = [] {
    switch (instruction_set()) {
      case InstructionSet::avx512:
        return product_kernels_avx512();
      case InstructionSet::avx2:
        return product_kernels_avx2();
      default:
        return product_kernels_baseline();
    }
  }();
  return best;
}

/// Calls body(row, rows, column, columns) for slices of the product.
template <class Body>
void for_slices(int64_t m, int64_t n, int64_t k, Body body) {
  if (m * n * k < 2 * slice_work) return body(0, m, 0, n);
  // Rows for choice: each slice then reads all of b, which is the operand that is prepared.
  constexpr int64_t block_rows = 8, block_columns = 48;
  const int64_t row_blocks = (m + block_rows - 1) / block_rows;
  const int64_t column_blocks = (n + block_columns - 1) / block_columns;
  if (row_blocks >= column_blocks || row_blocks >= 4 * thread_count()) {
    parallel_for(row_blocks, slice_work / (block_rows * n * k), [&](int64_t begin, int64_t end) {
      body(begin * block_rows, std::min(m, end * block_rows) - begin * block_rows, 0, n);
    });
  } else {
    parallel_for(column_blocks, slice_work / (block_columns * m * k), [&](int64_t begin, int64_t end) {
      body(0, m, begin * block_columns, std::min(n, end * block_columns) - begin * block_columns);
    });
  }
}

template <class T>
void floating_product(ProductKernel<T> kernel, int64_t m, int64_t n, int64_t k, const Operand<T>& a,
                      const Operand<T>& b, T* c) {
  if (m * n * k < 2 * slice_work) return kernel(m, n, k, a, b, c, n);
  for_slices(m, n, k, [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
    kernel(rows, columns, k, a + std::pair{row, 0}, b + std::pair{0, column}, c + row * n + column, n);
  });
}

/// Where the f32 copy of a narrow operand stands: its strides are those of the original where that is dense.
Operand<float> widen(void (*convert)(int64_t, const uint16_t*, float*), int64_t rows, int64_t columns,
                     const Operand<uint16_t>& from, PackedOperand& scratch) {
  float* to = scratch.get<float>(rows * columns);
  if (from.column_stride == 1 && from.row_stride == columns) {
    convert(rows * columns, from.data, to);
  } else if (from.column_stride == 1) {
    for (int64_t i = 0; i < rows; ++i) convert(columns, from.data + i * from.row_stride, to + i * columns);
  } else if (from.row_stride == 1) {
    for (int64_t j = 0; j < columns; ++j) convert(rows, from.data + j * from.column_stride, to + j * rows);
    return {to, 1, rows};
  } else {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        convert(1, from.data + i * from.row_stride + j * from.column_stride, to + i * columns + j);
  }
  return {to, columns, 1};
}

/// f16 and bf16: computed in f32, rounded once.
void narrow_product(DType dtype, int64_t m, int64_t n, int64_t k, const Operand<uint16_t>& a,
                    const Operand<uint16_t>& b, uint16_t* c) {
  static thread_local PackedOperand left_scratch, right_scratch, sum_scratch;
  const ProductKernels& use = kernels();
  const auto convert = dtype == DType::f16 ? use.widen_f16 : use.widen_bf16;
  const Operand<float> left = widen(convert, m, k, a, left_scratch),
                       right = widen(convert, k, n, b, right_scratch);
  float* sums = sum_scratch.get<float>(m * n);
  floating_product(use.f32, m, n, k, left, right, sums);
  (dtype == DType::f16 ? use.narrow_f16 : use.narrow_bf16)(m * n, sums, c);
}

/// T is unsigned: sums wrap. Narrow ones are computed in 32 bits, so that C++ does not promote to int.
template <class T>
void integer_product(int64_t m, int64_t n, int64_t k, const Operand<T>& a, const Operand<T>& b, T* c) {
  using Wide = std::conditional_t<sizeof(T) < 4, uint32_t, T>;
  for_slices(m, n, k, [&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
    for (int64_t i = row; i < row + rows; ++i) {
      T* to = c + i * n + column;
      std::fill_n(to, columns, T{0});
      for (int64_t p = 0; p < k; ++p) {
        const Wide left = a.data[i * a.row_stride + p * a.column_stride];
        const T* right = b.data + p * b.row_stride + column * b.column_stride;
        for (int64_t j = 0; j < columns; ++j)
          to[j] = static_cast<T>(to[j] + left * right[j * b.column_stride]);
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
  const auto integers = [&]<class T>(T* to) { integer_product(m, n, k, operand<T>(a), operand<T>(b), to); };
  switch (dtype) {
    case DType::f32:
      return floating_product(kernels().f32, m, n, k, operand<float>(a), operand<float>(b),
                              static_cast<float*>(c));
    case DType::f64:
      return floating_product(kernels().f64, m, n, k, operand<double>(a), operand<double>(b),
                              static_cast<double*>(c));
    case DType::f16:
    case DType::bf16:
      return narrow_product(dtype, m, n, k, operand<uint16_t>(a), operand<uint16_t>(b),
                            static_cast<uint16_t*>(c));
    case DType::u8:
    case DType::i8:
      return integers(static_cast<uint8_t*>(c));
    case DType::u16:
    case DType::i16:
      return integers(static_cast<uint16_t*>(c));
    case DType::u32:
    case DType::i32:
      return integers(static_cast<uint32_t*>(c));
    case DType::u64:
    case DType::i64:
      return integers(static_cast<uint64_t*>(c));
    case DType::boolean:
      break;
  }
  fail(ErrorCode::internal, "internal error: no matrix product of {}", dtype);
}

}  // namespace tandem::runtime
