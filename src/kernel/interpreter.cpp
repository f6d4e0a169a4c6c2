// The reference executor: every primitive over one tile that stays in the first-level cache.

#include "kernel/interpreter.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <string_view>

#include "core/check.h"

namespace tandem::kernel {

// --- The instruction set ----------------------------------------------------------------------------

namespace {

constinit std::atomic<const PrimitiveTable*> active{&baseline_primitives};

const PrimitiveTable* table_for(std::string_view name) {
  if (name == "baseline") return &baseline_primitives;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // Whatever has AVX2 and FMA has F16C, which clang 14 can't ask for.
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (name == "avx2" && avx2) return &avx2_primitives;
  if (name == "avx512" && avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return &avx512_primitives;
#endif
  return nullptr;
}

// Programs may already run in other files' initializers: they use the baseline, which gives the same bits.
[[maybe_unused]] const bool chosen = [] {
  for (const char* name : {"avx512", "avx2"})
    if (set_instruction_set(name)) break;
  return true;
}();

}  // namespace

const PrimitiveTable& primitives() { return *active.load(std::memory_order_relaxed); }
const char* instruction_set() { return primitives().name; }
bool set_instruction_set(const char* name) {
  const PrimitiveTable* table = table_for(name);
  if (table != nullptr) active.store(table, std::memory_order_relaxed);
  return table != nullptr;
}

void integer_division_by_zero() { fail("integer division by zero"); }

// --- Scratch ----------------------------------------------------------------------------------------

namespace {

// Plain thread-locals are reached without a guard; the owner below only frees.
constinit thread_local char* scratch_data = nullptr;
constinit thread_local size_t scratch_size = 0;
struct ScratchOwner {
  ~ScratchOwner() {
    ::operator delete (scratch_data, std::align_val_t{64});
    scratch_data = nullptr;
    scratch_size = 0;
  }
};

[[gnu::noinline]] void grow_scratch(size_t bytes) {
  static thread_local ScratchOwner owner;
  const size_t size = std::max<size_t>(bytes + bytes / 4, 65536);
  char* fresh = static_cast<char*>(::operator new (size, std::align_val_t{64}, std::nothrow));
  if (fresh == nullptr) fail(ErrorCode::out_of_memory, "out of memory: {} bytes of scratch", size);
  ::operator delete (scratch_data, std::align_val_t{64});
  scratch_data = fresh;
  scratch_size = size;
}

}  // namespace

char* thread_scratch(size_t bytes) {
  if (bytes > scratch_size) [[unlikely]]
    grow_scratch(bytes);
  return scratch_data;
}

// --- One step ---------------------------------------------------------------------------------------

namespace {

template <class T>
void run_call(const Step& step, char* out, const char* const* source, int64_t n) {
  T* o = reinterpret_cast<T*>(out);
  if (step.op == Op::call_unary) {
    const auto function = reinterpret_cast<T (*)(T)>(step.function);
    const T* a = reinterpret_cast<const T*>(source[0]);
    for (int64_t i = 0; i < n; ++i) o[i] = function(a[i]);
  } else if (step.op == Op::call_binary) {
    const auto function = reinterpret_cast<T (*)(T, T)>(step.function);
    const T* a = reinterpret_cast<const T*>(source[0]);
    const T* b = reinterpret_cast<const T*>(source[1]);
    for (int64_t i = 0; i < n; ++i) o[i] = function(a[i], b[i]);
  } else {
    const auto function = reinterpret_cast<T (*)(T)>(step.function);
    const auto* condition = reinterpret_cast<const uint8_t*>(source[0]);
    const T* a = reinterpret_cast<const T*>(source[1]);
    const T* otherwise = reinterpret_cast<const T*>(source[2]);
    if (std::memchr(condition, 1, static_cast<size_t>(n)) == nullptr) {
      std::memmove(o, otherwise, static_cast<size_t>(n) * sizeof(T));
      return;
    }
    for (int64_t i = 0; i < n; ++i) o[i] = condition[i] ? function(a[i]) : otherwise[i];
  }
}

[[gnu::noinline]] void run_rare_step(Frame& frame, const Step& step, int64_t n) {
  const std::vector<Slot>& slots = frame.program->slots;
  const Slot& destination = slots[step.destination];
  char* out = frame.pointer[step.destination];
  const char* source[3] = {};
  bool all_uniform = step.op != Op::element_index;
  for (int k = 0; k < step.operands; ++k) {
    source[k] = frame.pointer[step.source[k]];
    all_uniform &= frame.uniform[step.source[k]] != 0;
  }
  const bool is_call = step.op >= Op::call_unary && step.op <= Op::call_where;
  const Primitive& primitive = frame.table->primitive[step.primitive];
  if (all_uniform) {
    const bool keep = destination.kind == SlotKind::local || destination.kind == SlotKind::row_scalar;
    char* one = keep ? out : frame.spread_tile(3);
    if (is_call) {
      step.type == DType::f32 ? run_call<float>(step, one, source, 1)
                              : run_call<double>(step, one, source, 1);
    } else {
      primitive.variant[0](one, source[0], source[1], source[2], 1);
    }
    if (!keep) fill(frame, step.type, out, one, n);
    frame.uniform[step.destination] = keep;
    return;
  }
  for (int k = 0; k < step.operands; ++k)
    if (frame.uniform[step.source[k]]) {
      char* tile = frame.spread_tile(static_cast<size_t>(k));
      fill(frame, slots[step.source[k]].type, tile, source[k], n);
      source[k] = tile;
    }
  frame.uniform[step.destination] = 0;
  if (step.op == Op::element_index) {
    primitive.variant[0](out, &frame.element_index, nullptr, nullptr, n);
  } else if (is_call) {
    step.type == DType::f32 ? run_call<float>(step, out, source, n) : run_call<double>(step, out, source, n);
  } else {
    primitive.variant[0](out, source[0], source[1], source[2], n);
  }
}

}  // namespace

void run_steps(Frame& frame, const std::vector<Step>& steps, int64_t n) {
  char** const pointer = frame.pointer;
  uint8_t* const uniform = frame.uniform;
  const Primitive* const table = frame.table->primitive;
  for (const Step& step : steps) {
    const Primitive& primitive = table[step.primitive];
    PrimitiveFunction function = nullptr;
    const char *a = pointer[step.source[0]], *b = nullptr, *c = nullptr;
    if (step.operands == 2) {
      b = pointer[step.source[1]];
      const int variant = uniform[step.source[0]] | uniform[step.source[1]] << 1;
      if (variant != 3) function = primitive.variant[variant];
    } else if (step.operands == 1) {
      if (!uniform[step.source[0]]) function = primitive.variant[0];
    } else if (step.operands == 3 && !uniform[step.source[0]]) {
      b = pointer[step.source[1]];
      c = pointer[step.source[2]];
      function = primitive.variant[uniform[step.source[1]] | uniform[step.source[2]] << 1];
    }
    if (function == nullptr) [[unlikely]] {
      run_rare_step(frame, step, n);
      continue;
    }
    uniform[step.destination] = 0;
    function(pointer[step.destination], a, b, c, n);
  }
}

// --- Flat runs --------------------------------------------------------------------------------------

namespace {

[[gnu::noinline]] void run_flat_tiles(const Program& program, const void* const* inputs, uint32_t scalar_mask,
                                      void* const* outputs, int64_t count, int64_t first) {
  TD_ASSERT(!program.rows);
  const int64_t tile = program.tile;
  Frame frame(program, thread_scratch(program.frame_bytes));
  const Stage& stage = program.stages[0];
  for (uint16_t slot : stage.inputs) {
    const int i = program.slots[slot].index;
    frame.pointer[slot] = static_cast<char*>(const_cast<void*>(inputs[i]));
    frame.uniform[slot] = scalar_mask >> i & 1;
  }
  for (uint16_t slot : stage.outputs)
    frame.pointer[slot] = static_cast<char*>(outputs[program.slots[slot].index]);
  for (int64_t begin = 0; begin < count; begin += tile) {
    const int64_t n = std::min(tile, count - begin);
    frame.element_index = static_cast<uint64_t>(first + begin);
    run_steps(frame, stage.steps, n);
    if (begin + n == count) break;
    for (uint16_t slot : stage.inputs)
      if (!frame.uniform[slot]) frame.pointer[slot] += n * slot_size(program.slots[slot].type);
    for (uint16_t slot : stage.outputs) frame.pointer[slot] += n * slot_size(program.slots[slot].type);
  }
}

}  // namespace

void run_flat(const Program& program, const void* const* inputs, uint32_t scalar_mask, void* const* outputs,
              int64_t count, int64_t first) {
  if (count <= 0) return;
  if (program.single_primitive >= 0) [[likely]] {
    const Primitive& primitive = primitives().primitive[program.single_primitive];
    const void* operand[3] = {};
    uint32_t uniform = 0;
    for (int k = 0; k < program.single_operands; ++k) {
      const int64_t source = program.single_source[k];
      if (source >= 0) {
        operand[k] = inputs[source];
        uniform |= (scalar_mask >> source & 1) << k;
      } else {
        operand[k] = &program.constants[static_cast<size_t>(-1 - source)];
        uniform |= 1u << k;
      }
    }
    PrimitiveFunction function = nullptr;
    if (program.single_operands < 3) {
      function = uniform == 3 ? nullptr : primitive.variant[uniform];
    } else if ((uniform & 1) == 0) {
      function = primitive.variant[uniform >> 1];
    }
    if (function != nullptr) return function(outputs[0], operand[0], operand[1], operand[2], count);
  }
  run_flat_tiles(program, inputs, scalar_mask, outputs, count, first);
}

}  // namespace tandem::kernel
