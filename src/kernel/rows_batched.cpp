// Row programs with many short rows in one tile. Row scalars are vectors, one element a row; before the
// elements of a stage read them, each is repeated along its row.

#include <algorithm>
#include <cstring>

#include "kernel/rows.h"

namespace tandem::kernel {

void RowNest::run_batched(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  const Program& p = *program;
  const int64_t capacity = p.tile / length;  // rows in a tile
  const int64_t tile_bytes = p.tile * p.element_size + 64, scalar_bytes = capacity * 8;
  char *row_scalars = nullptr, *repeated = nullptr, *moved = nullptr, *buffers = nullptr;
  const auto lay_out = [&](Arena arena) {
    row_scalars = arena.take(static_cast<size_t>(p.row_scalar_count * scalar_bytes));
    repeated = arena.take(static_cast<size_t>(p.row_scalar_count * tile_bytes));
    moved = arena.take(operands.size() * static_cast<size_t>(tile_bytes));
    buffers = arena.take(static_cast<size_t>(p.buffer_count * tile_bytes));
    return arena.used();
  };
  char* const scratch = thread_scratch(lay_out(Arena(nullptr, p.frame_bytes)));
  lay_out(Arena(scratch, p.frame_bytes));
  Frame frame(p, scratch);
  const auto scalar = [&](uint16_t slot) { return row_scalars + p.slots[slot].index * scalar_bytes; };
  for (size_t i = 0; i < p.slots.size(); ++i) {
    if (p.slots[i].kind == SlotKind::row_scalar) frame.pointer[i] = scalar(static_cast<uint16_t>(i));
    if (p.slots[i].kind == SlotKind::row_buffer) frame.pointer[i] = buffers + p.slots[i].index * tile_bytes;
  }
  for (uint16_t slot : p.row_count_slots) {
    std::memcpy(frame.pointer[slot], &length, 8);
    frame.uniform[slot] = 1;
  }

  for (int64_t row = begin; row < end; row += capacity) {
    const int64_t rows = std::min(capacity, end - row), first = row * length, n = rows * length;
    frame.element_index = static_cast<uint64_t>(first);
    for (const Stage& stage : p.stages) {
      run_steps(frame, stage.row_steps, rows);
      if (stage.steps.empty() && stage.reductions.empty()) continue;
      for (uint16_t slot : stage.scalars) {
        if (frame.uniform[slot]) continue;
        char* to = repeated + p.slots[slot].index * tile_bytes;
        frame.table->gather_rows[size_index(p.slots[slot].type)](to, frame.pointer[slot], rows, length, 1, 0);
        frame.pointer[slot] = to;
      }
      char* free = moved;
      for (uint16_t slot : stage.inputs) {
        const int i = p.slots[slot].index;
        const Layout& layout = input(i).whole;
        const int size = size_index(p.slots[slot].type);
        char* data = static_cast<char*>(const_cast<void*>(inputs[i]));
        const int64_t stride = layout.inner_stride();
        frame.uniform[slot] = 0;
        if ((stride == 0 || stride == 1) && layout.is_run(first, n)) {
          frame.pointer[slot] = data + (layout.offset(first) << size);
          frame.uniform[slot] = stride == 0;
        } else {
          gather(*frame.table, layout, size, data, first, n, free);
          frame.pointer[slot] = free;
          free += tile_bytes;
        }
      }
      const auto in_place = [&](const Layout& layout) {
        return layout.inner_stride() == 1 && layout.is_run(first, n);
      };
      for (uint16_t slot : stage.outputs) {
        const auto o = static_cast<size_t>(p.slots[slot].index);
        const Layout& layout = output(o).whole;
        if (in_place(layout)) {
          frame.pointer[slot] =
              static_cast<char*>(outputs[o]) + (layout.offset(first) << size_index(p.slots[slot].type));
        } else {
          frame.pointer[slot] = free;
          free += tile_bytes;
        }
      }
      run_steps(frame, stage.steps, n);
      for (const ReductionStep& step : stage.reductions) {
        const char* source = frame.pointer[step.source];
        if (frame.uniform[step.source]) {
          fill(frame, step.type, frame.spread_tile(0), source, n);
          source = frame.spread_tile(0);
        }
        reduction_primitive(*frame.table, step).rows(scalar(step.destination), source, rows, length);
        frame.uniform[step.destination] = 0;
      }
      for (uint16_t slot : stage.scalars) frame.pointer[slot] = scalar(slot);
      for (uint16_t slot : stage.outputs) {
        const auto o = static_cast<size_t>(p.slots[slot].index);
        const Layout& layout = output(o).whole;
        if (!in_place(layout))
          scatter(*frame.table, layout, size_index(p.slots[slot].type), static_cast<char*>(outputs[o]), first,
                  n, frame.pointer[slot]);
      }
    }
    for (size_t o = 0; o < p.outputs.size(); ++o) {
      if (!p.outputs[o].row_scalar) continue;
      const uint16_t slot = p.outputs[o].slot;
      const char* source = frame.pointer[slot];
      if (frame.uniform[slot]) {
        fill(frame, p.outputs[o].dtype, frame.spread_tile(0), source, rows);
        source = frame.spread_tile(0);
      }
      scatter(*frame.table, output(o).outer, size_index(p.outputs[o].dtype), static_cast<char*>(outputs[o]),
              row, rows, source);
    }
  }
}

}  // namespace tandem::kernel
