// The eager path: values, broadcasting, dtypes, errors with the user's line.

#include "tandem/ops/activation.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"
#include "tandem/variable.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using Floats = std::vector<float>;

}  // namespace

TEST(Eager, SquaresFiveFloats) {
  const td::Tensor x = {1, 2, 3, 4, 5.f};
  EXPECT_EQ(td::pow(x, 2).to_vector<float>(), (Floats{1, 4, 9, 16, 25}));
  EXPECT_EQ(td::pow(x, 2).dtype(), td::float32);
}

TEST(Eager, BroadcastsAndTakesNumbers) {
  const td::Tensor m = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  const td::Tensor row = {10.f, 20.f, 30.f}, column = {{1.f}, {2.f}};
  EXPECT_EQ((m + row).to_vector<float>(), (Floats{11, 22, 33, 14, 25, 36}));
  EXPECT_EQ((m * column).to_vector<float>(), (Floats{1, 2, 3, 8, 10, 12}));
  EXPECT_EQ((2 - m).to_vector<float>(), (Floats{1, 0, -1, -2, -3, -4}));
  EXPECT_EQ((td::transpose(m) / 2).to_vector<float>(), (Floats{.5f, 2, 1, 2.5f, 1.5f, 3}));
}

TEST(Eager, ReducesOverAnyAxes) {
  const td::Tensor m = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  EXPECT_EQ(td::sum(m).item<float>(), 21);
  EXPECT_EQ(td::sum(m, {0}).to_vector<float>(), (Floats{5, 7, 9}));
  EXPECT_EQ(td::sum(m, {-1}, true).shape(), (td::Shape{2, 1}));
  EXPECT_EQ(td::sum(td::transpose(m), {0}).to_vector<float>(), (Floats{6, 15}));
}

TEST(Eager, SoftmaxAndProducts) {
  const td::Tensor m = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  EXPECT_NEAR(td::sum(td::softmax(m, 0)).item<float>(), 3, 1e-6);
  EXPECT_EQ(td::matmul(m, td::transpose(m)).to_vector<float>(), (Floats{14, 32, 32, 77}));
}

TEST(Eager, ErrorsNameOpValuesAndLine) {
  const td::Tensor m = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  EXPECT_ERROR(td::softmax(m, 3),
               "softmax: axis 3 is out of range for rank 2; expected -2 to 1 (eager_test.cpp:LINE)");
  EXPECT_ERROR(
      m + td::Tensor({1.f, 2.f}),
      "add: shapes (2, 3) and (2,) do not broadcast: 3 against 2 in dimension 1 (eager_test.cpp:LINE)");
  EXPECT_ERROR(m + td::Tensor({1, 2, 3}),
               "add: dtypes float32 and int32 differ; convert one with td::cast(x, td::float32) "
               "(eager_test.cpp:LINE)");
  EXPECT_ERROR(
      td::Tensor({1, 2}) * 0.5,
      "mul: the number 0.5 does not fit dtype int32; cast the tensor to a floating dtype first, as in "
      "td::cast(x, td::float32) (eager_test.cpp:LINE)");
  EXPECT_ERROR(td::Tensor({{1, 2}, {3}}),
               "ragged braces: a list at depth 1 has 1 entries where its neighbours have 2");
}

TEST(Eager, VariablesHoldValues) {
  const td::Variable v(td::Tensor(2.f));
  v.assign_add(1.f).assign_add(1.f);
  EXPECT_EQ(v.value().item<float>(), 4);
  EXPECT_EQ((v + 1.f).item<float>(), 5);
}

TEST(Variables, AreOperandsOfAnOpsFirstCallToo) {
  // No other test calls this op on int16: its program is not cached yet.
  const td::Variable v(td::Tensor({3, -4}, td::int16));
  EXPECT_EQ(td::sub(td::Tensor({1, 1}, td::int16), v).to_vector<int16_t>(), (std::vector<int16_t>{-2, 5}));
}
