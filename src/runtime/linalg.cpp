#include "runtime/linalg.h"

#include <algorithm>
#include <cmath>

namespace tandem::runtime {

int lu_factor(double* a, int64_t n, int64_t* rows) {
  int sign = 1;
  for (int64_t i = 0; i < n; ++i) rows[i] = i;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    if (pivot != k) {
      std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
      std::swap(rows[k], rows[pivot]);
      sign = -sign;
    }
    if (a[k * n + k] == 0) continue;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] /= a[k * n + k];
      for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return sign;
}

bool lu_is_regular(const double* lu, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    if (lu[i * n + i] == 0) return false;
  return true;
}

void lu_solve(const double* lu, const int64_t* rows, int64_t n, const double* b, int64_t k, double* x) {
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(b + rows[i] * k, k, x + i * k);
    for (int64_t j = 0; j < i; ++j)
      for (int64_t c = 0; c < k; ++c) x[i * k + c] -= lu[i * n + j] * x[j * k + c];
  }
  for (int64_t i = n - 1; i >= 0; --i) {
    for (int64_t j = i + 1; j < n; ++j)
      for (int64_t c = 0; c < k; ++c) x[i * k + c] -= lu[i * n + j] * x[j * k + c];
    for (int64_t c = 0; c < k; ++c) x[i * k + c] /= lu[i * n + i];
  }
}

// With complete pivoting P a Q = L U, where only U's last pivot may vanish unless all cofactors do. The
// adjugate of a product is that of the factors, in reverse order, and
//   adj [U1 u] = det(U1) [d U1^-1  -U1^-1 u]
//       [0  d]           [0         1      ]
// divides by no d.
void cofactors(double* a, int64_t n, double* result, double* work, int64_t* places) {
  if (n == 0) return;
  int64_t *rows = places, *columns = places + n;
  int sign = 1;
  for (int64_t i = 0; i < n; ++i) rows[i] = columns[i] = i;
  for (int64_t k = 0; k < n; ++k) {
    int64_t row = k, column = k;
    for (int64_t i = k; i < n; ++i)
      for (int64_t j = k; j < n; ++j)
        if (std::abs(a[i * n + j]) > std::abs(a[row * n + column])) row = i, column = j;
    if (row != k) {
      std::swap_ranges(a + k * n, a + (k + 1) * n, a + row * n);
      std::swap(rows[k], rows[row]);
      sign = -sign;
    }
    if (column != k) {
      for (int64_t i = 0; i < n; ++i) std::swap(a[i * n + k], a[i * n + column]);
      std::swap(columns[k], columns[column]);
      sign = -sign;
    }
    if (a[k * n + k] == 0) break;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] /= a[k * n + k];
      for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  const int64_t last = n - 1;
  double leading = 1;
  for (int64_t i = 0; i < last; ++i) leading *= a[i * n + i];
  if (leading == 0) {
    std::fill_n(result, n * n, 0.0);
    return;
  }
  // adj(U) into work: columns below `last` solve U1 x = leading * d * e, the last one U1 x = -leading * u.
  std::fill_n(work, n * n, 0.0);
  work[last * n + last] = leading;
  for (int64_t c = 0; c < n; ++c)
    for (int64_t i = last - 1; i >= 0; --i) {
      double v = c == last ? -leading * a[i * n + last] : c == i ? leading * a[last * n + last] : 0;
      for (int64_t j = i + 1; j < last; ++j) v -= a[i * n + j] * work[j * n + c];
      work[i * n + c] = v / a[i * n + i];
    }
  // times L^-1 from the right: columns from the last to the first.
  for (int64_t c = last - 1; c >= 0; --c)
    for (int64_t j = c + 1; j < n; ++j)
      for (int64_t i = 0; i < n; ++i) work[i * n + c] -= work[i * n + j] * a[j * n + c];
  // The cofactors are the adjugate's transpose.
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) result[rows[j] * n + columns[i]] = sign * work[i * n + j];
}

int64_t cholesky_factor(double* a, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      double v = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) v -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(v > 0)) return j;
        a[j * n + j] = std::sqrt(v);
      } else {
        a[i * n + j] = v / a[j * n + j];
      }
    }
    for (int64_t k = j + 1; k < n; ++k) a[j * n + k] = 0;
  }
  return n;
}

void qr_factor(double* a, int64_t m, int64_t n, int64_t k, double* q, double* r, double* work) {
  const int64_t reflections = std::min(m, n);
  // a keeps R above the diagonal and the reflections' vectors, of first entry 1, below it; their factors go
  // into q's memory last.
  auto factor_of = [&](int64_t j) {
    double squares = 1;
    for (int64_t i = j + 1; i < m; ++i) squares += a[i * n + j] * a[i * n + j];
    return squares == 1 ? 0.0 : 2 / squares;
  };
  for (int64_t j = 0; j < reflections; ++j) {
    double tail = 0;
    for (int64_t i = j + 1; i < m; ++i) tail += a[i * n + j] * a[i * n + j];
    if (tail == 0) continue;  // nothing to turn: the reflection is none
    const double head = a[j * n + j], length = -std::copysign(std::sqrt(head * head + tail), head);
    for (int64_t i = j + 1; i < m; ++i) a[i * n + j] /= head - length;
    a[j * n + j] = length;
    const double factor = factor_of(j);
    for (int64_t c = j + 1; c < n; ++c) {
      double dot = a[j * n + c];
      for (int64_t i = j + 1; i < m; ++i) dot += a[i * n + j] * a[i * n + c];
      dot *= factor;
      a[j * n + c] -= dot;
      for (int64_t i = j + 1; i < m; ++i) a[i * n + c] -= dot * a[i * n + j];
    }
  }
  for (int64_t i = 0; i < k; ++i)
    for (int64_t c = 0; c < n; ++c) r[i * n + c] = c >= i ? a[i * n + c] : 0;
  for (int64_t c = 0; c < k; ++c) {
    std::fill_n(work, m, 0.0);
    work[c] = 1;
    for (int64_t j = reflections - 1; j >= 0; --j) {
      double dot = work[j];
      for (int64_t i = j + 1; i < m; ++i) dot += a[i * n + j] * work[i];
      dot *= factor_of(j);
      work[j] -= dot;
      for (int64_t i = j + 1; i < m; ++i) work[i] -= dot * a[i * n + j];
    }
    for (int64_t i = 0; i < m; ++i) q[i * k + c] = work[i];
  }
}

namespace {

/// Makes column `column` of the (m, n) matrix u a unit vector orthogonal to the columns in `others`.
void complete_column(double* u, int64_t m, int64_t n, int64_t column) {
  for (int64_t candidate = 0; candidate < m; ++candidate) {
    for (int64_t i = 0; i < m; ++i) u[i * n + column] = i == candidate ? 1 : 0;
    for (int pass = 0; pass < 2; ++pass)  // twice is enough
      for (int64_t c = 0; c < n; ++c) {
        if (c == column) continue;
        double dot = 0;
        for (int64_t i = 0; i < m; ++i) dot += u[i * n + c] * u[i * n + column];
        for (int64_t i = 0; i < m; ++i) u[i * n + column] -= dot * u[i * n + c];
      }
    double squares = 0;
    for (int64_t i = 0; i < m; ++i) squares += u[i * n + column] * u[i * n + column];
    if (squares < 0.25 / static_cast<double>(m)) continue;
    for (int64_t i = 0; i < m; ++i) u[i * n + column] /= std::sqrt(squares);
    return;
  }
}

}  // namespace

void svd_factor(double* a, int64_t m, int64_t n, double* s, double* v) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j) v[i * n + j] = i == j ? 1 : 0;
  auto rotate = [n](double* matrix, int64_t rows, int64_t p, int64_t q, double cosine, double sine) {
    for (int64_t i = 0; i < rows; ++i) {
      const double x = matrix[i * n + p], y = matrix[i * n + q];
      matrix[i * n + p] = cosine * x - sine * y;
      matrix[i * n + q] = sine * x + cosine * y;
    }
  };
  constexpr double tolerance = 1e-15;
  for (int sweep = 0; sweep < 60; ++sweep) {
    bool turned = false;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (int64_t i = 0; i < m; ++i) {
          pp += a[i * n + p] * a[i * n + p];
          qq += a[i * n + q] * a[i * n + q];
          pq += a[i * n + p] * a[i * n + q];
        }
        if (!(std::abs(pq) > tolerance * std::sqrt(pp * qq))) continue;
        turned = true;
        const double half = (qq - pp) / (2 * pq);
        const double tangent = std::copysign(1.0, half) / (std::abs(half) + std::sqrt(1 + half * half));
        const double cosine = 1 / std::sqrt(1 + tangent * tangent), sine = cosine * tangent;
        rotate(a, m, p, q, cosine, sine);
        rotate(v, n, p, q, cosine, sine);
      }
    if (!turned) break;
  }
  double largest = 0;
  for (int64_t c = 0; c < n; ++c) {
    double squares = 0;
    for (int64_t i = 0; i < m; ++i) squares += a[i * n + c] * a[i * n + c];
    s[c] = std::sqrt(squares);
    largest = std::max(largest, s[c]);
  }
  // Largest first, by exchanging columns.
  for (int64_t c = 0; c < n; ++c) {
    const int64_t best = std::max_element(s + c, s + n) - s;
    if (best == c) continue;
    std::swap(s[c], s[best]);
    for (int64_t i = 0; i < m; ++i) std::swap(a[i * n + c], a[i * n + best]);
    for (int64_t i = 0; i < n; ++i) std::swap(v[i * n + c], v[i * n + best]);
  }
  const double smallest = largest * tolerance * static_cast<double>(std::max<int64_t>(1, m));
  for (int64_t c = 0; c < n; ++c)
    for (int64_t i = 0; i < m; ++i) a[i * n + c] = s[c] > smallest ? a[i * n + c] / s[c] : 0;
  for (int64_t c = 0; c < n; ++c)
    if (!(s[c] > smallest)) complete_column(a, m, n, c);
}

}  // namespace tandem::runtime
