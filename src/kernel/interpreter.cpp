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

void Frame::bind(int64_t tile) {
  const size_t count = program->slots.size();
  for (size_t i = 0; i < count; ++i) {
    const Slot& slot = program->slots[i];
    uniform[i] = 0;
    if (slot.kind == SlotKind::constant) {
      pointer[i] = reinterpret_cast<char*>(const_cast<uint64_t*>(&program->constants[slot.index]));
      uniform[i] = 1;
    } else if (slot.kind == SlotKind::local) {
      pointer[i] = registers + static_cast<int64_t>(slot.index) * tile * program->element_size;
    }
  }
}

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
    char* one = keep ? out : frame.spread[3];
    if (is_call) {
      step.type == DType::f32 ? run_call<float>(step, one, source, 1)
                              : run_call<double>(step, one, source, 1);
    } else {
      primitive.variant[0](one, source[0], source[1], source[2], 1);
    }
    if (!keep) spread_tile(frame, step.type, out, one, n);
    frame.uniform[step.destination] = keep;
    return;
  }
  for (int k = 0; k < step.operands; ++k)
    if (frame.uniform[step.source[k]]) {
      spread_tile(frame, slots[step.source[k]].type, frame.spread[k], source[k], n);
      source[k] = frame.spread[k];
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

void run_step(Frame& frame, const Step& step, int64_t n) {
  const Primitive& primitive = frame.table->primitive[step.primitive];
  char** const pointer = frame.pointer;
  const uint8_t* const uniform = frame.uniform;
  PrimitiveFunction function = nullptr;
  const char *a = nullptr, *b = nullptr, *c = nullptr;
  if (step.operands == 2) {
    a = pointer[step.source[0]];
    b = pointer[step.source[1]];
    const int variant = uniform[step.source[0]] | uniform[step.source[1]] << 1;
    if (variant != 3) function = primitive.variant[variant];
  } else if (step.operands == 1) {
    a = pointer[step.source[0]];
    if (!uniform[step.source[0]]) function = primitive.variant[0];
  } else if (step.operands == 3 && !uniform[step.source[0]]) {
    a = pointer[step.source[0]];
    b = pointer[step.source[1]];
    c = pointer[step.source[2]];
    function = primitive.variant[uniform[step.source[1]] | uniform[step.source[2]] << 1];
  }
  if (function == nullptr) [[unlikely]]
    return run_rare_step(frame, step, n);
  frame.uniform[step.destination] = 0;
  function(pointer[step.destination], a, b, c, n);
}

// --- Flat runs --------------------------------------------------------------------------------------

namespace {

[[gnu::noinline]] void run_flat_tiles(const Program& program, const void* const* inputs, uint32_t scalar_mask,
                                      void* const* outputs, int64_t count, int64_t first) {
  TD_ASSERT(!program.rows);
  const int64_t tile = std::min(program.tile, static_cast<int64_t>(round_up(static_cast<size_t>(count))));
  Frame frame;
  Arena measure(nullptr);
  frame.lay_out(measure, program, tile);
  Arena arena(thread_scratch(measure.used()));
  frame.lay_out(arena, program, tile);
  frame.bind(tile);
  const Stage& stage = program.stages[0];
  const size_t slots = program.slots.size();
  for (size_t i = 0; i < slots; ++i) {
    const Slot& slot = program.slots[i];
    if (slot.kind == SlotKind::input) {
      frame.pointer[i] = static_cast<char*>(const_cast<void*>(inputs[slot.index]));
      frame.uniform[i] = scalar_mask >> slot.index & 1;
    } else if (slot.kind == SlotKind::output) {
      frame.pointer[i] = static_cast<char*>(outputs[slot.index]);
    }
  }
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

// --- Layouts ----------------------------------------------------------------------------------------

Layout::Layout(std::span<const int64_t> shape, std::span<const int64_t> strides) {
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 1) continue;
    if (rank > 0 && stride[rank - 1] == strides[i] * shape[i]) {
      size[rank - 1] *= shape[i];
      stride[rank - 1] = strides[i];
    } else {
      size[rank] = shape[i];
      stride[rank++] = strides[i];
    }
  }
  if (rank == 0) {
    size[0] = 1;
    rank = 1;
  }
}

namespace {

/// Calls body(offset, done, run) for each stretch of elements p to p + n at one stride.
template <class Body>
void for_each_run(const Layout& layout, int64_t p, int64_t n, Body&& body) {
  int64_t at[max_rank], offset = 0;
  for (int d = layout.rank - 1; d > 0; --d) {
    at[d] = p % layout.size[d];
    p /= layout.size[d];
    offset += at[d] * layout.stride[d];
  }
  at[0] = p;
  offset += p * layout.stride[0];
  const int inner = layout.rank - 1;
  for (int64_t done = 0; done < n;) {
    const int64_t run = std::min(n - done, layout.size[inner] - at[inner]);
    body(offset, done, run);
    done += run;
    offset += run * layout.stride[inner];
    at[inner] += run;
    for (int d = inner; d > 0 && at[d] == layout.size[d]; --d) {
      at[d] = 0;
      offset += layout.stride[d - 1] - layout.size[d] * layout.stride[d];
      ++at[d - 1];
    }
  }
}

}  // namespace

void offsets_of(const Layout& layout, int64_t p, int64_t n, int64_t* offsets) {
  const int64_t stride = layout.inner_stride();
  for_each_run(layout, p, n, [&](int64_t offset, int64_t done, int64_t run) {
    for (int64_t i = 0; i < run; ++i) offsets[done + i] = offset + i * stride;
  });
}

void gather(const PrimitiveTable& table, const Layout& layout, int size_index, const char* data, int64_t p,
            int64_t n, char* out) {
  const int64_t stride = layout.inner_stride();
  const auto move = table.gather[size_index];
  for_each_run(layout, p, n, [&](int64_t offset, int64_t done, int64_t run) {
    move(out + (done << size_index), data + (offset << size_index), run, stride);
  });
}

void scatter(const PrimitiveTable& table, const Layout& layout, int size_index, char* data, int64_t p,
             int64_t n, const char* in) {
  const int64_t stride = layout.inner_stride();
  const auto move = table.scatter[size_index];
  for_each_run(layout, p, n, [&](int64_t offset, int64_t done, int64_t run) {
    move(data + (offset << size_index), stride, in + (done << size_index), run);
  });
}

}  // namespace tandem::kernel
