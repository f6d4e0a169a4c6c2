// Choosing how to run a row program, and running it along rows.

#include "kernel/rows.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"

namespace tandem::kernel {

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

uint64_t empty_result(Op reduction, DType type) {
  const auto top = uint64_t{1} << (size_of(type) * 8 - 1);
  const bool real = is_floating(type), has_sign = is_signed(type);
  switch (reduction) {
    case Op::reduce_sum:
      return 0;
    case Op::reduce_product:
      return type == DType::f32 ? 0x3f800000u : type == DType::f64 ? 0x3ff0000000000000u : 1;
    case Op::reduce_maximum:
      return type == DType::f32 ? 0xff800000u : real ? 0xfff0000000000000u : has_sign ? top : 0;
    default:
      if (type == DType::boolean) return 1;
      return type == DType::f32 ? 0x7f800000u
             : real             ? 0x7ff0000000000000u
             : has_sign         ? top - 1
                                : top - 1 + top;
  }
}

void BlockTree::combine(PrimitiveFunction function, int64_t lanes, int64_t bytes, bool last) {
  const auto combine_top = [&] {
    --depth;
    char* left = tree + (depth - 1) * bytes;
    function(left, left, left + bytes, nullptr, lanes);
  };
  ++blocks;
  for (int64_t b = blocks; b % 2 == 0; b /= 2) combine_top();
  while (last && depth > 1) combine_top();
}

void RowNest::run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  if (begin >= end) return;
  switch (way) {
    case Way::along:
      return run_along(inputs, outputs, begin, end);
    case Way::batched:
      return run_batched(inputs, outputs, begin, end);
    case Way::across:
      return run_across(inputs, outputs, begin, end);
  }
}

void RowNest::run_along(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  const Program& p = *program;
  const int64_t tile = p.tile;
  size_t most_reductions = 0;
  for (const Stage& stage : p.stages) most_reductions = std::max(most_reductions, stage.reductions.size());
  const auto partial_bytes = static_cast<size_t>(partial_count + tree_depth(length)) * 8;
  const int64_t buffer_bytes =
      static_cast<int64_t>(round_up(static_cast<size_t>(length * p.element_size))) + 64;
  const int64_t tile_bytes = tile * p.element_size;
  char *row_scalars = nullptr, *moved = nullptr, *partials = nullptr, *buffers = nullptr;
  BlockTree* trees = nullptr;
  const auto lay_out = [&](Arena arena) {
    row_scalars = arena.take(static_cast<size_t>(p.row_scalar_count) * 8);
    moved = arena.take(operands.size() * static_cast<size_t>(tile_bytes));
    trees = arena.take<BlockTree>(most_reductions);
    partials = arena.take(most_reductions * partial_bytes);
    buffers = arena.take(static_cast<size_t>(p.buffer_count * buffer_bytes));
    return arena.used();
  };
  char* const scratch = thread_scratch(lay_out(Arena(nullptr, p.frame_bytes)));
  lay_out(Arena(scratch, p.frame_bytes));
  Frame frame(p, scratch);
  for (size_t i = 0; i < most_reductions; ++i) {
    trees[i].values = partials + i * partial_bytes;
    trees[i].tree = trees[i].values + partial_count * 8;
  }
  for (size_t i = 0; i < p.slots.size(); ++i) {
    if (p.slots[i].kind != SlotKind::row_scalar) continue;
    frame.pointer[i] = row_scalars + p.slots[i].index * 8;
    frame.uniform[i] = 1;
  }
  for (uint16_t slot : p.row_count_slots) std::memcpy(frame.pointer[slot], &length, 8);

  for (int64_t row = begin; row < end; ++row) {
    for (const Stage& stage : p.stages) {
      run_steps(frame, stage.row_steps, 1);
      if (stage.steps.empty() && stage.reductions.empty()) continue;
      for (int64_t at = 0; at < length; at += tile) {
        const int64_t n = std::min(tile, length - at);
        char* free = moved;
        for (uint16_t slot : stage.inputs) {
          const int i = p.slots[slot].index;
          const Operand& operand = input(i);
          const int size = size_index(p.slots[slot].type);
          char* data = static_cast<char*>(const_cast<void*>(inputs[i])) + (operand.outer.offset(row) << size);
          const int64_t stride = operand.row.inner_stride();
          frame.uniform[slot] = 0;
          if ((stride == 0 || stride == 1) && operand.row.is_run(at, n)) {
            frame.pointer[slot] = data + (operand.row.offset(at) << size);
            frame.uniform[slot] = stride == 0;
          } else {
            gather(*frame.table, operand.row, size, data, at, n, free);
            frame.pointer[slot] = free;
            free += tile_bytes;
          }
        }
        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          const int size = size_index(p.slots[slot].type);
          if (output(o).row.is_contiguous()) {
            frame.pointer[slot] =
                static_cast<char*>(outputs[o]) + ((output(o).outer.offset(row) + at) << size);
          } else {
            frame.pointer[slot] = free;
            free += tile_bytes;
          }
        }
        for (uint16_t slot : stage.buffers) {
          frame.pointer[slot] =
              buffers + p.slots[slot].index * buffer_bytes + at * slot_size(p.slots[slot].type);
          frame.uniform[slot] = 0;
        }
        frame.element_index = static_cast<uint64_t>(row * length + at);
        run_steps(frame, stage.steps, n);
        for (size_t r = 0; r < stage.reductions.size(); ++r) {
          const ReductionStep& step = stage.reductions[r];
          const ReductionPrimitive& primitive = reduction_primitive(*frame.table, step);
          BlockTree& tree = trees[r];
          const char* source = frame.pointer[step.source];
          if (frame.uniform[step.source]) {
            fill(frame, step.type, frame.spread_tile(0), source, n);
            source = frame.spread_tile(0);
          }
          const bool last = at + n == length, whole = at % block_size == 0 && (last || n == block_size);
          if (at == 0) tree.depth = 0, tree.blocks = 0;
          if (whole) {
            primitive.rows(tree.next(8), source, 1, n);
          } else {
            if (at % block_size == 0) primitive.start(tree.values);
            primitive.accumulate(tree.values, source, n);
            if (!last && (at + n) % block_size != 0) continue;
            primitive.fold(tree.next(8), tree.values);
          }
          tree.combine(
              frame.table->primitive[primitive_index(combining(step.op), step.type, step.type)].variant[0], 1,
              8, last);
        }
        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          if (output(o).row.is_contiguous()) continue;
          const int size = size_index(p.slots[slot].type);
          scatter(*frame.table, output(o).row, size,
                  static_cast<char*>(outputs[o]) + (output(o).outer.offset(row) << size), at, n,
                  frame.pointer[slot]);
        }
      }
      for (size_t r = 0; r < stage.reductions.size(); ++r) {
        const ReductionStep& step = stage.reductions[r];
        const uint64_t empty = empty_result(step.op, step.type);
        std::memcpy(frame.pointer[step.destination],
                    length == 0 ? reinterpret_cast<const char*>(&empty) : trees[r].tree, 8);
      }
    }
    for (size_t o = 0; o < p.outputs.size(); ++o) {
      if (!p.outputs[o].row_scalar) continue;
      const size_t size = size_of(p.outputs[o].dtype);
      std::memcpy(static_cast<char*>(outputs[o]) + output(o).outer.offset(row) * static_cast<int64_t>(size),
                  frame.pointer[p.outputs[o].slot], size);
    }
  }
}

namespace {

/// Rows up to here share a tile; longer ones have one of their own.
constexpr int64_t longest_batched = 512;

void choose_way(RowNest& nest) {
  const Program& p = *nest.program;
  int prefer_along = 0, prefer_across = 0;
  bool indexed = false;
  for (const Instruction& x : p.code) indexed |= x.op == Op::element_index;
  for (size_t i = 0; i < nest.operands.size(); ++i) {
    if (i >= p.inputs.size() && p.outputs[i - p.inputs.size()].row_scalar) continue;
    const RowNest::Operand& o = nest.operands[i];
    const bool row_good = o.row.rank == 1 && (o.row.stride[0] == 1 || o.row.stride[0] == 0);
    const bool lanes_good = o.outer.inner_stride() == 1 && o.outer.inner_size() >= 8;
    if (!row_good && lanes_good) ++prefer_across;
    if (row_good && !lanes_good && o.row.stride[0] == 1) ++prefer_along;
    if (o.outer.rank > 1 && o.outer.inner_size() >= 32)
      nest.lane_row =
          nest.lane_row == 0 ? o.outer.inner_size() : std::min(nest.lane_row, o.outer.inner_size());
  }
  using Way = RowNest::Way;
  const bool many = nest.units >= 16;
  if (!indexed && nest.units > 1 && (prefer_across > prefer_along || (nest.length < 32 && many))) {
    nest.way = Way::across;
    // Enough lanes to pay for a step's call, few enough for partial results and buffers to stay in cache.
    int64_t lanes = nest.length < 32 ? 256 : 128;
    while (lanes > 16 && nest.length * lanes * p.element_size * p.buffer_count > 256 * 1024) lanes /= 2;
    nest.lane_capacity = std::min(lanes, static_cast<int64_t>(round_up(static_cast<size_t>(nest.units))));
  } else if (nest.units > 1 && nest.length > 0 && nest.length <= std::min(longest_batched, p.tile / 2)) {
    nest.way = Way::batched;
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
  const auto outer_rank = static_cast<size_t>(shape.rank() - row_rank);
  const std::span<const int64_t> sizes = shape;
  nest->units = 1;
  nest->length = 1;
  for (size_t i = 0; i < sizes.size(); ++i) (i < outer_rank ? nest->units : nest->length) *= sizes[i];
  const auto add_operand = [&](const Strides& strides, bool has_row) {
    const std::span<const int64_t> s = strides;
    TD_ASSERT(s.size() == sizes.size() || (!has_row && s.size() >= outer_rank));
    RowNest::Operand operand;
    operand.outer = Layout(sizes.first(outer_rank), s.first(outer_rank));
    if (has_row) {
      operand.row = Layout(sizes.subspan(outer_rank), s.subspan(outer_rank));
      operand.whole = Layout(sizes, s);
    }
    nest->operands.push_back(operand);
  };
  for (const Strides& s : input_strides) add_operand(s, true);
  for (size_t i = 0; i < output_strides.size(); ++i)
    add_operand(output_strides[i], !program.outputs[i].row_scalar);
  choose_way(*nest);
  nest->unit_cost = std::max<int64_t>(1, program.cost + static_cast<int64_t>(program.inputs.size())) *
                    std::max<int64_t>(1, nest->length);
  return nest;
}

}  // namespace tandem::kernel
