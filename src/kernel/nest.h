#pragma once
// The two kinds of loop nests behind LoopNest.

#include "kernel/interpreter.h"

namespace tandem::kernel {

struct LoopNest::State {
  virtual ~State() = default;
  virtual void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const = 0;

  std::shared_ptr<const Program> program;
  int64_t units = 0, unit_cost = 1;
};

/// Rows (rows.cpp).
std::unique_ptr<LoopNest::State> make_rows(const Program& program, const Shape& shape, int row_rank,
                                           std::span<const Strides> input_strides,
                                           std::span<const Strides> output_strides);

}  // namespace tandem::kernel
