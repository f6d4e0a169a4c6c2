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
  // Each element of the result sums over the last axis of the left factor.
  static int64_t operations(std::span<const Spec> in, std::span<const Spec> out) {
    const int64_t result = out[0].shape.element_count(), inner = in[0].shape.back();
    return result < 0 || inner < 0 ? -1 : 2 * result * inner;
  }

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
      Shape shape = dy.shape().codes();
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

/// Two matrices and a sum, as BLAS names it: the product is MatMul's, bit for bit.
struct Gemm {
  static constexpr std::string_view name = "Gemm";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating | type_bit(DType::u32) | type_bit(DType::u64) |
                                   type_bit(DType::i32) | type_bit(DType::i64);
  struct Attributes {
    float alpha = 1, beta = 1;
    bool transpose_a = false, transpose_b = false;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("beta", &Attributes::beta),
                        field("transA", &Attributes::transpose_a), field("transB", &Attributes::transpose_b)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"A", types}, {"B", types}, {"C", types, 0, InputDef::optional}}};
  // The inner size is what the left factor has and the result has not.
  static int64_t operations(std::span<const Spec> in, std::span<const Spec> out) {
    const int64_t left = in[0].shape.element_count(), result = out[0].shape.element_count();
    if (left < 0 || result < 0) return -1;
    return result == 0 ? 0 : 2 * left / out[0].shape[0] * result;
  }

  static void infer(InferContext& c, const Attributes& a) {
    for (int i : {0, 1})
      TD_CHECK(c.rank(i) == 2, "{} has shape {}; a matrix is needed", inputs[i].name, c.shape(i));
    const int64_t m = c.shape(0)[a.transpose_a ? 1 : 0], ka = c.shape(0)[a.transpose_a ? 0 : 1];
    const int64_t kb = c.shape(1)[a.transpose_b ? 1 : 0], n = c.shape(1)[a.transpose_b ? 0 : 1];
    TD_CHECK(ka == kb || ka < 0 || kb < 0, "shapes {} and {} do not multiply: inner sizes {} and {} differ",
             c.shape(0), c.shape(1), ka, kb);
    const Shape product{m, n};
    if (c.has(2)) {
      const Shape& added = c.shape(2);
      bool fits = added.rank() <= 2;
      for (int i = 1; fits && i <= added.rank(); ++i) {
        const int64_t own = added[added.rank() - i], size = product[2 - i];
        fits = own == 1 || own == size || own < 0 || size < 0;
      }
      TD_CHECK(fits, "C of shape {} does not broadcast to the product's shape {}", added, product);
    }
    c.output(c.dtype(0), product);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    Tensor y = matmul(a.transpose_a ? transpose(in[0]) : in[0], a.transpose_b ? transpose(in[1]) : in[1]);
    if (a.alpha != 1) y = y * a.alpha;
    if (in.size() > 2 && in[2].defined() && a.beta != 0) y = y + (a.beta == 1 ? in[2] : in[2] * a.beta);
    return {y};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor &x = g.x(0), &y = g.x(1), dy = g.dy();
    const Tensor scaled = a.alpha == 1 ? dy : dy * a.alpha;
    Tensors result{{}, {}, {}};
    if (g.needs(0)) {
      const Tensor d = matmul(scaled, a.transpose_b ? y : transpose(y));
      result[0] = a.transpose_a ? transpose(d) : d;
    }
    if (g.needs(1)) {
      const Tensor d = matmul(a.transpose_a ? x : transpose(x), scaled);
      result[1] = a.transpose_b ? transpose(d) : d;
    }
    if (g.needs(2)) result[2] = sum_to(a.beta == 1 ? dy : dy * a.beta, g.x(2).shape());
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor a({{1.f, 2.f, 3.f}, {-1.f, 0.5f, 2.f}}), b({{1.f, 0.f}, {2.f, -1.f}, {0.5f, 1.f}});
    const Tensor row({0.5f, -1.f}), column({{2.f}, {1.f}});
    const Attributes first{.alpha = 0.5f, .transpose_a = true}, second{.beta = 2, .transpose_b = true};
    const auto box = [](const Attributes& x) { return AttributeBox(attribute_type<Attributes>, &x); };
    return {{{a, b}, {}},
            {{a, b, row}, {}},
            {{transpose(a), b, column}, box(first)},
            {{a, transpose(b), Tensor(3.f)}, box(second)},
            {{a, b, row}, box({.beta = 0})}};
  }
};

constexpr const OpDef* matmul_table[] = {&op_def<MatMul>, &op_def<Gemm>};

}  // namespace

std::span<const OpDef* const> matmul_ops() { return matmul_table; }

Tensor matmul(const Operand& a, const Operand& b) { return dispatch<MatMul>({}, a, b); }
Tensor gemm(const Operand& a, const Operand& b, const Operand& c, float alpha, float beta, bool transpose_a,
            bool transpose_b) {
  return dispatch<Gemm>({alpha, beta, transpose_a, transpose_b}, a, b, c);
}

}  // namespace tandem
