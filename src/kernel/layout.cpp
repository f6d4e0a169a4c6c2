// How logical elements lie in memory, and moving them to and from tiles.

#include <algorithm>
#include <cstring>

#include "kernel/interpreter.h"

namespace tandem::kernel {

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

/// Walks elements p to p + n in pieces at one stride: body(offset, done, rows, run), where rows > 1 only
/// for whole rows of the innermost dimension (run is its size) along the one before it.
template <class Body>
void for_each_piece(const Layout& layout, int64_t p, int64_t n, Body&& body) {
  int64_t at[max_rank], offset = 0;
  for (int d = layout.rank - 1; d > 0; --d) {
    at[d] = p % layout.size[d];
    p /= layout.size[d];
    offset += at[d] * layout.stride[d];
  }
  at[0] = p;
  offset += p * layout.stride[0];
  const int inner = layout.rank - 1;
  const int64_t inner_size = layout.size[inner];
  for (int64_t done = 0; done < n;) {
    int64_t rows = 1, run = std::min(n - done, inner_size - at[inner]);
    int moved = inner;
    if (inner > 0 && run == inner_size) {
      rows = std::min((n - done) / inner_size, layout.size[inner - 1] - at[inner - 1]);
      moved = inner - 1;
    }
    body(offset, done, rows, run);
    done += rows * run;
    const int64_t steps = moved == inner ? run : rows;
    offset += steps * layout.stride[moved];
    at[moved] += steps;
    for (int d = moved; d > 0 && at[d] == layout.size[d]; --d) {
      at[d] = 0;
      offset += layout.stride[d - 1] - layout.size[d] * layout.stride[d];
      ++at[d - 1];
    }
  }
}

}  // namespace

void offsets_of(const Layout& layout, int64_t p, int64_t n, int64_t* offsets) {
  const int64_t stride = layout.inner_stride(),
                row_stride = layout.rank > 1 ? layout.stride[layout.rank - 2] : 0;
  for_each_piece(layout, p, n, [&](int64_t offset, int64_t done, int64_t rows, int64_t run) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < run; ++i) offsets[done + r * run + i] = offset + r * row_stride + i * stride;
  });
}

void gather(const PrimitiveTable& table, const Layout& layout, int size_index, const char* data, int64_t p,
            int64_t n, char* out) {
  const int64_t stride = layout.inner_stride(),
                row_stride = layout.rank > 1 ? layout.stride[layout.rank - 2] : 0;
  int64_t fetched = n;
  if (layout.rank > 1 && layout.stride[0] == 0) {  // the same elements again and again
    int64_t period = 1;
    for (int d = 1; d < layout.rank; ++d) period *= layout.size[d];
    fetched = std::min(n, period);
  }
  for_each_piece(layout, p, fetched, [&](int64_t offset, int64_t done, int64_t rows, int64_t run) {
    char* to = out + (done << size_index);
    const char* from = data + (offset << size_index);
    if (rows == 1) {
      table.gather[size_index](to, from, run, stride);
    } else {
      table.gather_rows[size_index](to, from, rows, run, row_stride, stride);
    }
  });
  while (fetched < n) {
    const int64_t more = std::min(fetched, n - fetched);
    std::memcpy(out + (fetched << size_index), out, static_cast<size_t>(more) << size_index);
    fetched += more;
  }
}

void copy_strided(const View& from, void* to) {
  const int64_t count = from.shape.element_count();
  if (count > 0)
    gather(primitives(), Layout(from.shape, from.strides), size_index(from.dtype),
           static_cast<const char*>(from.data), 0, count, static_cast<char*>(to));
}

void scatter(const PrimitiveTable& table, const Layout& layout, int size_index, char* data, int64_t p,
             int64_t n, const char* in) {
  const int64_t stride = layout.inner_stride(),
                row_stride = layout.rank > 1 ? layout.stride[layout.rank - 2] : 0;
  for_each_piece(layout, p, n, [&](int64_t offset, int64_t done, int64_t rows, int64_t run) {
    for (int64_t r = 0; r < rows; ++r)
      table.scatter[size_index](data + ((offset + r * row_stride) << size_index), stride,
                                in + ((done + r * run) << size_index), run);
  });
}

}  // namespace tandem::kernel
