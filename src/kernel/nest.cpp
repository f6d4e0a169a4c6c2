// Element programs over broadcast and strided inputs.

#include "kernel/nest.h"

#include <algorithm>

#include "core/check.h"

namespace tandem::kernel {

namespace {

/// Rows of the innermost dimension at least this long are run one by one, with their operands in place;
/// shorter ones share tiles, and what isn't contiguous is gathered.
constexpr int64_t shortest_row = 128;

struct ElementNest final : LoopNest::State {
  void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const override;

  std::vector<Layout> layouts;
  bool flat = true;
  uint32_t scalar_mask = 0;
  int64_t row = 0;  ///< tiles end at multiples of it; 0: anywhere
  int64_t gathered = 0;
};

void ElementNest::run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  if (begin >= end) return;
  const Program& p = *program;
  const size_t input_count = p.inputs.size();
  if (flat) {
    const void* in[32];
    void* out[32];
    for (size_t i = 0; i < input_count; ++i) {
      const bool scalar = scalar_mask >> i & 1;
      in[i] = static_cast<const char*>(inputs[i]) + (scalar ? 0 : begin * slot_size(p.inputs[i]));
    }
    for (size_t i = 0; i < p.outputs.size(); ++i)
      out[i] = static_cast<char*>(outputs[i]) + begin * slot_size(p.outputs[i].dtype);
    return run_flat(p, in, scalar_mask, out, end - begin, begin);
  }
  const int64_t tile = p.tile;
  Frame frame;
  char* gather_base = nullptr;
  const auto lay_out = [&](Arena& arena) {
    frame.lay_out(arena, p, tile);
    gather_base = arena.take(static_cast<size_t>(gathered * tile * p.element_size));
  };
  Arena measure(nullptr);
  lay_out(measure);
  Arena arena(thread_scratch(measure.used()));
  lay_out(arena);
  frame.bind(tile);
  const Stage& stage = p.stages[0];
  for (int64_t at = begin; at < end;) {
    int64_t n = std::min(tile, end - at);
    if (row > 0) n = std::min(n, row - at % row);
    char* free = gather_base;
    for (uint16_t slot : stage.inputs) {
      const Layout& layout = layouts[static_cast<size_t>(p.slots[slot].index)];
      const int size = size_index(p.slots[slot].type);
      char* data = static_cast<char*>(const_cast<void*>(inputs[p.slots[slot].index]));
      const int64_t stride = layout.inner_stride();
      frame.uniform[slot] = 0;
      if ((stride == 0 || stride == 1) && layout.is_run(at, n)) {
        frame.pointer[slot] = data + (layout.offset(at) << size);
        frame.uniform[slot] = stride == 0;
      } else {
        gather(*frame.table, layout, size, data, at, n, free);
        frame.pointer[slot] = free;
        free += tile * p.element_size;
      }
    }
    for (uint16_t slot : stage.outputs)
      frame.pointer[slot] =
          static_cast<char*>(outputs[p.slots[slot].index]) + at * slot_size(p.slots[slot].type);
    frame.element_index = static_cast<uint64_t>(at);
    run_steps(frame, stage.steps, n);
    at += n;
  }
}

}  // namespace

LoopNest LoopNest::elementwise(const Program& program, const Shape& shape,
                               std::span<const Strides> input_strides) {
  TD_ASSERT(!program.rows && input_strides.size() == program.inputs.size() && program.inputs.size() <= 32 &&
            program.outputs.size() <= 32);
  auto nest = std::make_unique<ElementNest>();
  nest->program = program.shared_from_this();
  nest->units = shape.element_count();
  nest->unit_cost = std::max(program.cost, 1);
  for (size_t i = 0; i < input_strides.size(); ++i) {
    TD_ASSERT(input_strides[i].rank() == shape.rank());
    const Layout layout(shape, input_strides[i]);
    nest->layouts.push_back(layout);
    if (layout.is_uniform()) {
      nest->scalar_mask |= 1u << i;
    } else if (!layout.is_contiguous()) {
      nest->flat = false;
      ++nest->gathered;
      if (layout.inner_size() >= shortest_row)
        nest->row = nest->row == 0 ? layout.inner_size() : std::min(nest->row, layout.inner_size());
    }
  }
  LoopNest result;
  result.state_ = std::move(nest);
  return result;
}

LoopNest LoopNest::rows(const Program& program, const Shape& shape, int row_rank,
                        std::span<const Strides> input_strides, std::span<const Strides> output_strides) {
  LoopNest result;
  result.state_ = make_rows(program, shape, row_rank, input_strides, output_strides);
  return result;
}

LoopNest::LoopNest() = default;
LoopNest::LoopNest(LoopNest&&) noexcept = default;
LoopNest& LoopNest::operator=(LoopNest&&) noexcept = default;
LoopNest::~LoopNest() = default;

int64_t LoopNest::unit_count() const { return state_->units; }
int64_t LoopNest::unit_cost() const { return state_->unit_cost; }
void LoopNest::run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const {
  state_->run(inputs, outputs, begin, end);
}

}  // namespace tandem::kernel
