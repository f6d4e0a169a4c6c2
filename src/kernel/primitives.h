#pragma once
// The table of vector primitives; primitives.inc is compiled once per instruction set to fill one.

#include <cstdint>

#include "kernel/ir.h"

namespace tandem::kernel {

/// out[i] = f(a[i], b[i], c[i]) for i in [0, n). `out` may equal an operand whose elements have its size.
using PrimitiveFunction = void (*)(void* out, const void* a, const void* b, const void* c, int64_t n);

/// `variant[m]`: bit 0 of m means that the first operand is one element, bit 1 the second; with three
/// operands the bits stand for the second and the third. Null: the operand must be spread first.
struct Primitive {
  PrimitiveFunction variant[4] = {};
};

/// A reduction along contiguous memory: into 32 partial results, or whole.
struct ReductionPrimitive {
  void (*start)(void* partials) = nullptr;                                 ///< fills in the identity
  void (*accumulate)(void* partials, const void* a, int64_t n) = nullptr;  ///< a[0] belongs to partial 0
  void (*fold)(void* result, const void* partials) = nullptr;              ///< the tree 16, 8, 4, 2, 1
  /// One result for each of `rows` rows of at most one block, one after the other.
  void (*rows)(void* results, const void* a, int64_t rows, int64_t length) = nullptr;
};

inline constexpr int convert_base = op_count * dtype_count;
inline constexpr int copy_base = convert_base + dtype_count * dtype_count;  ///< by dtype: a copy or a spread
/// Two f32 operations at once, second(first(a, b), c): a pass over the tile less. By first and second.
enum class PairFirst : uint8_t { add, subtract, reverse_subtract, multiply, count };
enum class PairSecond : uint8_t { add, subtract, reverse_subtract, multiply, divide, maximum, count };
inline constexpr int pair_base = copy_base + dtype_count;
inline constexpr int primitive_count =
    pair_base + static_cast<int>(PairFirst::count) * static_cast<int>(PairSecond::count);
constexpr int pair_index(PairFirst first, PairSecond second) {
  return pair_base + static_cast<int>(first) * static_cast<int>(PairSecond::count) + static_cast<int>(second);
}

struct PrimitiveTable {
  const char* name = "";
  Primitive primitive[primitive_count];
  ReductionPrimitive reduction[4][dtype_count];
  // Moving elements of 1, 2, 4 and 8 bytes (index: log2). Strides and offsets in elements.
  /// out[r * inner + j] = in[r * row_stride + j * inner_stride].
  void (*gather_rows[4])(void* out, const void* in, int64_t rows, int64_t inner, int64_t row_stride,
                         int64_t inner_stride) = {};
  void (*gather[4])(void* out, const void* in, int64_t n, int64_t stride) = {};
  void (*gather_at[4])(void* out, const void* in, const int64_t* offsets, int64_t n) = {};
  void (*scatter[4])(void* out, int64_t stride, const void* in, int64_t n) = {};
  void (*scatter_at[4])(void* out, const int64_t* offsets, const void* in, int64_t n) = {};
};

constexpr int primitive_index(Op op, DType from, DType to) {
  if (op == Op::convert) return convert_base + static_cast<int>(from) * dtype_count + static_cast<int>(to);
  return static_cast<int>(op) * dtype_count + static_cast<int>(from);
}
constexpr int size_index(DType type) {
  switch (size_of(type)) {
    case 1:
      return 0;
    case 2:
      return 1;
    case 4:
      return 2;
    default:
      return 3;
  }
}

extern const PrimitiveTable baseline_primitives;
extern const PrimitiveTable avx2_primitives;
extern const PrimitiveTable avx512_primitives;

/// The table in use.
const PrimitiveTable& primitives();

[[noreturn]] void integer_division_by_zero();

}  // namespace tandem::kernel
