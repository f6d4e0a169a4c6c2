#pragma once
// The inside of a Program: instructions as built, and the schedule that the interpreter runs.

#include <memory>
#include <string>
#include <vector>

#include "kernel/program.h"

namespace tandem::kernel {

/// Every instruction. One operand's type (`Instruction::from`) and the Op select a primitive.
enum class Op : uint8_t {
  input,
  constant,
  element_index,
  row_count,
  // one operand
  negate,
  sqrt,
  abs,
  floor,
  ceil,
  trunc,
  round,
  is_nan,
  is_inf,
  bit_not,
  convert,
  bitcast,
  exp,
  expm1,
  log,
  log1p,
  sin_near,
  cos_near,
  tan_near,
  asin,
  acos,
  atan,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  erf,
  sigmoid,
  softplus,
  // two operands
  add,
  subtract,
  multiply,
  divide,
  minimum,
  maximum,
  fmod,
  modulo,
  copysign,
  less,
  less_equal,
  equal,
  not_equal,
  bit_and,
  bit_or,
  bit_xor,
  shift_left,
  shift_right,
  power,
  // three operands
  fma,
  select,
  philox,
  // scalar C++ functions
  call_unary,
  call_binary,
  call_where,
  // over the row
  reduce_sum,
  reduce_product,
  reduce_maximum,
  reduce_minimum,
  count,
};
inline constexpr int op_count = static_cast<int>(Op::count);

std::string_view name_of(Op op);
constexpr bool is_reduction(Op op) { return op >= Op::reduce_sum && op <= Op::reduce_minimum; }

/// One SSA value; its id is its position. f16 and bf16 occur as types of inputs, of `convert`s right
/// behind them, and of converts that feed outputs.
struct Instruction {
  Op op = Op::constant;
  DType type = DType::f32;  ///< of the result
  DType from = DType::f32;  ///< of the operands that select the primitive
  int operand[3] = {-1, -1, -1};
  uint64_t bits = 0;             ///< constant's bits, or input's number
  void (*function)() = nullptr;  ///< of calls
  const char* name = nullptr;    ///< of calls

  int operand_count() const {
    int n = 0;
    while (n < 3 && operand[n] >= 0) ++n;
    return n;
  }
  bool operator==(const Instruction& o) const {
    return op == o.op && type == o.type && from == o.from && operand[0] == o.operand[0] &&
           operand[1] == o.operand[1] && operand[2] == o.operand[2] && bits == o.bits &&
           function == o.function;
  }
};

/// Where a step finds an operand or leaves its result. The interpreter keeps one pointer per slot.
enum class SlotKind : uint8_t {
  constant,    ///< 8 bytes in Program::constants
  input,       ///< in place, or a gathered tile
  local,       ///< a tile of scratch (`index` is the register)
  output,      ///< in place, or a tile that is scattered afterwards
  row_scalar,  ///< one element a row
  row_buffer,  ///< an element value that a later stage reads: one row of scratch
};
struct Slot {
  SlotKind kind;
  DType type;
  int index;
};

struct Step {
  Op op;
  DType type, from;
  uint8_t operands;
  uint16_t primitive;  ///< position in the table of primitives
  uint16_t destination;
  uint16_t source[3];
  void (*function)();
};

struct ReductionStep {
  Op op;
  DType type;
  uint16_t source, destination;
};

/// What happens once per row, then one loop over the row: element steps and the reductions they feed.
struct Stage {
  std::vector<Step> steps;
  std::vector<ReductionStep> reductions;
  std::vector<Step> row_steps;
  std::vector<uint16_t> inputs;   ///< slots of inputs that this stage reads
  std::vector<uint16_t> outputs;  ///< slots of element outputs that this stage writes
  std::vector<uint16_t> scalars;  ///< slots of row scalars that its elements read
  std::vector<uint16_t> buffers;  ///< slots of row buffers that it reads or writes
};

struct OutputInfo {
  int value;
  DType dtype;
  bool row_scalar = false;
  uint16_t slot = 0;
};

/// Adds an instruction that has no public name of its own.
Value apply(Op op, Value a);
Value apply(Op op, Value a, Value b);
Value apply(Op op, DType type, Value a, Value b, Value c);

/// The expansion of a function into primitives; a Value without builder when `op` is a primitive already.
Value expand_function(Op op, Value a, Value b);

class Program : public std::enable_shared_from_this<Program> {
 public:
  std::vector<DType> inputs;
  std::vector<Instruction> code;  ///< live instructions only
  std::vector<OutputInfo> outputs;
  bool rows = false;
  int cost = 0;

  // The schedule (schedule.cpp).
  std::vector<Slot> slots;
  std::vector<uint64_t> constants;
  std::vector<Stage> stages;         ///< exactly one for element programs
  std::vector<uint16_t> input_slot;  ///< by input; no_slot when it is never read
  std::vector<uint16_t> row_count_slots;
  int register_count = 0, row_scalar_count = 0, buffer_count = 0, reduction_count = 0;
  int element_size = 4;  ///< bytes that a register reserves per element
  int64_t tile = 512;    ///< elements per step, a power of two from 256 to 2048
  /// The interpreter's first view of the slots: for registers an offset into its scratch, for constants
  /// their address. `moves` is all ones where the base of scratch is to be added.
  struct Place {
    uintptr_t address = 0, moves = 0;
  };
  std::vector<Place> places;
  std::vector<uint8_t> uniform;  ///< by slot: 1 for constants
  // The scratch of one run begins with a pointer and a flag a slot, then come the spread tiles (see
  // Frame) and the registers; `frame_bytes` in all.
  size_t uniform_offset = 0, spread_offset = 0, frame_bytes = 0;
  /// The primitive when the whole program is one, applied to the inputs in order; else -1.
  int single_primitive = -1;
  int single_operands = 0;
  int64_t single_source[3] = {-1, -1, -1};  ///< input number, or -1 - constant number

  void schedule();
};
inline constexpr uint16_t no_slot = 0xffff;

/// Bytes per element of a register of this type.
constexpr int64_t slot_size(DType type) { return static_cast<int64_t>(size_of(type)); }

}  // namespace tandem::kernel
