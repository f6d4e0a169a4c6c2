// Determinants, solutions, factors and einsum by value and message. The op driver tests their derivatives.

#include <gtest/gtest.h>

#include "tandem/ops.h"
#include "tandem/tape.h"
#include "tests/support.h"

namespace td = tandem;
using td::Tensor;

namespace {

void expect_near(const Tensor& actual, const Tensor& expected, double tolerance = 1e-12) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const std::vector<double> a = td::cast(actual, td::float64).to_vector<double>(),
                            b = td::cast(expected, td::float64).to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << "element " << i;
}

const Tensor matrix({{4., -2., 1.}, {0.5, 3., -1.}, {2., 1., -2.}}, td::float64);

TEST(Linalg, DeterminantsOfEveryRank) {
  expect_near(td::det(matrix), Tensor(4. * (-6 + 1) + 2 * (-1 + 2) + (0.5 - 6), td::float64));
  const Tensor singular({{1., 2., 3.}, {2., 4., 6.}, {1., 0., 1.}}, td::float64);
  td::GradientTape tape;
  tape.watch(singular);
  const Tensor d = td::det(singular);
  expect_near(d, Tensor(0., td::float64));
  // The cofactors of a matrix of rank two.
  expect_near(tape.gradient(d, singular), Tensor({{4., 4., -4.}, {-2., -2., 2.}, {0., 0., 0.}}, td::float64),
              1e-12);
  const auto [sign, size] = td::linalg::slogdet(matrix);
  expect_near(sign * td::exp(size), td::det(matrix));
}

TEST(Linalg, SolvesMatricesVectorsAndBatches) {
  const Tensor b({1., 2., 3.}, td::float64);
  expect_near(td::matmul(matrix, td::linalg::solve(matrix, b)), b);
  expect_near(td::matmul(matrix, td::linalg::inverse(matrix)), td::eye(3, nullptr, 0, td::float64));
  const Tensor batch = td::stack({matrix, td::transpose(matrix)});
  const Tensor sides = td::reshape(td::cast(td::arange(6), td::float64), {3, 2});
  const Tensor x = td::linalg::solve(batch, sides);
  EXPECT_EQ(x.shape(), (td::Shape{2, 3, 2}));
  expect_near(td::matmul(batch, x), td::expand(sides, {2, 3, 2}));
  EXPECT_ERROR(td::linalg::inverse(td::zeros({2, 2})),
               "inverse: matrix 0 is singular (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::linalg::inverse(td::zeros({2, 3})),
               "inverse: X has shape (2, 3); square matrices are needed (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::det(td::zeros({2})), "det: X has shape (2,); matrices are needed (linalg_test.cpp:LINE)");
}

TEST(Linalg, FactorsMultiplyBack) {
  const Tensor positive = td::matmul(matrix, td::transpose(matrix));
  const Tensor l = td::linalg::cholesky(positive);
  expect_near(td::matmul(l, td::transpose(l)), positive);
  expect_near(td::triu(l, 1), td::zeros({3, 3}, td::float64));
  expect_near(td::linalg::cholesky(positive, true), td::transpose(l));
  EXPECT_ERROR(td::linalg::cholesky(-positive),
               "cholesky: matrix 0 is not positive definite: its leading minor of order 1 is not positive "
               "(linalg_test.cpp:LINE)");
  for (const td::Shape& shape : {td::Shape{5, 3}, td::Shape{3, 5}, td::Shape{2, 4, 4}}) {
    const Tensor x =
        td::sin(td::reshape(td::cast(td::arange(shape.element_count()), td::float64), shape) * 1.7);
    const int64_t k = std::min<int64_t>(shape[shape.rank() - 2], shape.back());
    const Tensor unit = td::eye(k, nullptr, 0, td::float64);
    const auto turned = [](const Tensor& t) { return td::swapaxes(t, -1, -2); };
    const auto [q, r] = td::linalg::qr(x);
    expect_near(td::matmul(q, r), x);
    expect_near(td::matmul(turned(q), q), td::expand(unit, td::matmul(turned(q), q).shape()));
    const auto [u, s, vh] = td::linalg::svd(x);
    expect_near(td::matmul(u * td::unsqueeze(s, {-2}), vh), x);
    expect_near(td::matmul(turned(u), u), td::expand(unit, td::matmul(turned(u), u).shape()));
    expect_near(td::linalg::svdvals(x), s);
    EXPECT_EQ(td::reduce_all(td::slice(s, {0}, {k - 1}, {-1}) >= td::slice(s, {1}, {k}, {-1})).item<bool>(),
              true);
  }
  // Columns of U that no singular value determines are orthonormal all the same.
  const Tensor u = td::linalg::svd(Tensor({{1., 1.}, {1., 1.}, {1., 1.}}, td::float64)).u;
  expect_near(td::matmul(td::transpose(u), u), td::eye(2, nullptr, 0, td::float64));
}

TEST(Einsum, IsWhatItSays) {
  const Tensor a({{1., 2.}, {3., 4.}}, td::float64), b({{0.5, -1.}, {2., 0.}}, td::float64);
  expect_near(td::einsum("ij,jk", {a, b}), td::matmul(a, b));
  expect_near(td::einsum("ij,kj->ki", {a, b}), td::matmul(b, td::transpose(a)));
  expect_near(td::einsum("ba", {a}), td::transpose(a));
  expect_near(td::einsum("ii", {a}), Tensor(5., td::float64));
  expect_near(td::einsum("i...->...", {a}), td::sum(a, {0}));
  expect_near(td::einsum("ij,ij,ij->j", {a, b, a}), td::sum(a * b * a, {0}));
  const Tensor whole = td::einsum("i,ij,j", {Tensor({1, 2}), Tensor({{1, 2}, {3, 4}}), Tensor({5, 6})});
  EXPECT_EQ(whole.dtype(), td::int32);
  EXPECT_EQ(whole.item<int32_t>(), 1 * (1 * 5 + 2 * 6) + 2 * (3 * 5 + 4 * 6));
}

TEST(Einsum, SaysWhatDoesNotFit) {
  const Tensor a = td::zeros({2, 3});
  EXPECT_ERROR(td::einsum("ij,jk", {a}),
               "einsum: the equation \"ij,jk\" has more terms than the 1 operands (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("ij", {a, a}),
               "einsum: the equation \"ij\" has 1 terms for 2 operands (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("i", {a}),
               "einsum: the equation's term \"i\" has 1 labels, but its operand has 2 dimensions "
               "(linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("ij,ji", {a, a}), "einsum: label 'j' has sizes 3 and 2 (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("ii", {a}),
               "einsum: label 'i' has sizes 2 and 3 in one operand (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("ij->k", {a}),
               "einsum: the result's label 'k' is in no operand's term (linalg_test.cpp:LINE)");
  EXPECT_ERROR(td::einsum("i1->i", {a}),
               "einsum: the equation's term \"i1\" holds '1'; allowed are letters, \"...\" and spaces "
               "(linalg_test.cpp:LINE)");
}

}  // namespace
