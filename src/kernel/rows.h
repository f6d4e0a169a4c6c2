#pragma once
// Row programs over one loop nest. There are three ways to run one, all with the same bits:
//
// - along a row, tile by tile: long rows;
// - batched, with many short rows in one tile: rows that lie (or are gathered) one after the other;
// - across, with one row per lane: rows whose own elements lie far apart but which have neighbours next
//   to them (a sum over axis 0), and rows of a few elements.
//
// The order of a reduction, by logical index i in the row: partial result i mod 32 of block i / 4096
// takes its elements in order; a block's partial results are combined as p[j] = p[j] op p[j + s] for
// s = 16, 8, 4, 2, 1 (absent ones left out); blocks are combined in pairs like a binary counter counts:
// 0 with 1, 2 with 3, then those two, ..., and what is left at the end from the last to the first.
// Minimum and maximum give the same in any order, so they are taken in the quickest.

#include "kernel/nest.h"

namespace tandem::kernel {

inline constexpr int64_t block_size = 4096;
inline constexpr int partial_count = 32;

/// The operation that combines two results of a reduction.
Op combining(Op reduction);
/// What an empty row gives.
uint64_t empty_result(Op reduction, DType type);
/// Blocks' results waiting for their partner, at most: one per bit of the number of blocks.
constexpr int tree_depth(int64_t length) {
  int depth = 2;
  for (int64_t blocks = length / block_size + 1; blocks > 1; blocks /= 2) ++depth;
  return depth;
}
inline const ReductionPrimitive& reduction_primitive(const PrimitiveTable& table, const ReductionStep& step) {
  return table
      .reduction[static_cast<int>(step.op) - static_cast<int>(Op::reduce_sum)][static_cast<int>(step.type)];
}

struct RowNest final : LoopNest::State {
  struct Operand {
    Layout outer, row, whole;
  };
  enum class Way { along, batched, across };

  void run(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const override;
  void run_along(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;
  void run_batched(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;
  void run_across(const void* const* inputs, void* const* outputs, int64_t begin, int64_t end) const;

  std::vector<Operand> operands;  ///< inputs, then outputs
  Way way = Way::along;
  int64_t length = 0;
  int64_t lane_capacity = 0;
  int64_t lane_row = 0;  ///< groups of lanes end at multiples of it; 0: anywhere

  const Operand& input(int i) const { return operands[static_cast<size_t>(i)]; }
  const Operand& output(size_t i) const { return operands[program->inputs.size() + i]; }
};

/// One reduction's results of the blocks so far, for one row or for a vector of rows.
struct BlockTree {
  char* values = nullptr;  ///< partial results of the current block
  char* tree = nullptr;
  int depth = 0;
  int64_t blocks = 0;

  char* next(int64_t bytes) { return tree + depth++ * bytes; }
  /// After a block's result was put at next(): combines pairs that are complete, at the end all.
  void combine(PrimitiveFunction function, int64_t lanes, int64_t bytes, bool last);
};

}  // namespace tandem::kernel
