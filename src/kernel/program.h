#pragma once
// The kernel IR: one typed SSA program for one element, or one row, over one loop nest.
//
// An op writes its mathematics once, as an expression over `Value`s:
//
//   Value sigmoid_expression(Value x) { return 1.0 / (1.0 + exp(-x)); }
//
// Eager kernels, graph kernels and (later) JIT-compiled and generated code all come from the
// Program built from it. The interpreter (interpreter.cpp) is the reference executor.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tandem/dtype.h"
#include "tandem/shape.h"

namespace tandem::kernel {

/// Memory seen by a kernel. Strides are in elements; zero where broadcast.
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Strides strides;
};

class Builder;

/// One value of a program under construction: its id, its compute type and its builder.
/// f16 and bf16 never appear here: they are loaded as f32 and rounded when stored.
struct Value {
  Builder* builder = nullptr;
  int id = -1;
  DType type = DType::f32;
};

// Arithmetic; both sides have the same type, a C++ number takes the type of the other side.
// Integers wrap. Integer division truncates; a zero divisor is a td::Error.
Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value operator-(Value a);
Value operator+(Value a, double b);
Value operator-(Value a, double b);
Value operator*(Value a, double b);
Value operator/(Value a, double b);
Value operator+(double a, Value b);
Value operator-(double a, Value b);
Value operator*(double a, Value b);
Value operator/(double a, Value b);
Value fma(Value a, Value b, Value c);  ///< a*b+c, rounded once; floating only
Value sqrt(Value a);
Value abs(Value a);
Value minimum(Value a, Value b);  ///< IEEE 754-2019 minimum: NaN wins, -0 < +0
Value maximum(Value a, Value b);  ///< IEEE 754-2019 maximum: NaN wins, -0 < +0
Value floor(Value a);
Value ceil(Value a);
Value trunc(Value a);
Value round(Value a);            ///< to nearest, ties to even
Value fmod(Value a, Value b);    ///< C's fmod / integer %, sign of the dividend
Value modulo(Value a, Value b);  ///< Python's %, sign of the divisor
Value copysign(Value a, Value b);
// Comparisons give type boolean.
Value less(Value a, Value b);
Value less_equal(Value a, Value b);
Value greater(Value a, Value b);
Value greater_equal(Value a, Value b);
Value equal(Value a, Value b);
Value not_equal(Value a, Value b);
Value is_nan(Value a);
Value is_inf(Value a);
Value select(Value condition, Value a, Value b);
// Logic on boolean, bitwise on integers.
Value bit_and(Value a, Value b);
Value bit_or(Value a, Value b);
Value bit_xor(Value a, Value b);
Value bit_not(Value a);
Value shift_left(Value a, Value b);   ///< zero when b >= width
Value shift_right(Value a, Value b);  ///< logical for unsigned, arithmetic for signed
/// Conversion as NumPy's astype where that is defined. Float to integer truncates; NaN gives 0 and
/// values out of range saturate, the same on every machine. To boolean: != 0. To f16 or bf16: rounds
/// to that type's precision, the value stays f32.
Value convert(Value a, DType type);
Value bitcast(Value a, DType type);  ///< same size only
/// A constant of the same type as `like`.
Value constant_like(Value like, double value);
/// The position in the row-major order of the loop's *output* shape, as u64.
Value element_index(Builder& k);
/// One scalar C++ function for rare ranges or rare functions; must be pure. f32 or f64 in and out.
Value call(double (*function)(double), Value a, const char* name);
Value call(float (*function)(float), Value a, const char* name);
Value call(double (*function)(double, double), Value a, Value b, const char* name);
Value call(float (*function)(float, float), Value a, Value b, const char* name);
/// function(a) where `condition` holds, else `otherwise`; tiles without any such element cost one test.
Value call_where(Value condition, double (*function)(double), Value a, Value otherwise, const char* name);
Value call_where(Value condition, float (*function)(float), Value a, Value otherwise, const char* name);

// Row programs: reductions over the row give a row scalar, usable wherever a value is.
// Partial results: 32 interleaved ones by logical index in the row, blocks of 4,096, a fixed tree,
// each partial started from its first element; so the bits depend on neither strides, vector
// width nor threads, and a reduction of one element is that element. An empty row gives +0, 1,
// the lowest or the highest value (for floats -inf or +inf).
Value reduce_sum(Value a);
Value reduce_product(Value a);
Value reduce_maximum(Value a);
Value reduce_minimum(Value a);
/// The row's length as a value of this type.
Value row_count(Builder& k, DType type);

/// An immutable program. Element programs have one loop; row programs have a row as inner loop.
class Program;
using ProgramRef = std::shared_ptr<const Program>;

/// Collects instructions. `input(i)` loads argument i (f16 and bf16 arrive as f32).
class Builder {
 public:
  explicit Builder(std::span<const DType> input_dtypes);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  Value input(int i);
  int input_count() const;
  Value constant(DType type, double value);
  Value constant_bits(DType type, uint64_t bits);
  /// Adds an output; the value is converted to `dtype` when stored (a row scalar gives one element
  /// a row).
  void output(Value value, DType dtype);
  ProgramRef finish();

  struct State;  // defined in program.cpp
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Readable SSA text, one instruction a line, for dumps and tests.
std::string to_string(const Program& program);
bool has_rows(const Program& program);
int input_count(const Program& program);
int output_count(const Program& program);
DType input_dtype(const Program& program, int i);
DType output_dtype(const Program& program, int i);
/// True when output i of a row program is one element a row.
bool output_is_row_scalar(const Program& program, int i);
/// Number of arithmetic instructions: a cost estimate per element.
int cost(const Program& program);

/// Element program with one output over `count` elements: every input is either contiguous with `count`
/// elements or (bit i of scalar_mask) one element. The eager fast path: a one-instruction program without
/// conversions is one call of a primitive, no allocation, no lock. `first` is the logical index of
/// element 0 (for element_index and for slices of a parallel run). Outputs may alias inputs exactly.
void run_flat(const Program& program, const void* const* inputs, uint32_t scalar_mask, void* const* outputs,
              int64_t count, int64_t first = 0);

/// Copies a strided tensor into dense row-major memory. No allocation; transposed memory is read by whole
/// cache lines.
void copy_strided(const View& from, void* to);

/// A loop nest with collapsed dimensions, ready to run many times on new addresses.
class LoopNest {
 public:
  /// Element programs: `inputs` broadcast against `shape` (strides 0 there already, ranks equal to
  /// shape's); outputs are contiguous of this shape.
  static LoopNest elementwise(const Program& program, const Shape& shape,
                              std::span<const Strides> input_strides);
  /// Row programs: the last `row_rank` dimensions of `shape` form the row, in row-major logical
  /// order. Any strides, for outputs as well; row-scalar outputs use only the outer entries.
  static LoopNest rows(const Program& program, const Shape& shape, int row_rank,
                       std::span<const Strides> input_strides, std::span<const Strides> output_strides);

  LoopNest();
  LoopNest(LoopNest&&) noexcept;
  LoopNest& operator=(LoopNest&&) noexcept;
  ~LoopNest();

  /// Independent units of work: elements, or rows.
  int64_t unit_count() const;
  /// Approximate scalar operations per unit, for choosing a grain.
  int64_t unit_cost() const;
  /// Runs units [begin, end). Any split into ranges gives the same bits. Re-entrant; scratch is
  /// thread-local and reused (no steady-state heap allocation).
  /// Outputs of element nests may alias inputs of their own layout and dtype; those of rows may not.
  void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;

  struct State;  // defined in nest.h

 private:
  std::unique_ptr<State> state_;
};

/// One program computing `consumer` with its input `slot` replaced by output 0 of `producer`
/// (element programs). Inputs: producer's, then consumer's without `slot`. An intermediate narrower
/// than its compute type (f16, bf16) is rounded in between, so bits equal the separate runs.
ProgramRef fuse(const Program& producer, const Program& consumer, int slot);

/// The same program with every function of math.h (but integer pow and philox) spelled out in primitives:
/// for emitters that know primitives only. Gives the same bits.
ProgramRef expand(const Program& program);

/// Instruction set the interpreter chose at load: "avx512", "avx2" or "baseline".
const char* instruction_set();
/// For tests: forces another one; false when this machine lacks it.
bool set_instruction_set(const char* name);

}  // namespace tandem::kernel
