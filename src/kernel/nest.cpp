// Element programs over broadcast and strided inputs.

#include "kernel/nest.h"

#include <algorithm>

#include "core/check.h"

namespace tandem::kernel {

namespace {

/// Rows of the innermost dimension at least this long are run one by one, with their operands in place;
/// shorter ones share tiles, and what isn't contiguous is gathered.
constexpr int64_t shortest_row = 128;
/// Of a transposed operand, this many rows are fetched at a time, so that each cache line is read once.
constexpr int64_t fetched_rows = 16;
constexpr int64_t longest_fetched = 4096;

struct ElementNest final : LoopNest::State {
  void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const override;

  std::vector<Layout> layouts;
  bool flat = true;
  uint32_t scalar_mask = 0;
  int64_t row = 0;  ///< tiles end at multiples of it; 0: anywhere
  int64_t gathered = 0;
  std::vector<char> transposed;  ///< by input
  size_t fetched_bytes = 0;      ///< for each transposed input
};

/// The rows of a transposed operand that were fetched last.
struct Fetched {
  int64_t first = 0, count = 0;
  char* data = nullptr;
};

/// Element `at` of a transposed operand, in a row fetched with its neighbours.
char* fetch(const PrimitiveTable& table, const Layout& layout, int size, const char* data, int64_t at,
            Fetched& fetched) {
  const int64_t inner = layout.inner_size(), row = at / inner, rows = layout.size[layout.rank - 2];
  if (row < fetched.first || row >= fetched.first + fetched.count) {
    fetched.first = row;
    fetched.count = std::min(fetched_rows, rows - row % rows);
    table.gather_rows[size](fetched.data, data + (layout.offset(row * inner) << size), fetched.count, inner,
                            1, layout.inner_stride());
  }
  return fetched.data + ((at - fetched.first * inner) << size);
}

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
  const size_t gather_bytes = static_cast<size_t>(gathered * tile * p.element_size);
  const size_t bytes = p.frame_bytes + gather_bytes + fetched_bytes * input_count;
  char* const scratch = thread_scratch(bytes);
  Frame frame(p, scratch);
  char* const gather_base = scratch + p.frame_bytes;
  Fetched fetched[32];
  for (size_t i = 0; i < input_count; ++i) fetched[i].data = gather_base + gather_bytes + i * fetched_bytes;
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
      } else if (transposed[static_cast<size_t>(p.slots[slot].index)] && n <= row) {
        frame.pointer[slot] = fetch(*frame.table, layout, size, data, at, fetched[p.slots[slot].index]);
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
    const bool turned = layout.rank > 1 && layout.stride[layout.rank - 2] == 1 && layout.inner_stride() > 1 &&
                        layout.inner_size() >= shortest_row && layout.inner_size() <= longest_fetched;
    nest->transposed.push_back(turned);
    if (turned)
      nest->fetched_bytes = std::max(
          nest->fetched_bytes,
          round_up(static_cast<size_t>(fetched_rows * layout.inner_size()) * size_of(program.inputs[i])));
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
