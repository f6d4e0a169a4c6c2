// Matrix products.

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/families.h"
#include "runtime/matmul.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

/// The last two dimensions exchanged.
Tensor transposed(const Tensor& x) {
  Dims order;
  for (int i = 0; i < x.rank(); ++i) order.push_back(i);
  std::swap(order[x.rank() - 2], order[x.rank() - 1]);
  return transpose(x, order);
}

struct MatMul {
  static constexpr std::string_view name = "MatMul";
  static constexpr int since = 13;
  static constexpr uint32_t traits = strided;
  static constexpr std::array<InputDef, 2> inputs{{{"A", types::numeric}, {"B", types::numeric}}};

  static void infer(InferContext& c) {
    const Shape &a = c.shape(0), &b = c.shape(1);
    TD_CHECK(a.rank() > 0 && b.rank() > 0, "shapes {} and {} have no dimension to multiply over", a, b);
    const int64_t ka = a.back(), kb = b.rank() == 1 ? b[0] : b[b.rank() - 2];
    TD_CHECK(ka == kb || ka < 0 || kb < 0, "shapes {} and {} do not multiply: inner sizes {} and {} differ",
             a, b, ka, kb);
    Shape batch_a, batch_b;
    for (int i = 0; i + 2 < a.rank(); ++i) batch_a.push_back(a[i]);
    for (int i = 0; i + 2 < b.rank(); ++i) batch_b.push_back(b[i]);
    Shape shape = broadcast_shapes(batch_a, batch_b, &c);
    if (a.rank() > 1) shape.push_back(a[a.rank() - 2]);
    if (b.rank() > 1) shape.push_back(b.back());
    c.output(c.dtype(0), shape);
  }

  static void kernel(const KernelContext& k) {
    const View &a = k.inputs[0], &b = k.inputs[1], &y = k.outputs[0];
    const int ra = a.shape.rank(), rb = b.shape.rank();
    const int64_t m = ra > 1 ? a.shape[ra - 2] : 1, inner = a.shape.back(), n = rb > 1 ? b.shape.back() : 1;
    const size_t size = size_of(a.dtype);
    const runtime::Matrix ma{a.data, ra > 1 ? a.strides[ra - 2] : 0, a.strides[ra - 1]};
    const runtime::Matrix mb{b.data, rb > 1 ? b.strides[rb - 2] : b.strides[0],
                             rb > 1 ? b.strides[rb - 1] : 0};
    if (y.shape.element_count() == 0) return;
    const int batch_rank = y.shape.rank() - (ra > 1 ? 1 : 0) - (rb > 1 ? 1 : 0);
    // An odometer over the batch dimensions; operands broadcast with stride 0.
    Dims at = Dims::filled(batch_rank, 0);
    auto batch_stride = [&](const View& v, int i) -> int64_t {
      const int own = i - (batch_rank - (v.shape.rank() - 2));
      return own < 0 || v.shape.rank() < 3 || v.shape[own] == 1 ? 0 : v.strides[own];
    };
    auto* out = static_cast<std::byte*>(y.data);
    int64_t offset_a = 0, offset_b = 0;
    for (;;) {
      runtime::Matrix pa = ma, pb = mb;
      pa.data = static_cast<const std::byte*>(a.data) + offset_a * static_cast<int64_t>(size);
      pb.data = static_cast<const std::byte*>(b.data) + offset_b * static_cast<int64_t>(size);
      runtime::matmul(a.dtype, m, n, inner, pa, pb, out);
      out += static_cast<size_t>(m * n) * size;
      int i = batch_rank - 1;
      for (; i >= 0; --i) {
        offset_a += batch_stride(a, i);
        offset_b += batch_stride(b, i);
        if (++at[i] < y.shape[i]) break;
        offset_a -= batch_stride(a, i) * y.shape[i];
        offset_b -= batch_stride(b, i) * y.shape[i];
        at[i] = 0;
      }
      if (i < 0) return;
    }
  }

  static Tensors gradient(const Gradient& g) {
    const Tensor &a = g.x(0), &b = g.x(1);
    Tensor dy = g.dy();
    // Vectors count as matrices with one row or column.
    const Tensor ma = a.rank() > 1 ? a : reshape(a, {int64_t{1}, int64_t{-1}});
    const Tensor mb = b.rank() > 1 ? b : reshape(b, {int64_t{-1}, int64_t{1}});
    if (a.rank() == 1 || b.rank() == 1) {
      Shape shape = dy.shape();
      if (a.rank() == 1) shape.insert(b.rank() == 1 ? shape.rank() : shape.rank() - 1, 1);
      if (b.rank() == 1) shape.push_back(1);
      dy = reshape(dy, shape);
    }
    Tensors result{{}, {}};
    if (g.needs(0)) {
      Tensor da = matmul(dy, transposed(mb));
      if (!(da.shape() == ma.shape())) da = sum_to(da, ma.shape());
      result[0] = a.rank() > 1 ? da : reshape(da, a.shape());
    }
    if (g.needs(1)) {
      Tensor db = matmul(transposed(ma), dy);
      if (!(db.shape() == mb.shape())) db = sum_to(db, mb.shape());
      result[1] = b.rank() > 1 ? db : reshape(db, b.shape());
    }
    return result;
  }

  static std::vector<Sample> samples() {
    const Tensor a({{1.f, 2.f, 3.f}, {-1.f, 0.5f, 2.f}}), b({{1.f, 0.f}, {2.f, -1.f}, {0.5f, 1.f}});
    const Tensor v({1.f, -2.f, 0.5f});
    const Tensor batch({{{1.f, 2.f, 3.f}}, {{4.f, 5.f, 6.f}}});
    return {{{a, b}, {}}, {{v, b}, {}}, {{a, v}, {}}, {{v, v}, {}}, {{batch, b}, {}}};
  }
};

constexpr const OpDef* table[] = {&op_def<MatMul>};

}  // namespace

std::span<const OpDef* const> matmul_ops() { return table; }

Tensor matmul(const Operand& a, const Operand& b) { return dispatch<MatMul>({}, a, b); }

}  // namespace tandem
