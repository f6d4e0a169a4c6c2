// Row programs, run in one of two ways that give the same bits: along each row, or across many rows at
// once with one row per lane. The second serves rows whose own elements lie far apart but which have
// neighbours next to them (a sum over axis 0), and rows too short to fill a vector.
//
// The order of a reduction, by logical index i in the row: partial result i mod 32 of block i / 4096
// takes its elements in order; a block's partial results are combined as p[j] = p[j] op p[j + s] for
// s = 16, 8, 4, 2, 1 (absent ones left out); blocks are combined in pairs like a binary counter counts:
// 0 with 1, 2 with 3, then those two, ..., and what is left at the end from the last to the first.

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "kernel/nest.h"

namespace tandem::kernel {

namespace {

constexpr int64_t block_size = 4096;
constexpr int partial_count = 32;
constexpr int64_t short_row = 32;

/// Blocks' results waiting for their partner: at most one per bit of the number of blocks.
constexpr int tree_depth(int64_t length) {
  int depth = 2;
  for (int64_t blocks = length / block_size + 1; blocks > 1; blocks /= 2) ++depth;
  return depth;
}

Op combining(Op reduction) {
  switch (reduction) {
    case Op::reduce_sum:
      return Op::add;
    case Op::reduce_product:
      return Op::multiply;
    case Op::reduce_maximum:
      return Op::maximum;
    default:
      return Op::minimum;
  }
}

/// What an empty row gives.
uint64_t empty_result(Op reduction, DType type) {
  uint64_t bits = 0;
  const int size = static_cast<int>(size_of(type));
  const auto top = uint64_t{1} << (size * 8 - 1);
  const bool real = is_floating(type), has_sign = is_signed(type);
  switch (reduction) {
    case Op::reduce_sum:
      return 0;
    case Op::reduce_product:
      return type == DType::f32 ? 0x3f800000u : type == DType::f64 ? 0x3ff0000000000000u : 1;
    case Op::reduce_maximum:
      return type == DType::f32 ? 0xff800000u : real ? 0xfff0000000000000u : has_sign ? top : 0;
    default:
      bits = type == DType::f32 ? 0x7f800000u
             : real             ? 0x7ff0000000000000u
             : has_sign         ? top - 1
                                : top - 1 + top;
      return type == DType::boolean ? 1 : bits;
  }
}

struct RowNest final : LoopNest::State {
  struct Operand {
    Layout outer, row;
  };
  /// One row's, or one group of rows', running results of one reduction.
  struct Partials {
    char* values = nullptr;  ///< along: 32 elements; across: 32 vectors of lanes
    char* tree = nullptr;
    int depth = 0;
    int64_t blocks = 0;
  };

  void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const override {
    if (begin >= end) return;
    across ? run_across(inputs, outputs, begin, end) : run_along(inputs, outputs, begin, end);
  }
  void run_along(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;
  void run_across(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;
  void combine_blocks(const Frame& frame, const ReductionStep& step, Partials& partials, int64_t lanes,
                      int64_t lane_capacity, bool last) const;

  std::vector<Operand> inputs_, outputs_;
  int64_t length = 0;
  bool across = false;
  int64_t lane_capacity = 0;
  int64_t lane_row = 0;  ///< groups of lanes end at multiples of it; 0: anywhere
};

/// Called with a block's result on top of the tree.
void RowNest::combine_blocks(const Frame& frame, const ReductionStep& step, Partials& partials, int64_t lanes,
                             int64_t capacity, bool last) const {
  const auto function =
      frame.table->primitive[primitive_index(combining(step.op), step.type, step.type)].variant[0];
  const int64_t bytes = capacity * 8;
  const auto combine_top = [&] {
    --partials.depth;
    char* left = partials.tree + (partials.depth - 1) * bytes;
    function(left, left, left + bytes, nullptr, lanes);
  };
  ++partials.blocks;
  for (int64_t b = partials.blocks; b % 2 == 0; b /= 2) combine_top();
  while (last && partials.depth > 1) combine_top();
}

void RowNest::run_along(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  const Program& p = *program;
  const int64_t tile = p.tile;
  const int64_t capacity = std::min(tile, static_cast<int64_t>(round_up(static_cast<size_t>(length))) + 64);
  Frame frame;
  char *row_scalars = nullptr, *moved = nullptr;
  size_t most_reductions = 0;
  for (const Stage& stage : p.stages) most_reductions = std::max(most_reductions, stage.reductions.size());
  char** buffers = nullptr;
  char* buffer_data = nullptr;
  Partials* partials = nullptr;
  char* partial_data = nullptr;
  const int depth = tree_depth(length);
  const size_t tiles = p.inputs.size() + p.outputs.size();
  const auto lay_out = [&](Arena& arena) {
    frame.lay_out(arena, p, capacity);
    row_scalars = arena.take(static_cast<size_t>(p.row_scalar_count) * 8);
    moved = arena.take(tiles * static_cast<size_t>(capacity) * p.element_size);
    partials = arena.take<Partials>(most_reductions);
    partial_data = arena.take(most_reductions * static_cast<size_t>(partial_count + depth) * 8);
    buffers = arena.take<char*>(p.slots.size());
    buffer_data =
        arena.take(static_cast<size_t>(p.buffer_count) * static_cast<size_t>(length + 8) * p.element_size);
  };
  Arena measure(nullptr);
  lay_out(measure);
  Arena arena(thread_scratch(measure.used()));
  lay_out(arena);
  frame.bind(capacity);
  for (size_t i = 0; i < most_reductions; ++i) {
    partials[i].values = partial_data + i * static_cast<size_t>(partial_count + depth) * 8;
    partials[i].tree = partials[i].values + partial_count * 8;
  }
  for (size_t i = 0; i < p.slots.size(); ++i) {
    const Slot& slot = p.slots[i];
    if (slot.kind == SlotKind::row_scalar) {
      frame.pointer[i] = row_scalars + slot.index * 8;
      frame.uniform[i] = 1;
    } else if (slot.kind == SlotKind::row_buffer) {
      buffers[i] = buffer_data + slot.index * (length + 8) * p.element_size;
    }
  }
  for (uint16_t slot : p.row_count_slots) std::memcpy(frame.pointer[slot], &length, 8);

  for (int64_t row = begin; row < end; ++row) {
    for (const Stage& stage : p.stages) {
      run_steps(frame, stage.row_steps, 1);
      if (stage.steps.empty() && stage.reductions.empty()) continue;
      for (size_t r = 0; r < stage.reductions.size(); ++r) {
        const ReductionStep& step = stage.reductions[r];
        frame.table
            ->reduction[static_cast<int>(step.op) - static_cast<int>(Op::reduce_sum)]
                       [static_cast<int>(step.type)]
            .start(partials[r].values);
        partials[r].depth = 0;
        partials[r].blocks = 0;
      }
      for (int64_t at = 0; at < length; at += tile) {
        const int64_t n = std::min(tile, length - at);
        char* free = moved;
        for (uint16_t slot : stage.inputs) {
          const Operand& operand = inputs_[static_cast<size_t>(p.slots[slot].index)];
          const int size = size_index(p.slots[slot].type);
          char* data = static_cast<char*>(const_cast<void*>(inputs[p.slots[slot].index])) +
                       (operand.outer.offset(row) << size);
          const int64_t stride = operand.row.inner_stride();
          frame.uniform[slot] = 0;
          if ((stride == 0 || stride == 1) && operand.row.is_run(at, n)) {
            frame.pointer[slot] = data + (operand.row.offset(at) << size);
            frame.uniform[slot] = stride == 0;
          } else {
            gather(*frame.table, operand.row, size, data, at, n, free);
            frame.pointer[slot] = free;
            free += capacity * p.element_size;
          }
        }
        for (uint16_t slot : stage.outputs) {
          const Operand& operand = outputs_[static_cast<size_t>(p.slots[slot].index)];
          const int size = size_index(p.slots[slot].type);
          if (operand.row.is_contiguous()) {
            frame.pointer[slot] =
                static_cast<char*>(outputs[p.slots[slot].index]) + ((operand.outer.offset(row) + at) << size);
          } else {
            frame.pointer[slot] = free;
            free += capacity * p.element_size;
          }
        }
        for (uint16_t slot : stage.buffers) {
          frame.pointer[slot] = buffers[slot] + at * slot_size(p.slots[slot].type);
          frame.uniform[slot] = 0;
        }
        frame.element_index = static_cast<uint64_t>(row * length + at);
        run_steps(frame, stage.steps, n);
        for (size_t r = 0; r < stage.reductions.size(); ++r) {
          const ReductionStep& step = stage.reductions[r];
          const ReductionPrimitive& primitive =
              frame.table->reduction[static_cast<int>(step.op) - static_cast<int>(Op::reduce_sum)]
                                    [static_cast<int>(step.type)];
          const char* source = frame.pointer[step.source];
          if (frame.uniform[step.source]) {
            spread_tile(frame, step.type, frame.spread[0], source, n);
            source = frame.spread[0];
          }
          primitive.accumulate(partials[r].values, source, n);
          const bool last = at + n == length;
          if (last || (at + n) % block_size == 0) {
            primitive.fold(partials[r].tree + 8 * partials[r].depth++, partials[r].values);
            combine_blocks(frame, step, partials[r], 1, 1, last);
            if (!last) primitive.start(partials[r].values);
          }
        }
        for (uint16_t slot : stage.outputs) {
          const Operand& operand = outputs_[static_cast<size_t>(p.slots[slot].index)];
          if (operand.row.is_contiguous()) continue;
          const int size = size_index(p.slots[slot].type);
          scatter(*frame.table, operand.row, size,
                  static_cast<char*>(outputs[p.slots[slot].index]) + (operand.outer.offset(row) << size), at,
                  n, frame.pointer[slot]);
        }
      }
      for (size_t r = 0; r < stage.reductions.size(); ++r) {
        const ReductionStep& step = stage.reductions[r];
        const uint64_t empty = empty_result(step.op, step.type);
        std::memcpy(frame.pointer[step.destination],
                    length == 0 ? reinterpret_cast<const char*>(&empty) : partials[r].tree, 8);
      }
    }
    for (size_t o = 0; o < p.outputs.size(); ++o) {
      if (!p.outputs[o].row_scalar) continue;
      const size_t size = size_of(p.outputs[o].dtype);
      std::memcpy(static_cast<char*>(outputs[o]) + outputs_[o].outer.offset(row) * static_cast<int64_t>(size),
                  frame.pointer[p.outputs[o].slot], size);
    }
  }
}

/// How neighbouring rows lie in memory for one operand.
struct Lanes {
  int64_t base = 0, stride = 0;
  const int64_t* offsets = nullptr;  ///< relative to base; null: at `stride`

  void set(const Layout& outer, int64_t row, int64_t n, int64_t* table) {
    base = outer.offset(row);
    stride = outer.inner_stride();
    offsets = nullptr;
    if (outer.is_run(row, n)) return;
    offsets_of(outer, row, n, table);
    for (int64_t i = 0; i < n; ++i) table[i] -= base;
    offsets = table;
  }
};

void RowNest::run_across(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  const Program& p = *program;
  const int64_t capacity = lane_capacity;
  const int64_t vector_bytes = capacity * p.element_size;
  const size_t operand_count = p.inputs.size() + p.outputs.size();
  size_t most_reductions = 0;
  for (const Stage& stage : p.stages) most_reductions = std::max(most_reductions, stage.reductions.size());
  const int64_t partial_rows = std::min<int64_t>(partial_count, std::max<int64_t>(length, 1));
  const int depth = tree_depth(length);
  Frame frame;
  char *row_scalars = nullptr, *moved = nullptr, *partial_data = nullptr, *buffer_data = nullptr;
  Partials* partials = nullptr;
  Lanes* lanes_of = nullptr;
  int64_t* tables = nullptr;
  const auto lay_out = [&](Arena& arena) {
    frame.lay_out(arena, p, capacity);
    row_scalars = arena.take(static_cast<size_t>(p.row_scalar_count * capacity * 8));
    moved = arena.take(operand_count * static_cast<size_t>(vector_bytes));
    partials = arena.take<Partials>(most_reductions);
    partial_data = arena.take(most_reductions * static_cast<size_t>((partial_rows + depth) * capacity * 8));
    lanes_of = arena.take<Lanes>(operand_count);
    tables = arena.take<int64_t>(operand_count * static_cast<size_t>(capacity));
    buffer_data = arena.take(static_cast<size_t>(p.buffer_count * length * vector_bytes));
  };
  Arena measure(nullptr);
  lay_out(measure);
  Arena arena(thread_scratch(measure.used()));
  lay_out(arena);
  frame.bind(capacity);
  for (size_t i = 0; i < most_reductions; ++i) {
    partials[i].values = partial_data + static_cast<int64_t>(i) * (partial_rows + depth) * capacity * 8;
    partials[i].tree = partials[i].values + partial_rows * capacity * 8;
  }
  for (size_t i = 0; i < p.slots.size(); ++i)
    if (p.slots[i].kind == SlotKind::row_scalar)
      frame.pointer[i] = row_scalars + p.slots[i].index * capacity * 8;
  for (uint16_t slot : p.row_count_slots) {
    std::memcpy(frame.pointer[slot], &length, 8);
    frame.uniform[slot] = 1;
  }

  for (int64_t row = begin; row < end;) {
    int64_t n = std::min(capacity, end - row);
    if (lane_row > 0) n = std::min(n, lane_row - row % lane_row);
    for (size_t i = 0; i < operand_count; ++i) {
      const Operand& operand = i < p.inputs.size() ? inputs_[i] : outputs_[i - p.inputs.size()];
      lanes_of[i].set(operand.outer, row, n, tables + static_cast<int64_t>(i) * capacity);
    }
    for (const Stage& stage : p.stages) {
      run_steps(frame, stage.row_steps, n);
      if (stage.steps.empty() && stage.reductions.empty()) continue;
      for (size_t r = 0; r < stage.reductions.size(); ++r) partials[r].depth = 0, partials[r].blocks = 0;
      for (int64_t at = 0; at < length; ++at) {
        char* free = moved;
        for (uint16_t slot : stage.inputs) {
          const auto i = static_cast<size_t>(p.slots[slot].index);
          const int size = size_index(p.slots[slot].type);
          const Lanes& lanes = lanes_of[i];
          char* data = static_cast<char*>(const_cast<void*>(inputs[i])) +
                       ((lanes.base + inputs_[i].row.offset(at)) << size);
          frame.uniform[slot] = 0;
          if (lanes.offsets == nullptr && (lanes.stride == 0 || lanes.stride == 1)) {
            frame.pointer[slot] = data;
            frame.uniform[slot] = lanes.stride == 0;
            continue;
          }
          if (lanes.offsets == nullptr) {
            frame.table->gather[size](free, data, n, lanes.stride);
          } else {
            frame.table->gather_at[size](free, data, lanes.offsets, n);
          }
          frame.pointer[slot] = free;
          free += vector_bytes;
        }
        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          const Lanes& lanes = lanes_of[p.inputs.size() + o];
          const int size = size_index(p.slots[slot].type);
          if (lanes.offsets == nullptr && lanes.stride == 1) {
            frame.pointer[slot] =
                static_cast<char*>(outputs[o]) + ((lanes.base + outputs_[o].row.offset(at)) << size);
          } else {
            frame.pointer[slot] = free;
            free += vector_bytes;
          }
        }
        for (uint16_t slot : stage.buffers) {
          frame.pointer[slot] = buffer_data + (p.slots[slot].index * length + at) * vector_bytes;
          frame.uniform[slot] = 0;
        }
        run_steps(frame, stage.steps, n);
        for (size_t r = 0; r < stage.reductions.size(); ++r) {
          const ReductionStep& step = stage.reductions[r];
          const size_t size = size_of(step.type);
          const char* source = frame.pointer[step.source];
          if (frame.uniform[step.source]) {
            spread_tile(frame, step.type, frame.spread[0], source, n);
            source = frame.spread[0];
          }
          const auto function =
              frame.table->primitive[primitive_index(combining(step.op), step.type, step.type)].variant[0];
          const int64_t in_block = at % block_size;
          const auto partial = [&](int64_t j) { return partials[r].values + j * capacity * 8; };
          if (in_block < partial_count) {
            std::memcpy(partial(in_block), source, static_cast<size_t>(n) * size);
          } else {
            char* target = partial(in_block % partial_count);
            function(target, target, source, nullptr, n);
          }
          const bool last = at + 1 == length;
          if (last || in_block + 1 == block_size) {
            const int64_t present = std::min<int64_t>(partial_count, in_block + 1);
            for (int64_t stride = partial_count / 2; stride > 0; stride /= 2)
              for (int64_t j = 0; j < stride && j + stride < present; ++j)
                function(partial(j), partial(j), partial(j + stride), nullptr, n);
            std::memcpy(partials[r].tree + partials[r].depth++ * capacity * 8, partial(0),
                        static_cast<size_t>(n) * size);
            combine_blocks(frame, step, partials[r], n, capacity, last);
          }
        }
        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          const Lanes& lanes = lanes_of[p.inputs.size() + o];
          if (lanes.offsets == nullptr && lanes.stride == 1) continue;
          const int size = size_index(p.slots[slot].type);
          char* data = static_cast<char*>(outputs[o]) + ((lanes.base + outputs_[o].row.offset(at)) << size);
          if (lanes.offsets == nullptr) {
            frame.table->scatter[size](data, lanes.stride, frame.pointer[slot], n);
          } else {
            frame.table->scatter_at[size](data, lanes.offsets, frame.pointer[slot], n);
          }
        }
      }
      for (size_t r = 0; r < stage.reductions.size(); ++r) {
        const ReductionStep& step = stage.reductions[r];
        char* result = frame.pointer[step.destination];
        if (length > 0) {
          std::memcpy(result, partials[r].tree, static_cast<size_t>(n) * size_of(step.type));
        } else {
          const uint64_t empty = empty_result(step.op, step.type);
          spread_tile(frame, step.type, result, reinterpret_cast<const char*>(&empty), n);
        }
        frame.uniform[step.destination] = 0;
      }
    }
    for (size_t o = 0; o < p.outputs.size(); ++o) {
      if (!p.outputs[o].row_scalar) continue;
      const uint16_t slot = p.outputs[o].slot;
      const Lanes& lanes = lanes_of[p.inputs.size() + o];
      const int size = size_index(p.outputs[o].dtype);
      const char* source = frame.pointer[slot];
      if (frame.uniform[slot]) {
        spread_tile(frame, p.outputs[o].dtype, frame.spread[0], source, n);
        source = frame.spread[0];
      }
      char* data = static_cast<char*>(outputs[o]) + (lanes.base << size);
      if (lanes.offsets == nullptr) {
        frame.table->scatter[size](data, lanes.stride, source, n);
      } else {
        frame.table->scatter_at[size](data, lanes.offsets, source, n);
      }
    }
    row += n;
  }
}

}  // namespace

std::unique_ptr<LoopNest::State> make_rows(const Program& program, const Shape& shape, int row_rank,
                                           std::span<const Strides> input_strides,
                                           std::span<const Strides> output_strides) {
  TD_ASSERT(row_rank >= 0 && row_rank <= shape.rank() && input_strides.size() == program.inputs.size() &&
            output_strides.size() == program.outputs.size());
  auto nest = std::make_unique<RowNest>();
  nest->program = program.shared_from_this();
  const size_t outer_rank = static_cast<size_t>(shape.rank() - row_rank);
  const std::span<const int64_t> sizes = shape;
  nest->units = 1;
  nest->length = 1;
  for (size_t i = 0; i < sizes.size(); ++i) (i < outer_rank ? nest->units : nest->length) *= sizes[i];
  const auto operand = [&](const Strides& strides, bool has_row) {
    const std::span<const int64_t> s = strides;
    TD_ASSERT(s.size() == sizes.size() || (!has_row && s.size() >= outer_rank));
    RowNest::Operand result;
    result.outer = Layout(sizes.first(outer_rank), s.first(outer_rank));
    if (has_row) result.row = Layout(sizes.subspan(outer_rank), s.subspan(outer_rank));
    return result;
  };
  bool indexed = false;
  for (const Instruction& x : program.code) indexed |= x.op == Op::element_index;
  int far_apart = 0, neighbours = 0;  // operands better run along, or across
  const auto judge = [&](const RowNest::Operand& o) {
    const bool row_good = o.row.rank == 1 && (o.row.stride[0] == 1 || o.row.stride[0] == 0);
    const bool lanes_good = o.outer.inner_stride() == 1 && o.outer.inner_size() >= 8;
    if (!row_good && lanes_good) ++neighbours;
    if (row_good && !lanes_good && o.row.stride[0] == 1) ++far_apart;
    if (o.outer.inner_size() >= short_row && !o.outer.is_contiguous() && o.outer.rank > 1)
      nest->lane_row =
          nest->lane_row == 0 ? o.outer.inner_size() : std::min(nest->lane_row, o.outer.inner_size());
  };
  for (const Strides& s : input_strides) {
    nest->inputs_.push_back(operand(s, true));
    judge(nest->inputs_.back());
  }
  for (size_t i = 0; i < output_strides.size(); ++i) {
    nest->outputs_.push_back(operand(output_strides[i], !program.outputs[i].row_scalar));
    if (!program.outputs[i].row_scalar) judge(nest->outputs_.back());
  }
  nest->across = !indexed && nest->units > 1 &&
                 ((nest->length < short_row && nest->units >= 8) || neighbours > far_apart);
  if (nest->across) {
    // Enough lanes to pay for a step's call, few enough for partial results and buffers to stay in cache.
    int64_t lanes = nest->length < short_row ? 256 : 128;
    while (lanes > 16 && nest->length * lanes * program.element_size * program.buffer_count > 256 * 1024)
      lanes /= 2;
    nest->lane_capacity = std::min(lanes, static_cast<int64_t>(round_up(static_cast<size_t>(nest->units))));
  }
  nest->unit_cost = std::max<int64_t>(1, program.cost + static_cast<int64_t>(program.inputs.size())) *
                    std::max<int64_t>(1, nest->length);
  return nest;
}

}  // namespace tandem::kernel
