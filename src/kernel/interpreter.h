#pragma once
// What run_flat and the loop nests share: scratch memory, the frame of slots, one step over one tile.

#include "kernel/ir.h"
#include "kernel/primitives.h"

namespace tandem::kernel {

/// Scratch of this thread, at least `bytes` long, 64-byte aligned; contents are lost at the next call.
char* thread_scratch(size_t bytes);

constexpr size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

/// Hands out pieces of one block, from `used` on; with a null base it only measures.
class Arena {
 public:
  Arena(char* base, size_t used) : base_(base), used_(used) {}
  template <class T = char>
  T* take(size_t count) {
    T* p = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += round_up(count * sizeof(T));
    return p;
  }
  size_t used() const { return used_; }

 private:
  char* base_;
  size_t used_;
};

inline constexpr size_t spread_tiles = 4;

/// The state of one run: where each slot is now, and whether it is one element for all.
struct Frame {
  const Program* program = nullptr;
  const PrimitiveTable* table = nullptr;
  char** pointer = nullptr;
  uint8_t* uniform = nullptr;
  char* spread = nullptr;      ///< tiles for uniform operands of primitives without such a variant
  uint64_t element_index = 0;  ///< logical index of the tile's first element

  /// `base` has the program's frame_bytes.
  Frame(const Program& p, char* base)
      : program(&p),
        table(&primitives()),
        pointer(reinterpret_cast<char**>(base)),
        uniform(reinterpret_cast<uint8_t*>(base + p.uniform_offset)),
        spread(base + p.spread_offset) {
    const size_t count = p.slots.size();
    for (size_t i = 0; i < count; ++i) {
      const Program::Place& place = p.places[i];
      pointer[i] = reinterpret_cast<char*>(place.address + (place.moves & reinterpret_cast<uintptr_t>(base)));
      uniform[i] = p.uniform[i];
    }
  }
  char* spread_tile(size_t i) const { return spread + i * static_cast<size_t>(program->tile) * 8; }
};

/// Fills n elements of `out` with the one at `in`.
inline void fill(const Frame& frame, DType type, char* out, const char* in, int64_t n) {
  frame.table->primitive[copy_base + static_cast<int>(type)].variant[1](out, in, nullptr, nullptr, n);
}

/// Runs steps over n elements. A step of uniform operands gives a uniform result.
void run_steps(Frame& frame, const std::vector<Step>& steps, int64_t n);

/// A shape with strides, merged to the fewest dimensions.
struct Layout {
  int rank = 0;
  int64_t size[max_rank] = {};
  int64_t stride[max_rank] = {};

  Layout() = default;
  Layout(std::span<const int64_t> shape, std::span<const int64_t> strides);

  bool is_contiguous() const { return rank == 1 && stride[0] == 1; }
  bool is_uniform() const { return rank == 1 && stride[0] == 0; }
  /// Offset of logical element p.
  int64_t offset(int64_t p) const {
    if (rank == 1) return p * stride[0];
    int64_t result = 0;
    for (int d = rank - 1; d > 0; --d) {
      result += p % size[d] * stride[d];
      p /= size[d];
    }
    return result + p * stride[0];
  }
  int64_t inner_size() const { return size[rank - 1]; }
  int64_t inner_stride() const { return stride[rank - 1]; }
  /// True when elements p to p + n lie at one stride, inner_stride().
  bool is_run(int64_t p, int64_t n) const { return rank == 1 || p % inner_size() + n <= inner_size(); }
};

/// Rows of transposed memory are fetched this many at a time, so that each cache line is read once.
inline constexpr int64_t transposed_rows = 16;

/// Copies logical elements p to p + n of `data` (its element 0) to `out`, and back.
void gather(const PrimitiveTable& table, const Layout& layout, int size_index, const char* data, int64_t p,
            int64_t n, char* out);
void scatter(const PrimitiveTable& table, const Layout& layout, int size_index, char* data, int64_t p,
             int64_t n, const char* in);
/// The offsets of logical elements p to p + n.
void offsets_of(const Layout& layout, int64_t p, int64_t n, int64_t* offsets);

}  // namespace tandem::kernel
