// Building programs: every public function adds an instruction, equal ones once only.

#include "kernel/program.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "core/check.h"
#include "kernel/ir.h"

namespace tandem::kernel {

struct Builder::State {
  std::vector<DType> inputs;
  std::vector<Instruction> code;
  std::vector<OutputInfo> outputs;

  int add(const Instruction& instruction) {
    const auto found = std::find(code.begin(), code.end(), instruction);
    if (found != code.end()) return static_cast<int>(found - code.begin());
    code.push_back(instruction);
    return static_cast<int>(code.size()) - 1;
  }
};

namespace {

struct Names {
  std::string_view name[op_count] = {"input",
                                     "constant",
                                     "element_index",
                                     "row_count",
                                     "negate",
                                     "sqrt",
                                     "abs",
                                     "floor",
                                     "ceil",
                                     "trunc",
                                     "round",
                                     "is_nan",
                                     "is_inf",
                                     "bit_not",
                                     "convert",
                                     "bitcast",
                                     "exp",
                                     "expm1",
                                     "log",
                                     "log1p",
                                     "sin_near",
                                     "cos_near",
                                     "tan_near",
                                     "asin",
                                     "acos",
                                     "atan",
                                     "sinh",
                                     "cosh",
                                     "tanh",
                                     "asinh",
                                     "acosh",
                                     "atanh",
                                     "erf",
                                     "sigmoid",
                                     "softplus",
                                     "add",
                                     "subtract",
                                     "multiply",
                                     "divide",
                                     "minimum",
                                     "maximum",
                                     "fmod",
                                     "modulo",
                                     "copysign",
                                     "less",
                                     "less_equal",
                                     "equal",
                                     "not_equal",
                                     "bit_and",
                                     "bit_or",
                                     "bit_xor",
                                     "shift_left",
                                     "shift_right",
                                     "power",
                                     "fma",
                                     "select",
                                     "philox",
                                     "call",
                                     "call",
                                     "call_where",
                                     "reduce_sum",
                                     "reduce_product",
                                     "reduce_maximum",
                                     "reduce_minimum"};
};

Value emit(Builder& builder, Op op, DType type, DType from, std::initializer_list<Value> operands,
           uint64_t bits = 0) {
  Instruction instruction{.op = op, .type = type, .from = from, .bits = bits};
  int i = 0;
  for (const Value& v : operands) {
    TD_ASSERT(v.builder == &builder);
    instruction.operand[i++] = v.id;
  }
  return {&builder, builder.state().add(instruction), type};
}
Value unary(Op op, Value a) { return emit(*a.builder, op, a.type, a.type, {a}); }
Value binary(Op op, Value a, Value b) {
  TD_ASSERT(a.type == b.type);
  return emit(*a.builder, op, a.type, a.type, {a, b});
}
Value comparison(Op op, Value a, Value b) {
  TD_ASSERT(a.type == b.type);
  return emit(*a.builder, op, DType::boolean, a.type, {a, b});
}
Value arithmetic(Op op, Value a, Value b) {
  TD_ASSERT(a.type != DType::boolean);
  return binary(op, a, b);
}
Value reduction(Op op, Value a) {
  TD_ASSERT(a.type != DType::boolean || op == Op::reduce_maximum || op == Op::reduce_minimum);
  return unary(op, a);
}

uint64_t bits_of(DType type, double value) {
  switch (type) {
    case DType::f32:
      return std::bit_cast<uint32_t>(static_cast<float>(value));
    case DType::f64:
      return std::bit_cast<uint64_t>(value);
    case DType::boolean:
      return value != 0;
    case DType::u64:
      return static_cast<uint64_t>(value);
    default: {
      const uint64_t bits = static_cast<uint64_t>(static_cast<int64_t>(value));
      const size_t size = size_of(type);
      return size == 8 ? bits : bits & ((uint64_t{1} << (size * 8)) - 1);
    }
  }
}

/// Rounds f32 to f16 or bf16 storage.
Value narrow(Value a, DType storage) {
  return emit(*a.builder, Op::convert, storage, DType::f32, {convert(a, DType::f32)});
}
Value widen(Value storage) {
  return emit(*storage.builder, Op::convert, DType::f32, storage.type, {storage});
}
bool is_storage(DType type) { return type == DType::f16 || type == DType::bf16; }

int cost_of(const Instruction& i) {
  switch (i.op) {
    case Op::input:
    case Op::constant:
    case Op::row_count:
      return 0;
    case Op::divide:
    case Op::sqrt:
      return 4;
    case Op::fmod:
    case Op::modulo:
    case Op::call_unary:
    case Op::call_binary:
      return 40;
    case Op::power:
      return 60;
    case Op::philox:
      return 80;
    default:
      return i.op >= Op::exp && i.op <= Op::softplus ? 16 : 1;
  }
}

}  // namespace

std::string_view name_of(Op op) {
  static constexpr Names names;
  return names.name[static_cast<int>(op)];
}

Value operator+(Value a, Value b) { return arithmetic(Op::add, a, b); }
Value operator-(Value a, Value b) { return arithmetic(Op::subtract, a, b); }
Value operator*(Value a, Value b) { return arithmetic(Op::multiply, a, b); }
Value operator/(Value a, Value b) { return arithmetic(Op::divide, a, b); }
Value operator-(Value a) { return unary(Op::negate, a); }
Value operator+(Value a, double b) { return a + constant_like(a, b); }
Value operator-(Value a, double b) { return a - constant_like(a, b); }
Value operator*(Value a, double b) { return a * constant_like(a, b); }
Value operator/(Value a, double b) { return a / constant_like(a, b); }
Value operator+(double a, Value b) { return constant_like(b, a) + b; }
Value operator-(double a, Value b) { return constant_like(b, a) - b; }
Value operator*(double a, Value b) { return constant_like(b, a) * b; }
Value operator/(double a, Value b) { return constant_like(b, a) / b; }

Value fma(Value a, Value b, Value c) {
  TD_ASSERT(is_floating(a.type) && a.type == b.type && a.type == c.type);
  // Primitives exist for constants in the second and third place; products commute.
  if (a.builder->state().code[a.id].op == Op::constant) std::swap(a, b);
  return emit(*a.builder, Op::fma, a.type, a.type, {a, b, c});
}
Value sqrt(Value a) {
  TD_ASSERT(is_floating(a.type));
  return unary(Op::sqrt, a);
}
Value abs(Value a) { return is_signed(a.type) ? unary(Op::abs, a) : a; }
Value minimum(Value a, Value b) { return binary(Op::minimum, a, b); }
Value maximum(Value a, Value b) { return binary(Op::maximum, a, b); }
Value floor(Value a) { return is_floating(a.type) ? unary(Op::floor, a) : a; }
Value ceil(Value a) { return is_floating(a.type) ? unary(Op::ceil, a) : a; }
Value trunc(Value a) { return is_floating(a.type) ? unary(Op::trunc, a) : a; }
Value round(Value a) { return is_floating(a.type) ? unary(Op::round, a) : a; }
Value fmod(Value a, Value b) { return arithmetic(Op::fmod, a, b); }
Value modulo(Value a, Value b) { return arithmetic(Op::modulo, a, b); }
Value copysign(Value a, Value b) {
  TD_ASSERT(is_floating(a.type));
  return binary(Op::copysign, a, b);
}
Value less(Value a, Value b) { return comparison(Op::less, a, b); }
Value less_equal(Value a, Value b) { return comparison(Op::less_equal, a, b); }
Value greater(Value a, Value b) { return less(b, a); }
Value greater_equal(Value a, Value b) { return less_equal(b, a); }
Value equal(Value a, Value b) { return comparison(Op::equal, a, b); }
Value not_equal(Value a, Value b) { return comparison(Op::not_equal, a, b); }
Value is_nan(Value a) {
  if (!is_floating(a.type)) return a.builder->constant(DType::boolean, 0);
  return emit(*a.builder, Op::is_nan, DType::boolean, a.type, {a});
}
Value is_inf(Value a) {
  if (!is_floating(a.type)) return a.builder->constant(DType::boolean, 0);
  return emit(*a.builder, Op::is_inf, DType::boolean, a.type, {a});
}
Value select(Value condition, Value a, Value b) {
  TD_ASSERT(condition.type == DType::boolean && a.type == b.type);
  return emit(*a.builder, Op::select, a.type, a.type, {condition, a, b});
}
Value bit_and(Value a, Value b) {
  TD_ASSERT(!is_floating(a.type));
  return binary(Op::bit_and, a, b);
}
Value bit_or(Value a, Value b) {
  TD_ASSERT(!is_floating(a.type));
  return binary(Op::bit_or, a, b);
}
Value bit_xor(Value a, Value b) {
  TD_ASSERT(!is_floating(a.type));
  return binary(Op::bit_xor, a, b);
}
Value bit_not(Value a) {
  TD_ASSERT(!is_floating(a.type));
  return unary(Op::bit_not, a);
}
Value shift_left(Value a, Value b) {
  TD_ASSERT(is_integer(a.type));
  return binary(Op::shift_left, a, b);
}
Value shift_right(Value a, Value b) {
  TD_ASSERT(is_integer(a.type));
  return binary(Op::shift_right, a, b);
}
Value convert(Value a, DType type) {
  if (is_storage(type)) return widen(narrow(a, type));
  if (a.type == type) return a;
  return emit(*a.builder, Op::convert, type, a.type, {a});
}
Value bitcast(Value a, DType type) {
  TD_ASSERT(size_of(a.type) == size_of(type) && !is_storage(type));
  return a.type == type ? a : emit(*a.builder, Op::bitcast, type, a.type, {a});
}
Value constant_like(Value like, double value) { return like.builder->constant(like.type, value); }
Value element_index(Builder& k) { return emit(k, Op::element_index, DType::u64, DType::u64, {}); }

namespace {
template <class Function>
Value add_call(Op op, DType type, Function* function, std::initializer_list<Value> operands,
               const char* name) {
  Builder& builder = *operands.begin()->builder;
  Instruction instruction{.op = op, .type = type, .from = type};
  int i = 0;
  for (const Value& v : operands) {
    TD_ASSERT(v.type == type || (op == Op::call_where && i == 0));
    instruction.operand[i++] = v.id;
  }
  instruction.function = reinterpret_cast<void (*)()>(function);
  instruction.name = name;
  return {&builder, builder.state().add(instruction), type};
}
}  // namespace

Value call(double (*function)(double), Value a, const char* name) {
  return add_call(Op::call_unary, DType::f64, function, {a}, name);
}
Value call(float (*function)(float), Value a, const char* name) {
  return add_call(Op::call_unary, DType::f32, function, {a}, name);
}
Value call(double (*function)(double, double), Value a, Value b, const char* name) {
  return add_call(Op::call_binary, DType::f64, function, {a, b}, name);
}
Value call(float (*function)(float, float), Value a, Value b, const char* name) {
  return add_call(Op::call_binary, DType::f32, function, {a, b}, name);
}
Value call_where(Value condition, double (*function)(double), Value a, Value otherwise, const char* name) {
  return add_call(Op::call_where, DType::f64, function, {condition, a, otherwise}, name);
}
Value call_where(Value condition, float (*function)(float), Value a, Value otherwise, const char* name) {
  return add_call(Op::call_where, DType::f32, function, {condition, a, otherwise}, name);
}

Value reduce_sum(Value a) { return reduction(Op::reduce_sum, a); }
Value reduce_product(Value a) { return reduction(Op::reduce_product, a); }
Value reduce_maximum(Value a) { return reduction(Op::reduce_maximum, a); }
Value reduce_minimum(Value a) { return reduction(Op::reduce_minimum, a); }
Value row_count(Builder& k, DType type) {
  return convert(emit(k, Op::row_count, DType::i64, DType::i64, {}), type);
}

Value apply(Op op, Value a) { return unary(op, a); }
Value apply(Op op, Value a, Value b) { return binary(op, a, b); }
Value apply(Op op, DType type, Value a, Value b, Value c) {
  return emit(*a.builder, op, type, a.type, {a, b, c});
}

Builder::Builder(std::span<const DType> input_dtypes) : state_(std::make_unique<State>()) {
  state_->inputs.assign(input_dtypes.begin(), input_dtypes.end());
  // Now, so that ids don't depend on the order in which a C++ compiler evaluates operands.
  for (int i = 0; i < static_cast<int>(input_dtypes.size()); ++i) input(i);
}
Builder::~Builder() = default;

Value Builder::input(int i) {
  TD_ASSERT(i >= 0 && i < static_cast<int>(state_->inputs.size()));
  const DType type = state_->inputs[i];
  const Value raw = emit(*this, Op::input, type, type, {}, static_cast<uint64_t>(i));
  return is_storage(type) ? widen(raw) : raw;
}
int Builder::input_count() const { return static_cast<int>(state_->inputs.size()); }
Value Builder::constant(DType type, double value) { return constant_bits(type, bits_of(type, value)); }
Value Builder::constant_bits(DType type, uint64_t bits) {
  TD_ASSERT(!is_storage(type));
  return emit(*this, Op::constant, type, type, {}, bits);
}
void Builder::output(Value value, DType dtype) {
  TD_ASSERT(value.builder == this);
  if (is_storage(dtype)) {
    value = narrow(value, dtype);
  } else {
    value = convert(value, dtype);
  }
  state_->outputs.push_back({value.id, dtype});
}

ProgramRef Builder::finish() {
  TD_ASSERT(!state_->outputs.empty());
  auto program = std::make_shared<Program>();
  program->inputs = state_->inputs;
  const int n = static_cast<int>(state_->code.size());
  std::vector<char> live(n, 0);
  for (const OutputInfo& output : state_->outputs) live[output.value] = 1;
  for (int i = n - 1; i >= 0; --i)
    for (int operand : state_->code[i].operand)
      if (live[i] && operand >= 0) live[operand] = 1;
  std::vector<int> renamed(n, -1);
  for (int i = 0; i < n; ++i) {
    if (!live[i]) continue;
    Instruction instruction = state_->code[i];
    for (int& operand : instruction.operand)
      if (operand >= 0) operand = renamed[operand];
    renamed[i] = static_cast<int>(program->code.size());
    program->code.push_back(instruction);
    program->cost += cost_of(instruction);
    program->rows |= is_reduction(instruction.op) || instruction.op == Op::row_count;
  }
  for (OutputInfo output : state_->outputs) {
    output.value = renamed[output.value];
    program->outputs.push_back(output);
  }
  program->schedule();
  return program;
}

std::string to_string(const Program& program) {
  std::string text;
  for (size_t i = 0; i < program.code.size(); ++i) {
    const Instruction& x = program.code[i];
    text += fmt::format("%{} = {}", i, name_of(x.op));
    if (x.op == Op::input) text += fmt::format(" {}", x.bits);
    if (x.op == Op::constant) {
      switch (x.type) {
        case DType::f32:
          text += fmt::format(" {}", std::bit_cast<float>(static_cast<uint32_t>(x.bits)));
          break;
        case DType::f64:
          text += fmt::format(" {}", std::bit_cast<double>(x.bits));
          break;
        case DType::i8:
          text += fmt::format(" {}", static_cast<int8_t>(x.bits));
          break;
        case DType::i16:
          text += fmt::format(" {}", static_cast<int16_t>(x.bits));
          break;
        case DType::i32:
          text += fmt::format(" {}", static_cast<int32_t>(x.bits));
          break;
        case DType::i64:
          text += fmt::format(" {}", static_cast<int64_t>(x.bits));
          break;
        default:
          text += fmt::format(" {}", x.bits);
      }
    }
    if (x.name != nullptr) text += fmt::format(" {}", x.name);
    for (int k = 0; k < x.operand_count(); ++k) text += fmt::format(" %{}", x.operand[k]);
    text += fmt::format(" : {}\n", x.type);
  }
  for (size_t i = 0; i < program.outputs.size(); ++i) {
    const OutputInfo& output = program.outputs[i];
    text += fmt::format("output {} = %{} : {}{}\n", i, output.value, output.dtype,
                        output.row_scalar ? " a row" : "");
  }
  return text;
}
bool has_rows(const Program& program) { return program.rows; }
int input_count(const Program& program) { return static_cast<int>(program.inputs.size()); }
int output_count(const Program& program) { return static_cast<int>(program.outputs.size()); }
DType input_dtype(const Program& program, int i) { return program.inputs[i]; }
DType output_dtype(const Program& program, int i) { return program.outputs[i].dtype; }
bool output_is_row_scalar(const Program& program, int i) { return program.outputs[i].row_scalar; }
int cost(const Program& program) { return program.cost; }

ProgramRef fuse(const Program& producer, const Program& consumer, int slot) {
  TD_ASSERT(!producer.rows && !consumer.rows && slot >= 0 && slot < input_count(consumer));
  TD_ASSERT(output_dtype(producer, 0) == input_dtype(consumer, slot));
  std::vector<DType> inputs = producer.inputs;
  for (int i = 0; i < input_count(consumer); ++i)
    if (i != slot) inputs.push_back(consumer.inputs[i]);
  Builder builder(inputs);
  Builder::State& state = builder.state();
  const auto append = [&](const Program& program, auto&& input_value) {
    std::vector<int> renamed;
    for (Instruction instruction : program.code) {
      if (instruction.op == Op::input) {
        renamed.push_back(input_value(static_cast<int>(instruction.bits), instruction));
        continue;
      }
      for (int& operand : instruction.operand)
        if (operand >= 0) operand = renamed[operand];
      renamed.push_back(state.add(instruction));
    }
    return renamed;
  };
  const std::vector<int> produced =
      append(producer, [&](int, const Instruction& instruction) { return state.add(instruction); });
  const int base = input_count(producer), value = produced[producer.outputs[0].value];
  const std::vector<int> consumed = append(consumer, [&](int i, Instruction instruction) {
    if (i == slot) return value;
    instruction.bits = static_cast<uint64_t>(base + (i < slot ? i : i - 1));
    return state.add(instruction);
  });
  for (const OutputInfo& output : consumer.outputs)
    state.outputs.push_back({consumed[output.value], output.dtype});
  return builder.finish();
}

ProgramRef expand(const Program& program) {
  Builder builder(program.inputs);
  Builder::State& state = builder.state();
  std::vector<int> renamed;
  for (Instruction instruction : program.code) {
    for (int& operand : instruction.operand)
      if (operand >= 0) operand = renamed[operand];
    const auto operand = [&](int k) {
      const int id = instruction.operand[k];
      return id < 0 ? Value{} : Value{&builder, id, state.code[id].type};
    };
    const Value expanded = expand_function(instruction.op, operand(0), operand(1));
    renamed.push_back(expanded.builder != nullptr ? expanded.id : state.add(instruction));
  }
  for (const OutputInfo& output : program.outputs)
    state.outputs.push_back({renamed[output.value], output.dtype});
  return builder.finish();
}

}  // namespace tandem::kernel
