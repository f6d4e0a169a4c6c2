// Linear algebra beyond products: determinants, inverses, factors. Everything is computed in float64.

#include "tandem/ops/linalg.h"

#include <cmath>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/linalg_bodies.h"
#include "ops/samples.h"
#include "runtime/linalg.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

// ---- Kernels, a matrix at a time

/// Memory of one thread that stays from call to call.
double* scratch(int64_t count) {
  thread_local std::vector<double> memory;
  if (memory.size() < static_cast<size_t>(count)) memory.resize(static_cast<size_t>(count));
  return memory.data();
}
int64_t* scratch_places(int64_t count) {
  thread_local std::vector<int64_t> memory;
  if (memory.size() < static_cast<size_t>(count)) memory.resize(static_cast<size_t>(count));
  return memory.data();
}

void load(const View& v, int64_t first, int64_t count, double* to) {
  with_element(v.dtype, [&]<class T>(T) {
    const T* from = static_cast<const T*>(v.data) + first;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<double>(static_cast<Computed<T>>(from[i]));
  });
}
void store(const double* from, const View& v, int64_t first, int64_t count) {
  with_element(v.dtype, [&]<class T>(T) {
    T* to = static_cast<T*>(v.data) + first;
    for (int64_t i = 0; i < count; ++i) to[i] = static_cast<T>(static_cast<Computed<T>>(from[i]));
  });
}

int64_t rows_of(const View& v) { return v.shape[v.shape.rank() - 2]; }
int64_t columns_of(const View& v) { return v.shape.back(); }

/// Calls f(i) for each matrix of the batch.
template <class F>
void each_matrix(const View& x, F&& f) {
  const int64_t m = rows_of(x), n = columns_of(x);
  const int64_t work = std::max<int64_t>(1, m * n * std::min(m, n));
  runtime::parallel_for(product(x.shape, 0, x.shape.rank() - 2), std::max<int64_t>(1, 32768 / work),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i) f(i);
                        });
}

[[noreturn]] void fail_singular(int64_t i) { fail("matrix {} is singular", i); }

// ---- Schema

void check_matrices(const InferContext& c, int i) {
  TD_CHECK(c.rank(i) >= 2, "{} has shape {}; matrices are needed", c.op().inputs[static_cast<size_t>(i)].name,
           c.shape(i));
}
void check_square(const InferContext& c, int i) {
  check_matrices(c, i);
  const Shape& s = c.shape(i);
  const int64_t m = s[s.rank() - 2], n = s.back();
  TD_CHECK(m == n || m < 0 || n < 0, "{} has shape {}; square matrices are needed",
           c.op().inputs[static_cast<size_t>(i)].name, s);
}
Shape batch_of(const Shape& matrices) {
  Shape s = matrices;
  s.resize(s.rank() - 2);
  return s;
}

struct LinearAlgebra {
  static constexpr std::string_view domain = "ai.tandem";
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::floating}}};
};

/// The last two dimensions exchanged.
Tensor turned(const Tensor& x) { return swapaxes(x, -1, -2); }
/// One number a matrix, ready to broadcast over it.
Tensor spread(const Tensor& x) { return unsqueeze(x, {-1, -2}); }

/// A ramp with `diagonal` added to the diagonals.
Tensor with_diagonal(const Shape& shape, float diagonal) {
  return ramp(shape) + diagonal * eye(shape[shape.rank() - 2], shape.back());
}

// ---- Determinants

struct Cofactor : LinearAlgebra {
  static constexpr std::string_view name = "Cofactor";
  static void infer(InferContext& c) {
    check_square(c, 0);
    c.output(c.dtype(0), c.shape(0));
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t n = columns_of(x), size = n * n;
    each_matrix(x, [&](int64_t i) {
      double* a = scratch(3 * size);
      load(x, i * size, size, a);
      runtime::cofactors(a, n, a + size, a + 2 * size, scratch_places(2 * n));
      store(a + size, k.outputs[0], i * size, size);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {linalg_bodies::cofactors(in[0])};
  }
  // y = det(x) x^-T. Where x is singular, this second derivative of the determinant is an error.
  static Tensors gradient(const Gradient& g) {
    const Tensor inverse = turned(linalg::inverse(g.x())), dy = g.dy();
    const Tensor total = reduce_sum(dy * g.y(), {-1, -2}, true);
    return {total * inverse - matmul(matmul(g.y(), turned(dy)), inverse)};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}},
            {{with_diagonal({2, 2, 2}, 2)}, {}},
            {{Tensor({{1.f, 2.f}, {2.f, 4.f}})}, {}, false},
            {{zeros({3, 3})}, {}, false},
            {{zeros({0, 2, 2})}, {}},
            {{zeros({2, 0, 0})}, {}}};
  }
};

struct Det : LinearAlgebra {
  static constexpr std::string_view name = "Det", domain = "";
  static constexpr int since = 22;
  static void infer(InferContext& c) {
    check_square(c, 0);
    c.output(c.dtype(0), batch_of(c.shape(0)));
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t n = columns_of(x), size = n * n;
    each_matrix(x, [&](int64_t i) {
      double* a = scratch(size);
      load(x, i * size, size, a);
      double det = runtime::lu_factor(a, n, scratch_places(n));
      for (int64_t d = 0; d < n; ++d) det *= a[d * n + d];
      store(&det, k.outputs[0], i, 1);
    });
  }
  static Tensors gradient(const Gradient& g) {
    return {spread(g.dy()) * dispatch<Cofactor>({}, Operand(g.x()))};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}},
            {{with_diagonal({2, 2, 2}, 2)}, {}},
            {{Tensor({{1.f, 2.f}, {2.f, 4.f}})}, {}, true, false},
            {{Tensor({{0.f, 2.f}, {3.f, 4.f}})}, {}},
            {{zeros({0, 2, 2})}, {}},
            {{zeros({2, 0, 0})}, {}}};
  }
};

struct SLogDet : LinearAlgebra {
  static constexpr std::string_view name = "SLogDet";
  static constexpr int outputs = 2;
  static void infer(InferContext& c) {
    check_square(c, 0);
    for (int i = 0; i < 2; ++i) c.output(c.dtype(0), batch_of(c.shape(0)));
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t n = columns_of(x), size = n * n;
    each_matrix(x, [&](int64_t i) {
      double* a = scratch(size);
      load(x, i * size, size, a);
      double sign = runtime::lu_factor(a, n, scratch_places(n)), total = 0;
      for (int64_t d = 0; d < n; ++d) {
        const double pivot = a[d * n + d];
        sign *= pivot > 0 ? 1 : pivot < 0 ? -1 : pivot;
        total += std::log(std::abs(pivot));
      }
      store(&sign, k.outputs[0], i, 1);
      store(&total, k.outputs[1], i, 1);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor d = det(cast(in[0], DType::f64));
    return {cast(sign(d), in[0].dtype()), cast(log(abs(d)), in[0].dtype())};
  }
  static Tensors gradient(const Gradient& g) { return {spread(g.dy(1)) * turned(linalg::inverse(g.x()))}; }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}},
            {{with_diagonal({2, 2, 2}, -2)}, {}},
            {{Tensor({{1.f, 2.f}, {2.f, 4.f}})}, {}, false},
            {{zeros({2, 0, 0})}, {}}};
  }
};

// ---- Inverse and Solve

struct Inverse : LinearAlgebra {
  static constexpr std::string_view name = "Inverse";
  static void infer(InferContext& c) {
    check_square(c, 0);
    c.output(c.dtype(0), c.shape(0));
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t n = columns_of(x), size = n * n;
    each_matrix(x, [&](int64_t i) {
      double *a = scratch(3 * size), *unit = a + size, *y = a + 2 * size;
      int64_t* rows = scratch_places(n);
      load(x, i * size, size, a);
      runtime::lu_factor(a, n, rows);
      if (!runtime::lu_is_regular(a, n)) fail_singular(i);
      for (int64_t d = 0; d < size; ++d) unit[d] = d % (n + 1) == 0 ? 1 : 0;
      runtime::lu_solve(a, rows, n, unit, n, y);
      store(y, k.outputs[0], i * size, size);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {linalg_bodies::inverse(in[0])};
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor y = turned(g.y());
    return {-matmul(matmul(y, g.dy()), y)};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}},
            {{with_diagonal({2, 2, 2}, -2)}, {}},
            {{Tensor({{0.f, 2.f}, {3.f, 4.f}})}, {}},
            {{zeros({0, 2, 2})}, {}},
            {{zeros({2, 0, 0})}, {}}};
  }
};

struct Solve : LinearAlgebra {
  static constexpr std::string_view name = "Solve";
  static constexpr std::array<InputDef, 2> inputs{{{"A", types::floating}, {"B", types::floating}}};
  static void infer(InferContext& c) {
    check_square(c, 0);
    check_matrices(c, 1);
    const Shape &a = c.shape(0), &b = c.shape(1);
    bool fits = a.rank() == b.rank();
    for (int i = 0; fits && i + 1 < a.rank(); ++i) fits = a[i] == b[i] || a[i] < 0 || b[i] < 0;
    TD_CHECK(fits, "A of shape {} and B of shape {} do not belong together", a, b);
    c.output(c.dtype(0), b);
  }
  static void kernel(const KernelContext& k) {
    const View &x = k.inputs[0], &b = k.inputs[1];
    const int64_t n = columns_of(x), size = n * n, sides = columns_of(b);
    each_matrix(x, [&](int64_t i) {
      double *a = scratch(size + 2 * n * sides), *right = a + size, *y = right + n * sides;
      int64_t* rows = scratch_places(n);
      load(x, i * size, size, a);
      load(b, i * n * sides, n * sides, right);
      runtime::lu_factor(a, n, rows);
      if (!runtime::lu_is_regular(a, n)) fail_singular(i);
      runtime::lu_solve(a, rows, n, right, sides, y);
      store(y, k.outputs[0], i * n * sides, n * sides);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {linalg_bodies::solve(in[0], in[1])};
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor db = dispatch<Solve>({}, Operand(turned(g.x(0))), Operand(g.dy()));
    return {g.needs(0) ? -matmul(db, turned(g.y())) : Tensor(), db};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2), ramp({3, 2})}, {}},
            {{with_diagonal({2, 2, 2}, -2), ramp({2, 2, 1})}, {}},
            {{zeros({2, 0, 0}), zeros({2, 0, 3})}, {}},
            {{with_diagonal({2, 2}, 2), zeros({2, 0})}, {}}};
  }
};

// ---- Factors

/// The lower triangle with half its diagonal.
Tensor lower_half(const Tensor& x) { return (tril(x) + tril(x, -1)) * 0.5; }

struct Cholesky : LinearAlgebra {
  static constexpr std::string_view name = "Cholesky";
  static void infer(InferContext& c) {
    check_square(c, 0);
    c.output(c.dtype(0), c.shape(0));
  }
  // Of the symmetric part, so that the symmetric gradient is exactly its derivative.
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t n = columns_of(x), size = n * n;
    each_matrix(x, [&](int64_t m) {
      double* a = scratch(size);
      load(x, m * size, size, a);
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < i; ++j) a[i * n + j] = a[j * n + i] = (a[i * n + j] + a[j * n + i]) / 2;
      const int64_t minors = runtime::cholesky_factor(a, n);
      TD_CHECK(minors == n,
               "matrix {} is not positive definite: its leading minor of order {} is not positive", m,
               minors + 1);
      store(a, k.outputs[0], m * size, size);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {linalg_bodies::cholesky(in[0])};
  }
  // L^-T Phi(L^T dL) L^-1, made symmetric (Murray 2016, "Differentiation of the Cholesky decomposition").
  static Tensors gradient(const Gradient& g) {
    const Tensor& l = g.y();
    const Tensor inverse = linalg::inverse(l);
    const Tensor d = matmul(matmul(turned(inverse), lower_half(matmul(turned(l), g.dy()))), inverse);
    return {(d + turned(d)) * 0.5};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{4.f, 1.f, -0.5f}, {1.f, 3.f, 0.25f}, {-0.5f, 0.25f, 2.f}});
    return {{{x}, {}}, {{stack({x, x + eye(3) * 2})}, {}}, {{zeros({0, 2, 2})}, {}}, {{zeros({0, 0})}, {}}};
  }
};

struct Qr : LinearAlgebra {
  static constexpr std::string_view name = "Qr";
  static constexpr int outputs = 2;
  static void infer(InferContext& c) {
    check_matrices(c, 0);
    Shape q = c.shape(0), r = q;
    const int64_t m = q[q.rank() - 2], n = q.back();
    const int64_t k = m < 0 || n < 0 ? c.fresh_symbol() : std::min(m, n);
    q[q.rank() - 1] = k;
    r[r.rank() - 2] = k;
    c.output(c.dtype(0), q);
    c.output(c.dtype(0), r);
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t m = rows_of(x), n = columns_of(x), inner = std::min(m, n);
    each_matrix(x, [&](int64_t i) {
      double *a = scratch(m * n + m * inner + inner * n + m), *q = a + m * n, *r = q + m * inner;
      load(x, i * m * n, m * n, a);
      runtime::qr_factor(a, m, n, inner, q, r, r + inner * n);
      store(q, k.outputs[0], i * m * inner, m * inner);
      store(r, k.outputs[1], i * inner * n, inner * n);
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const auto [q, r] = linalg_bodies::qr(in[0]);
    return {q, r};
  }
  /// For at least as many rows as columns (Walter and Lehmann 2013, "Algorithmic differentiation of linear
  /// algebra functions").
  static Tensor of_tall(const Tensor& q, const Tensor& r, const Tensor& dq, const Tensor& dr) {
    const Tensor m = matmul(r, turned(dr)) - matmul(turned(dq), q);
    const Tensor symmetric = tril(m) + turned(tril(m, -1));
    return matmul(dq + matmul(q, symmetric), turned(linalg::inverse(r)));
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor &x = g.x(), &q = g.y(0), &r = g.y(1);
    const int64_t rows = x.dim(-2), columns = x.dim(-1);
    if (rows >= columns) return {of_tall(q, r, g.dy(0), g.dy(1))};
    // x = [a | b] with a square: a = q u, and r is [u | q' b].
    const std::vector<Tensor> parts = split(r, {rows, columns - rows}, -1);
    const std::vector<Tensor> d = split(g.dy(1), {rows, columns - rows}, -1);
    const Tensor b = split(x, {rows, columns - rows}, -1)[1];
    const Tensor da = of_tall(q, parts[0], g.dy(0) + matmul(b, turned(d[1])), d[0]);
    return {concat({da, matmul(q, d[1])}, -1)};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}, true, true, false},
            {{ramp({2, 4, 2})}, {}, true, true, false},
            {{ramp({2, 4})}, {}, true, true, false},
            {{zeros({2, 0})}, {}},
            {{zeros({0, 2})}, {}}};
  }
};

struct Svd : LinearAlgebra {
  static constexpr std::string_view name = "Svd";
  static constexpr int outputs = 3;
  static void infer(InferContext& c) {
    check_matrices(c, 0);
    Shape u = c.shape(0), v = u, s = batch_of(u);
    const int64_t m = u[u.rank() - 2], n = u.back();
    const int64_t k = m < 0 || n < 0 ? c.fresh_symbol() : std::min(m, n);
    u[u.rank() - 1] = k;
    v[v.rank() - 2] = k;
    s.push_back(k);
    c.output(c.dtype(0), u);
    c.output(c.dtype(0), s);
    c.output(c.dtype(0), v);
  }
  static void kernel(const KernelContext& k) {
    const View& x = k.inputs[0];
    const int64_t m = rows_of(x), n = columns_of(x), inner = std::min(m, n), outer = std::max(m, n);
    const bool wide = m < n;
    each_matrix(x, [&](int64_t i) {
      // Of the matrix or of its transpose, which is the taller one.
      double *a = scratch(2 * outer * inner + inner + inner * inner + m * n), *s = a + outer * inner,
             *v = s + inner, *other = v + inner * inner;
      load(x, i * m * n, m * n, other);
      if (wide)
        transposed(other, m, n, a);
      else
        std::copy_n(other, m * n, a);
      runtime::svd_factor(a, outer, inner, s, v);
      store(s, k.outputs[1], i * inner, inner);
      if (wide) {
        store(v, k.outputs[0], i * inner * inner, inner * inner);
        transposed(a, outer, inner, other);
        store(other, k.outputs[2], i * inner * outer, inner * outer);
      } else {
        store(a, k.outputs[0], i * outer * inner, outer * inner);
        transposed(v, inner, inner, other);
        store(other, k.outputs[2], i * inner * inner, inner * inner);
      }
    });
  }
  static void transposed(const double* from, int64_t rows, int64_t columns, double* to) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const std::array<Tensor, 3> y = linalg_bodies::svd(in[0]);
    return {y[0], y[1], y[2]};
  }
  // Vectors of equal singular values are not unique, and their gradient is not finite.
  static Tensors gradient(const Gradient& g) {
    const Tensor &u = g.y(0), &s = g.y(1), v = turned(g.y(2));
    const Tensor row = unsqueeze(s, {-2}), column = unsqueeze(s, {-1});
    const Tensor unit = eye(s.dim(-1), nullptr, 0, s.dtype());
    Tensor middle = g.has_dy(1) ? unit * unsqueeze(g.dy(1), {-2}) : zeros_like(unit * row);
    Tensor left, right;
    if (g.has_dy(0) || g.has_dy(2)) {
      // 1 / (s_j^2 - s_i^2), with zeros on the diagonal.
      const Tensor gap = 1 / (square(row) - square(column) + unit) * (1 - unit);
      if (g.has_dy(0)) {
        const Tensor t = gap * matmul(turned(u), g.dy(0));
        middle = middle + (t + turned(t)) * row;
        const Tensor rest = g.dy(0) - matmul(u, matmul(turned(u), g.dy(0)));
        left = matmul(rest / row, turned(v));
      }
      if (g.has_dy(2)) {
        const Tensor dv = turned(g.dy(2)), t = gap * matmul(turned(v), dv);
        middle = middle + column * (t + turned(t));
        const Tensor rest = dv - matmul(v, matmul(turned(v), dv));
        right = matmul(u, turned(rest / row));
      }
    }
    Tensor dx = matmul(matmul(u, middle), turned(v));
    if (left.defined()) dx = dx + left;
    if (right.defined()) dx = dx + right;
    return {dx};
  }
  static std::vector<Sample> samples() {
    return {{{with_diagonal({3, 3}, 2)}, {}}, {{ramp({2, 4, 2})}, {}},      {{ramp({2, 4})}, {}},
            {{zeros({2, 2})}, {}, false},     {{zeros({2, 0})}, {}, false}, {{zeros({0, 2})}, {}, false}};
  }
};

constexpr const OpDef* linalg_table[] = {&op_def<Cofactor>, &op_def<Det>,   &op_def<SLogDet>,
                                         &op_def<Inverse>,  &op_def<Solve>, &op_def<Cholesky>,
                                         &op_def<Qr>,       &op_def<Svd>};

}  // namespace

std::span<const OpDef* const> linalg_ops() { return linalg_table; }

Tensor det(const Operand& x) { return dispatch<Det>({}, x); }

namespace linalg {

Tensor det(const Operand& x) { return dispatch<Det>({}, x); }
SLogDetResult slogdet(const Operand& x) {
  const Tensors y = dispatch_all<SLogDet>({}, x);
  return {y[0], y[1]};
}
Tensor inverse(const Operand& x) { return dispatch<Inverse>({}, x); }

Tensor solve(const Operand& a, const Operand& b) {
  const CallSite site(a);
  const Tensor x = to_tensor(a);
  Tensor y = to_tensor(b, x.dtype());
  // Vectors: one, or one a matrix.
  const bool vectors = y.rank() == 1 || (y.rank() + 1 == x.rank() && y.dim(-1).code() == x.dim(-1).code());
  if (vectors) y = unsqueeze(y, {-1});
  if (x.rank() < 2 || y.rank() < 2) return dispatch<Solve>({}, Operand(x), Operand(y));
  const Shape batch = broadcast_shapes(batch_of(x.shape().codes()), batch_of(y.shape().codes()));
  const auto with_batch = [&](const Tensor& t) {
    Shape shape = batch;
    shape.push_back(t.shape().codes()[t.rank() - 2]);
    shape.push_back(t.shape().codes().back());
    return t.shape() == shape ? t : expand(t, shape);
  };
  const Tensor result = dispatch<Solve>({}, Operand(with_batch(x)), Operand(with_batch(y)));
  return vectors ? squeeze(result, {-1}) : result;
}

Tensor cholesky(const Operand& x, bool upper) {
  Tensor l = dispatch<Cholesky>({}, x);
  if (!upper) return l;
  const CallSite site(x);
  return turned(l);
}
QrResult qr(const Operand& x) {
  const Tensors y = dispatch_all<Qr>({}, x);
  return {y[0], y[1]};
}
SvdResult svd(const Operand& x) {
  const Tensors y = dispatch_all<Svd>({}, x);
  return {y[0], y[1], y[2]};
}
Tensor svdvals(const Operand& x) { return dispatch_all<Svd>({}, x)[1]; }

}  // namespace linalg

}  // namespace tandem
