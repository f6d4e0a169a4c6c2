#include "ops/linalg_bodies.h"

#include <algorithm>

#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/linalg.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem::linalg_bodies {

namespace {

Tensor row_of(const Tensor& x, int64_t i) { return slice(x, {i}, {i + 1}, {-2}); }
Tensor column_of(const Tensor& x, int64_t i) { return slice(x, {i}, {i + 1}, {-1}); }
Tensor turned(const Tensor& x) { return swapaxes(x, -1, -2); }
/// 0, 1, ... as a column.
Tensor row_numbers(int64_t count) { return reshape(arange(count), {count, int64_t{1}}); }
/// The unit matrix for each matrix of x's batch.
Tensor units(const Tensor& x, int64_t n) {
  Shape shape = x.shape().codes();
  shape[x.rank() - 2] = shape[x.rank() - 1] = n;
  return expand(eye(n, nullptr, 0, DType::f64), shape);
}

}  // namespace

Tensor solve(const Tensor& a, const Tensor& b) {
  const int64_t n = a.dim(-1);
  const Tensor rows = row_numbers(n);
  Tensor m = concat({cast(a, DType::f64), cast(b, DType::f64)}, -1);
  for (int64_t k = 0; k < n; ++k) {
    // The largest of the column's rest changes places with row k.
    const Tensor pivot = argmax(where(rows >= k, abs(column_of(m, k)), -1), -2, true);
    const Tensor order = where(rows == k, pivot, where(rows == pivot, k, rows));
    m = gather_elements(m, expand(order, m.shape()), -2);
    const Tensor row = row_of(m, k) / column_of(row_of(m, k), k);
    m = where(rows == k, row, m - column_of(m, k) * row);
  }
  return cast(slice(m, {n}, {INT64_MAX}, {-1}), a.dtype());
}

Tensor inverse(const Tensor& x) { return solve(x, units(x, x.dim(-1))); }

Tensor cofactors(const Tensor& x) {
  const int64_t n = x.dim(-1);
  if (n < 2) return ones_like(x);
  std::vector<int64_t> others;
  std::vector<double> signs;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      if (i != j) others.push_back(j);
      signs.push_back((i + j) % 2 == 0 ? 1 : -1);
    }
  // Everything but row i, then everything but column j.
  const Tensor left = from_vector(std::move(others), {n, n - 1});
  const Tensor minors = swapaxes(gather(gather(cast(x, DType::f64), left, -2), left, -1), -3, -2);
  return cast(det(minors) * from_vector(std::move(signs), {n, n}), x.dtype());
}

Tensor cholesky(const Tensor& x) {
  const int64_t n = x.dim(-1);
  if (n == 0) return identity(x);
  const Tensor wide = cast(x, DType::f64), symmetric = (wide + turned(wide)) * 0.5, rows = row_numbers(n);
  Tensor l;
  for (int64_t k = 0; k < n; ++k) {
    Tensor column = column_of(symmetric, k);
    if (k > 0) column = column - matmul(l, turned(row_of(l, k)));
    column = where(rows >= k, column / sqrt(row_of(column, k)), 0);
    l = k == 0 ? column : concat({l, column}, -1);
  }
  return cast(l, x.dtype());
}

std::pair<Tensor, Tensor> qr(const Tensor& x) {
  const int64_t m = x.dim(-2), n = x.dim(-1), k = std::min(m, n);
  const Tensor rows = row_numbers(m);
  Tensor r = cast(x, DType::f64), q = units(x, m);
  for (int64_t j = 0; j < k; ++j) {
    const Tensor column = column_of(r, j), head = row_of(column, j);
    const Tensor tail = where(rows > j, column, 0), squares = reduce_sum_square(tail, {-2}, true);
    const Tensor none = squares == 0;  // nothing to turn
    const Tensor length = where(head < 0, -1, ones_like(head)) * sqrt(head * head + squares);
    const Tensor way = where(rows == j, 1, tail / where(none, 1, head + length));
    const Tensor factor = where(none, 0, 2 / reduce_sum_square(way, {-2}, true));
    r = r - factor * way * matmul(turned(way), r);
    q = q - factor * matmul(q, way) * turned(way);
  }
  return {cast(slice(q, {int64_t{0}}, {k}, {-1}), x.dtype()),
          cast(triu(slice(r, {int64_t{0}}, {k}, {-2})), x.dtype())};
}

namespace {

/// Turns columns p and q of `a`, and those of v with them, until they are orthogonal.
void rotate(Tensor& a, Tensor& v, int64_t p, int64_t q, int64_t n) {
  const Tensor x = column_of(a, p), y = column_of(a, q);
  const auto dot = [](const Tensor& s, const Tensor& t) { return reduce_sum(s * t, {-2}, true); };
  const Tensor xx = dot(x, x), yy = dot(y, y), xy = dot(x, y);
  const Tensor done = abs(xy) <= sqrt(xx * yy) * 1e-15;
  const Tensor half = (yy - xx) / (2 * where(done, 1, xy));
  const Tensor tangent =
      where(done, 0, where(half < 0, -1, ones_like(half)) / (abs(half) + sqrt(1 + half * half)));
  const Tensor cosine = 1 / sqrt(1 + tangent * tangent), sine = cosine * tangent;
  std::vector<double> same(static_cast<size_t>(n * n)), across(same.size());
  const auto at = [n](int64_t i, int64_t j) { return static_cast<size_t>(i * n + j); };
  same[at(p, p)] = same[at(q, q)] = 1;
  across[at(p, q)] = 1;
  across[at(q, p)] = -1;
  const Tensor turn = eye(n, nullptr, 0, DType::f64) + (cosine - 1) * from_vector(std::move(same), {n, n}) +
                      sine * from_vector(std::move(across), {n, n});
  a = matmul(a, turn);
  v = matmul(v, turn);
}

}  // namespace

std::array<Tensor, 3> svd(const Tensor& x) {
  const int64_t rows = x.dim(-2), columns = x.dim(-1), n = std::min(rows, columns);
  const bool wide = rows < columns;
  Tensor a = cast(wide ? turned(x) : x, DType::f64), v = units(a, n);
  constexpr int sweeps = 10;  // they converge quadratically
  for (int sweep = 0; sweep < sweeps; ++sweep)
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) rotate(a, v, p, q, n);
  Tensor lengths = reduce_l2(a, {-2}, true);
  const Tensor order = topk(lengths, n, -1).indices;
  const auto sorted = [&](const Tensor& t) {
    return n == 0 ? t : gather_elements(t, expand(order, t.shape()), -1);
  };
  a = sorted(a);
  v = sorted(v);
  lengths = sorted(lengths);
  // Columns that no value determines are filled up to an orthonormal set.
  const Tensor smallest =
      n == 0 ? lengths
             : slice(lengths, {0}, {1}, {-1}) *
                   (1e-15 * static_cast<double>(std::max<int64_t>(1, std::max(rows, columns))));
  const Tensor some = lengths > smallest;
  a = where(some, a / where(some, lengths, 1), 0);
  a = where(some, a, qr(a).first);
  const Tensor values = squeeze(lengths, {-2});
  const auto back = [&](const Tensor& t) { return cast(t, x.dtype()); };
  return {back(wide ? v : a), back(values), back(turned(wide ? a : v))};
}

}  // namespace tandem::linalg_bodies
