// Row programs with one row per lane. A tile holds a few consecutive positions of all lanes, position by
// position, so that steps and reductions run over many elements at once.

#include <algorithm>
#include <cstring>

#include "kernel/rows.h"

namespace tandem::kernel {

namespace {

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

/// `positions` from `at` on, of `n` lanes.
struct Region {
  int64_t at, positions, n;
};

/// Their memory when it is a tile as it stands, else null.
char* in_place(const Layout& row, const Lanes& lanes, int size, char* data, Region r) {
  const bool contiguous = lanes.offsets == nullptr && lanes.stride == 1 &&
                          (r.positions == 1 || (row.rank == 1 && row.stride[0] == r.n));
  return contiguous ? data + ((lanes.base + row.offset(r.at)) << size) : nullptr;
}

void gather_region(const PrimitiveTable& table, const Layout& row, const Lanes& lanes, int size,
                   const char* data, Region r, char* out) {
  data += lanes.base << size;
  if (lanes.offsets == nullptr && row.rank == 1)
    return table.gather_rows[size](out, data + (row.offset(r.at) << size), r.positions, r.n, row.stride[0],
                                   lanes.stride);
  for (int64_t k = 0; k < r.positions; ++k) {
    const char* from = data + (row.offset(r.at + k) << size);
    char* to = out + ((k * r.n) << size);
    if (lanes.offsets == nullptr) {
      table.gather[size](to, from, r.n, lanes.stride);
    } else {
      table.gather_at[size](to, from, lanes.offsets, r.n);
    }
  }
}

void scatter_region(const PrimitiveTable& table, const Layout& row, const Lanes& lanes, int size, char* data,
                    Region r, const char* in) {
  data += lanes.base << size;
  if (lanes.offsets == nullptr && row.is_contiguous() && r.at == 0 && lanes.stride == r.positions)
    return table.gather_rows[size](data, in, r.n, r.positions, 1, r.n);  // whole rows, one after the other
  for (int64_t k = 0; k < r.positions; ++k) {
    char* to = data + (row.offset(r.at + k) << size);
    const char* from = in + ((k * r.n) << size);
    if (lanes.offsets == nullptr) {
      table.scatter[size](to, lanes.stride, from, r.n);
    } else {
      table.scatter_at[size](to, lanes.offsets, from, r.n);
    }
  }
}

}  // namespace

void RowNest::run_across(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  const Program& p = *program;
  const int64_t capacity = lane_capacity;
  const int64_t tile_bytes = p.tile * p.element_size + 64, scalar_bytes = capacity * 8;
  size_t most_reductions = 0;
  for (const Stage& stage : p.stages) most_reductions = std::max(most_reductions, stage.reductions.size());
  const int64_t buffer_bytes = length * capacity * p.element_size;
  const int64_t partial_bytes = partial_count * capacity * 8, tree_bytes = tree_depth(length) * capacity * 8;
  char *row_scalars = nullptr, *repeated = nullptr, *moved = nullptr, *partials = nullptr, *buffers = nullptr;
  BlockTree* trees = nullptr;
  Lanes* lanes_of = nullptr;
  int64_t* tables = nullptr;
  const auto lay_out = [&](Arena arena) {
    row_scalars = arena.take(static_cast<size_t>(p.row_scalar_count * scalar_bytes));
    repeated = arena.take(static_cast<size_t>(p.row_scalar_count * tile_bytes));
    moved = arena.take(operands.size() * static_cast<size_t>(tile_bytes));
    trees = arena.take<BlockTree>(most_reductions);
    partials = arena.take(most_reductions * static_cast<size_t>(partial_bytes + tree_bytes));
    lanes_of = arena.take<Lanes>(operands.size());
    tables = arena.take<int64_t>(operands.size() * static_cast<size_t>(capacity));
    buffers = arena.take(static_cast<size_t>(p.buffer_count * buffer_bytes));
    return arena.used();
  };
  char* const scratch = thread_scratch(lay_out(Arena(nullptr, p.frame_bytes)));
  lay_out(Arena(scratch, p.frame_bytes));
  Frame frame(p, scratch);
  for (size_t i = 0; i < most_reductions; ++i) {
    trees[i].values = partials + static_cast<int64_t>(i) * (partial_bytes + tree_bytes);
    trees[i].tree = trees[i].values + partial_bytes;
  }
  const auto scalar = [&](uint16_t slot) { return row_scalars + p.slots[slot].index * scalar_bytes; };
  for (size_t i = 0; i < p.slots.size(); ++i)
    if (p.slots[i].kind == SlotKind::row_scalar) frame.pointer[i] = scalar(static_cast<uint16_t>(i));
  for (uint16_t slot : p.row_count_slots) {
    std::memcpy(frame.pointer[slot], &length, 8);
    frame.uniform[slot] = 1;
  }

  for (int64_t row = begin; row < end;) {
    int64_t n = std::min(capacity, end - row);
    if (lane_row > 0) n = std::min(n, lane_row - row % lane_row);
    // A divisor of the partial results' count, so that a tile meets consecutive ones.
    int64_t most_positions = partial_count;
    while (most_positions > 1 && most_positions * n > p.tile) most_positions /= 2;
    for (size_t i = 0; i < operands.size(); ++i)
      lanes_of[i].set(operands[i].outer, row, n, tables + static_cast<int64_t>(i) * capacity);

    for (const Stage& stage : p.stages) {
      run_steps(frame, stage.row_steps, n);
      if (stage.steps.empty() && stage.reductions.empty()) continue;
      for (uint16_t slot : stage.scalars) {
        if (frame.uniform[slot] || most_positions == 1) continue;
        const auto bytes = static_cast<size_t>(n) * size_of(p.slots[slot].type);
        char* to = repeated + p.slots[slot].index * tile_bytes;
        for (int64_t k = 0; k < std::min(most_positions, length); ++k)
          std::memcpy(to + static_cast<size_t>(k) * bytes, frame.pointer[slot], bytes);
        frame.pointer[slot] = to;
      }
      for (size_t r = 0; r < stage.reductions.size(); ++r) trees[r].depth = 0, trees[r].blocks = 0;
      for (int64_t at = 0; at < length; at += most_positions) {
        const Region region{at, std::min(most_positions, length - at), n};
        const int64_t count = region.positions * n;
        char* free = moved;
        for (uint16_t slot : stage.inputs) {
          const auto i = static_cast<size_t>(p.slots[slot].index);
          const Layout& layout = operands[i].row;
          const int size = size_index(p.slots[slot].type);
          char* data = static_cast<char*>(const_cast<void*>(inputs[i]));
          const Lanes& lanes = lanes_of[i];
          const bool same =
              lanes.offsets == nullptr && lanes.stride == 0 && (region.positions == 1 || layout.is_uniform());
          frame.uniform[slot] = same;
          frame.pointer[slot] = same ? data + ((lanes.base + layout.offset(at)) << size)
                                     : in_place(layout, lanes, size, data, region);
          if (frame.pointer[slot] != nullptr) continue;
          gather_region(*frame.table, layout, lanes, size, data, region, free);
          frame.pointer[slot] = free;
          free += tile_bytes;
        }
        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          frame.pointer[slot] =
              in_place(output(o).row, lanes_of[p.inputs.size() + o], size_index(p.slots[slot].type),
                       static_cast<char*>(outputs[o]), region);
          if (frame.pointer[slot] != nullptr) continue;
          frame.pointer[slot] = free;
          free += tile_bytes;
        }
        for (uint16_t slot : stage.buffers) {
          frame.pointer[slot] =
              buffers + p.slots[slot].index * buffer_bytes + at * n * slot_size(p.slots[slot].type);
          frame.uniform[slot] = 0;
        }
        run_steps(frame, stage.steps, count);

        for (size_t r = 0; r < stage.reductions.size(); ++r) {
          const ReductionStep& step = stage.reductions[r];
          BlockTree& tree = trees[r];
          const int64_t size = slot_size(step.type), in_block = at % block_size;
          const char* source = frame.pointer[step.source];
          if (frame.uniform[step.source]) {
            fill(frame, step.type, frame.spread_tile(0), source, count);
            source = frame.spread_tile(0);
          }
          const auto function =
              frame.table->primitive[primitive_index(combining(step.op), step.type, step.type)].variant[0];
          char* target = tree.values + in_block % partial_count * n * size;
          if (in_block < partial_count) {
            std::memcpy(target, source, static_cast<size_t>(count * size));
          } else {
            function(target, target, source, nullptr, count);
          }
          const int64_t done = in_block + region.positions;
          const bool last = at + region.positions == length;
          if (!last && done != block_size) continue;
          const int64_t present = std::min<int64_t>(partial_count, done);
          for (int64_t s = partial_count / 2; s > 0; s /= 2)
            if (const int64_t pairs = std::min(s, present - s); pairs > 0)
              function(tree.values, tree.values, tree.values + s * n * size, nullptr, pairs * n);
          std::memcpy(tree.next(scalar_bytes), tree.values, static_cast<size_t>(n * size));
          tree.combine(function, n, scalar_bytes, last);
        }

        for (uint16_t slot : stage.outputs) {
          const auto o = static_cast<size_t>(p.slots[slot].index);
          const Lanes& lanes = lanes_of[p.inputs.size() + o];
          const int size = size_index(p.slots[slot].type);
          char* data = static_cast<char*>(outputs[o]);
          if (in_place(output(o).row, lanes, size, data, region) == nullptr)
            scatter_region(*frame.table, output(o).row, lanes, size, data, region, frame.pointer[slot]);
        }
      }
      for (uint16_t slot : stage.scalars) frame.pointer[slot] = scalar(slot);
      for (size_t r = 0; r < stage.reductions.size(); ++r) {
        const ReductionStep& step = stage.reductions[r];
        if (length > 0) {
          std::memcpy(scalar(step.destination), trees[r].tree, static_cast<size_t>(n) * size_of(step.type));
        } else {
          const uint64_t empty = empty_result(step.op, step.type);
          fill(frame, step.type, scalar(step.destination), reinterpret_cast<const char*>(&empty), n);
        }
        frame.uniform[step.destination] = 0;
      }
    }

    for (size_t o = 0; o < p.outputs.size(); ++o) {
      if (!p.outputs[o].row_scalar) continue;
      const uint16_t slot = p.outputs[o].slot;
      const char* source = frame.pointer[slot];
      if (frame.uniform[slot]) {
        fill(frame, p.outputs[o].dtype, frame.spread_tile(0), source, n);
        source = frame.spread_tile(0);
      }
      scatter_region(*frame.table, Layout(), lanes_of[p.inputs.size() + o], size_index(p.outputs[o].dtype),
                     static_cast<char*>(outputs[o]), {0, 1, n}, source);
    }
    row += n;
  }
}

}  // namespace tandem::kernel
