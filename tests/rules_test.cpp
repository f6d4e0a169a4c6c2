// The rewrite rules, row by row: what each makes of its pattern, in every dtype not a bit changes unless
// fast_math was asked for, and what must stop it.

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "compiler/passes/passes.h"
#include "compiler/rules.h"
#include "graph/verify.h"
#include "tandem/tandem.h"
#include "tests/graph_expressions.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::expect_same_results;
using td::testing::expressions_of;
using td::testing::graph_of;

namespace {

struct Row {
  const char* rule;
  const char* from;
  const char* to;
};

// Every rule, on three inputs of one shape.
const Row rows[] = {
    {"add_minus_zero", "Add(x, -0)", "x"},
    {"add_zero", "Add(0, x)", "x"},
    {"sub_zero", "Sub(x, 0)", "x"},
    {"sub_minus_zero", "Sub(x, -0)", "x"},
    {"minus_zero_sub", "Sub(-0, x)", "Neg(x)"},
    {"zero_sub", "Sub(0, x)", "Neg(x)"},
    {"mul_one", "Mul(1, x)", "x"},
    {"div_one", "Div(x, 1)", "x"},
    {"mul_minus_one", "Mul(x, -1)", "Neg(x)"},
    {"div_minus_one", "Div(x, -1)", "Neg(x)"},
    {"mul_zero", "Mul(x, 0)", "Expand(0, [300])"},
    {"zero_div", "Div(0, x)", "Expand(0, [300])"},
    {"sub_self", "Sub(x, x)", "Expand(0, [300])"},
    {"div_self", "Div(x, x)", "Expand(1, [300])"},
    {"one_div", "Div(1, x)", "Reciprocal(x)"},
    {"div_power_of_two", "Div(x, 4)", "Mul(x, Div(1, 4))"},
    {"div_constant", "Div(x, 3)", "Mul(x, Div(1, 3))"},
    {"or_true", "Or(x, true)", "Expand(true, [300])"},
    {"or_false", "Or(false, x)", "x"},
    {"and_true", "And(x, true)", "x"},
    {"and_false", "And(x, false)", "Expand(false, [300])"},
    {"or_self", "Or(x, x)", "x"},
    {"and_self", "And(x, x)", "x"},
    {"max_self", "Max(x, x)", "x"},
    {"min_self", "Min(x, x)", "x"},
    {"less_self", "Less(x, x)", "Expand(false, [300])"},
    {"less_or_equal_self", "LessOrEqual(x, x)", "Expand(true, [300])"},
    {"equal_self", "Equal(x, x)", "Expand(true, [300])"},
    {"greater", "Greater(x, y)", "Less(y, x)"},
    {"greater_or_equal", "GreaterOrEqual(x, y)", "LessOrEqual(y, x)"},
    {"not_less", "Not(Less(x, y))", "LessOrEqual(y, x)"},
    {"not_less_or_equal", "Not(LessOrEqual(x, y))", "Less(y, x)"},
    {"where_same", "Where(b, x, x)", "x"},
    {"where_true", "Where(true, x, y)", "x"},
    {"where_false", "Where(false, x, y)", "y"},
    {"where_not", "Where(Not(b), x, y)", "Where(b, y, x)"},
    {"sub_neg", "Sub(x, Neg(y))", "Add(x, y)"},
    {"add_neg", "Add(Neg(y), x)", "Sub(x, y)"},
    {"neg_sub_neg", "Sub(Neg(x), Neg(y))", "Sub(y, x)"},
    {"neg_sub", "Neg(Sub(x, y))", "Sub(y, x)"},
    {"mul_neg_neg", "Mul(Neg(x), Neg(y))", "Mul(x, y)"},
    {"div_neg_neg", "Div(Neg(x), Neg(y))", "Div(x, y)"},
    {"mul_neg_constant", "Mul(3, Neg(x))", "Mul(x, Neg(3))"},
    {"div_neg_constant", "Div(Neg(x), 3)", "Div(x, Neg(3))"},
    {"neg_mul_constant", "Neg(Mul(x, 3))", "Mul(x, Neg(3))"},
    {"neg_div_constant", "Neg(Div(x, 3))", "Div(x, Neg(3))"},
    {"abs_neg", "Abs(Neg(x))", "Abs(x)"},
    {"reduce_max_neg", "ReduceMax{keepdims=0}(Neg(x), [0])", "Neg(ReduceMin{keepdims=0}(x, [0]))"},
    {"reduce_min_neg", "ReduceMin(Neg(x), _)", "Neg(ReduceMax(x, _))"},
    {"add_thrice", "Add(Add(x, x), x)", "Mul(3, x)"},
    {"add_to_double", "Add(Mul(2, x), x)", "Mul(3, x)"},
    {"add_to_triple", "Add(x, Mul(x, 3))", "Mul(4, x)"},
    {"add_to_quadruple", "Add(Mul(4, x), x)", "Mul(5, x)"},
    {"factor", "Add(Mul(x, y), Mul(z, x))", "Mul(x, Add(y, z))"},
    {"factor_difference", "Sub(Mul(x, y), Mul(z, x))", "Mul(x, Sub(y, z))"},
    {"factor_quotient", "Add(Div(x, z), Div(y, z))", "Div(Add(x, y), z)"},
    {"multiple_plus_one", "Add(Mul(x, 7), x)", "Mul(x, Add(7, 1))"},
    {"add_add", "Add(Add(x, 3), 5)", "Add(x, Add(3, 5))"},
    {"add_sub", "Sub(Add(x, 3), 5)", "Add(x, Sub(3, 5))"},
    {"sub_add", "Add(Sub(x, 3), 5)", "Add(x, Sub(5, 3))"},
    {"sub_sub", "Sub(Sub(x, 3), 5)", "Sub(x, Add(3, 5))"},
    {"constant_sub_add", "Add(Sub(3, x), 5)", "Sub(Add(3, 5), x)"},
    {"constant_sub_sub", "Sub(Sub(3, x), 5)", "Sub(Sub(3, 5), x)"},
    {"sub_of_add", "Sub(5, Add(x, 3))", "Sub(Sub(5, 3), x)"},
    {"sub_of_sub", "Sub(5, Sub(x, 3))", "Sub(Add(5, 3), x)"},
    {"sub_of_constant_sub", "Sub(5, Sub(3, x))", "Add(Sub(5, 3), x)"},
    {"scale_up", "Mul(Mul(x, 4), 8)", "Mul(x, Mul(4, 8))"},
    {"mul_mul", "Mul(Mul(x, 3), 5)", "Mul(x, Mul(3, 5))"},
    {"mul_div", "Div(Mul(x, 3), 5)", "Mul(x, Div(3, 5))"},
    {"div_div", "Div(Div(x, y), z)", "Div(x, Mul(y, z))"},
    {"div_of_div", "Div(x, Div(y, z))", "Div(Mul(x, z), y)"},
    {"pow_zero", "Pow(x, 0)", "Expand(1, [300])"},
    {"pow_one", "Pow(x, 1)", "x"},
    {"pow_two", "Pow(x, 2)", "Mul(x, x)"},
    {"pow_minus_one", "Pow(x, -1)", "Reciprocal(x)"},
    {"pow_three", "Pow(x, 3)", "Mul(x, Mul(x, x))"},
    {"pow_half", "Pow(x, 0.5)", "Sqrt(x)"},
    {"pow_minus_half", "Pow(x, -0.5)", "Reciprocal(Sqrt(x))"},
    {"log1p", "Log(Add(x, 1))", "Log1p(x)"},
    {"expm1", "Sub(Exp(x), 1)", "Expm1(x)"},
    {"reciprocal_reciprocal", "Reciprocal(Reciprocal(x))", "x"},
    {"log_softmax", "Log(Softmax{axis=0}(x))", "LogSoftmax{axis=0}(x)"},
    {"reduce_max_relu", "ReduceMax(Relu(x), [0])", "Relu(ReduceMax(x, [0]))"},
    {"reduce_max_floor", "ReduceMax(Floor(x), _)", "Floor(ReduceMax(x, _))"},
    {"reduce_max_ceil", "ReduceMax(Ceil(x), [-1])", "Ceil(ReduceMax(x, [-1]))"},
    {"reduce_max_round", "ReduceMax(Round(x), [0])", "Round(ReduceMax(x, [0]))"},
    {"reduce_min_relu", "ReduceMin(Relu(x), [0])", "Relu(ReduceMin(x, [0]))"},
    {"reduce_min_floor", "ReduceMin(Floor(x), [0])", "Floor(ReduceMin(x, [0]))"},
    {"reduce_min_ceil", "ReduceMin(Ceil(x), [0])", "Ceil(ReduceMin(x, [0]))"},
    {"reduce_min_round", "ReduceMin(Round(x), [0])", "Round(ReduceMin(x, [0]))"},
};

std::string inputs_of(td::DType dtype, const std::string& shape = "(300,)") {
  const std::string spec = std::string(td::name_of(dtype)) + shape;
  return "x: " + spec + ", y: " + spec + ", z: " + spec + ", b: bool" + shape;
}

const td::Rule& rule_called(std::string_view name) {
  for (const td::Rule& r : td::all_rules())
    if (r.name == name) return r;
  throw std::runtime_error("no rule is called " + std::string(name));
}

bool takes(const td::TypeSet set, td::DType dtype) { return (set & td::type_bit(dtype)) != 0; }

/// The pattern in a dtype; none when its ops do not take that dtype.
std::optional<td::Graph> pattern(const Row& row, td::DType dtype) {
  try {
    return graph_of(inputs_of(dtype), row.from);
  } catch (const td::Error&) {
    return {};
  }
}

/// Applies one pass's rules to each node once.
bool apply_once(td::Graph& graph, bool fast_math) {
  td::Rebuild r(graph);
  while (!r.done()) {
    const int32_t id = r.copy_next();
    td::apply_rules(r, id, fast_math);
  }
  return r.finish(graph);
}

std::string exact(const char* inputs, const char* expression) {
  td::Graph g = graph_of(inputs, expression);
  const td::Graph before = g;
  const bool changed = td::passes::algebra(g);
  EXPECT_EQ(changed, expressions_of(g) != expressions_of(before)) << expression;
  EXPECT_FALSE(td::passes::algebra(g)) << expression;
  td::verify(g, "algebra");
  expect_same_results(before, g);
  return expressions_of(g);
}

}  // namespace

TEST(Rules, EachIsTested) {
  std::set<std::string_view> tested, all;
  for (const Row& row : rows) EXPECT_TRUE(tested.insert(row.rule).second) << row.rule;
  for (const td::Rule& r : td::all_rules()) EXPECT_TRUE(all.insert(r.name).second) << r.name;
  EXPECT_EQ(tested, all);
}

TEST(Rules, EachNamesOpsOfTheTable) {
  const auto known = [](const auto& self, const td::Term& t) -> bool {
    return t.kind != td::Term::Kind::op ||
           (t.op && std::all_of(t.inputs.begin(), t.inputs.end(),
                                [&](const td::Term& in) { return self(self, in); }));
  };
  for (const td::Rule& r : td::all_rules()) {
    EXPECT_TRUE(known(known, r.from)) << r.name;
    EXPECT_TRUE(known(known, r.to)) << r.name;
  }
}

TEST(Rules, EachRewritesItsPattern) {
  for (const Row& row : rows) {
    SCOPED_TRACE(row.rule);
    const td::Rule& rule = rule_called(row.rule);
    bool seen = false;
    for (int d = 0; d < td::dtype_count && !seen; ++d) {
      const auto dtype = static_cast<td::DType>(td::dtype_count - 1 - d);
      if (!takes(rule.exact | rule.fast, dtype)) continue;
      auto g = pattern(row, dtype);
      if (!g) continue;
      seen = true;
      EXPECT_TRUE(apply_once(*g, !takes(rule.exact, dtype)));
      EXPECT_EQ(expressions_of(*g), row.to) << td::name_of(dtype);
      td::verify(*g, row.rule);
    }
    EXPECT_TRUE(seen);
  }
}

TEST(Rules, ExactOnesKeepEveryBit) {
  for (const Row& row : rows) {
    const td::Rule& rule = rule_called(row.rule);
    for (int d = 0; d < td::dtype_count; ++d) {
      const auto dtype = static_cast<td::DType>(d);
      const auto before = pattern(row, dtype);
      if (!before) continue;
      SCOPED_TRACE(std::string(row.rule) + " in " + std::string(td::name_of(dtype)));
      td::Graph after = *before;
      // Whatever fires in this dtype, of this rule or another, is exact.
      const bool changed = td::passes::algebra(after);
      EXPECT_TRUE(changed || !takes(rule.exact, dtype));
      expect_same_results(*before, after, 30, 100 + static_cast<uint64_t>(d));
      EXPECT_FALSE(td::passes::algebra(after));
    }
  }
}

TEST(Rules, FastOnesNeedPermission) {
  for (const Row& row : rows) {
    const td::Rule& rule = rule_called(row.rule);
    for (int d = 0; d < td::dtype_count; ++d) {
      const auto dtype = static_cast<td::DType>(d);
      if (!takes(rule.fast, dtype)) continue;
      auto g = pattern(row, dtype);
      if (!g) continue;
      SCOPED_TRACE(std::string(row.rule) + " in " + std::string(td::name_of(dtype)));
      EXPECT_TRUE(apply_once(*g, true));
      EXPECT_EQ(expressions_of(*g), row.to);
    }
  }
}

TEST(Rules, MultiplesAreSumsInEveryHalf) {
  // n * x against x + x + ..., over all values of the narrow types.
  for (const td::DType dtype : {td::float16, td::bfloat16}) {
    const td::Tensor x = td::detail::empty_tensor(dtype, {65536});
    for (int i = 0; i < 65536; ++i) td::detail::mutable_data<uint16_t>(x)[i] = static_cast<uint16_t>(i);
    td::Tensor sum = x + x;
    for (int n = 3; n <= 5; ++n) {
      sum = sum + x;
      EXPECT_TRUE(td::testing::same_bits(sum, x * n)) << n;
    }
  }
}

TEST(Rules, DivisorsNeedExactReciprocals) {
  const auto rewrites = [](td::DType dtype, double divisor) {
    td::Graph g = graph_of(inputs_of(dtype), "x");
    const td::ValueRef c = g.add_constant(td::to_tensor(td::Operand(divisor), dtype));
    const td::OpDef& op = *td::find_op("Div");
    const td::ValueRef inputs[] = {g.outputs[0], c};
    const td::Spec spec = g.spec(g.outputs[0]);
    g.outputs[0] = {g.add(op, td::AttributeBox(*op.attributes, nullptr), inputs, {&spec, 1}, {}), 0};
    const td::Graph before = g;
    const bool changed = td::passes::algebra(g);
    expect_same_results(before, g);
    return changed;
  };
  for (const double c : {2., 0.25, -8., 0x1p127, 0x1p-126, 0x1p-127})
    EXPECT_TRUE(rewrites(td::float32, c)) << c;
  for (const double c : {3., 0., 1e-45, 0x1p-128, 0x1p-149, double{INFINITY}, std::nan("")})
    EXPECT_FALSE(rewrites(td::float32, c)) << c;
  EXPECT_TRUE(rewrites(td::float64, 0x1p1023));
  EXPECT_FALSE(rewrites(td::float64, 0x1p-1024));
  EXPECT_TRUE(rewrites(td::float16, 0x1p15));
  EXPECT_FALSE(rewrites(td::float16, 0x1p-16));
  EXPECT_FALSE(rewrites(td::int32, 4));
}

TEST(Rules, ScalingUpOnly) {
  const char* x = "x: float32(300,)";
  EXPECT_EQ(exact(x, "Mul(Mul(x, 2), 4)"), "Mul(x, Mul(2, 4))");
  EXPECT_EQ(exact(x, "Mul(Mul(x, 2), 0.5)"), "Mul(Mul(x, 2), 0.5)");
  EXPECT_EQ(exact(x, "Mul(Mul(x, 0.5), 0.25)"), "Mul(Mul(x, 0.5), 0.25)");
  EXPECT_EQ(exact(x, "Mul(Mul(x, 3), 2)"), "Mul(Mul(x, 3), 2)");
  EXPECT_EQ(exact(x, "Mul(Mul(x, 1.7014118e38), 2)"), "Mul(Mul(x, 1.7014118e+38), 2)");
}

TEST(Rules, ShapesDecide) {
  const char* inputs = "x: float32(3,), y: float32(?0,), m: float32(2, 3)";
  // The constant's shape broadcasts x: the result keeps the larger shape.
  EXPECT_EQ(exact(inputs, "Mul(x, ones[2, 3])"), "Expand(x, [2, 3])");
  EXPECT_EQ(exact(inputs, "Mul(x, ones[3])"), "x");
  EXPECT_EQ(exact(inputs, "Mul(m, ones[3])"), "m");
  EXPECT_EQ(exact(inputs, "Mul(m, ones[1, 1, 1])"), "Expand(m, [1, 2, 3])");
  // ?0 may be 1, or another size than 3, in which case it must fail.
  EXPECT_EQ(exact(inputs, "Mul(y, ones[3])"), "Expand(y, [3])");
  EXPECT_EQ(exact(inputs, "Mul(y, ones[1, 1])"), "Mul(y, float32(1, 1)[1])");
  EXPECT_EQ(exact(inputs, "Mul(y, 1)"), "y");
  EXPECT_EQ(exact("b: bool(3,), x: int32(3,), y: int32(?0,)", "Where(true, x, y)"), "Where(true, x, y)");
  EXPECT_EQ(exact("b: bool(3,), x: int32(3,), y: int32(1,)", "Where(true, x, y)"), "x");
  EXPECT_EQ(exact("b: bool(3,), x: int32(1,), y: int32(3,)", "Where(true, x, y)"), "Expand(x, [3])");
  EXPECT_EQ(exact("b: bool(?0,), x: int32(3,)", "Where(b, x, x)"), "Where(b, x, x)");
  EXPECT_EQ(exact("x: int32(?0,)", "Sub(x, x)"), "Sub(x, x)");
  // Sizes that are unknown on both sides.
  EXPECT_EQ(exact("x: float32(?0,), y: float32(?1,)", "Sub(x, Neg(y))"), "Add(x, y)");
}

TEST(Rules, OtherUsersPrevent) {
  const char* inputs = "x: float32(3,), y: float32(3,)";
  // A second user keeps the inner op; bypassing it is still worth while.
  td::Graph g = graph_of(inputs, "Neg(Neg(x))");
  const td::ValueRef inner = g.node(g.outputs[0].node).inputs[0];
  g.outputs.push_back(inner);
  EXPECT_TRUE(td::passes::algebra(g));
  EXPECT_EQ(expressions_of(g), "x; Neg(x)");
  // Rules that move work from one op to another need the inner op to go.
  td::Graph h = graph_of(inputs, "Neg(Mul(x, 3))");
  h.outputs.push_back(h.node(h.outputs[0].node).inputs[0]);
  EXPECT_FALSE(td::passes::algebra(h));
  td::Graph factor = graph_of("x: int32(3,), y: int32(3,), z: int32(3,)", "Add(Mul(x, y), Mul(x, z))");
  for (int i = 0; i < 2; ++i) factor.outputs.push_back(factor.node(factor.outputs[0].node).inputs[i]);
  EXPECT_FALSE(td::passes::algebra(factor));
}

TEST(Rules, TwiceIsOnceOrNothing) {
  const char* x = "x: float32(2, 3), b: bool(2, 3)";
  EXPECT_EQ(exact(x, "Neg(Neg(x))"), "x");
  EXPECT_EQ(exact(x, "Neg(Neg(Neg(x)))"), "Neg(x)");
  EXPECT_EQ(exact(x, "Neg(Transpose(Neg(x)))"), "Transpose(x)");
  EXPECT_EQ(exact(x, "Neg(Reshape(Transpose(Neg(x)), [6]))"), "Reshape(Transpose(x), [6])");
  EXPECT_EQ(exact(x, "Neg(Concat(Neg(x), x))"), "Neg(Concat(Neg(x), x))");
  EXPECT_EQ(exact(x, "Neg(Exp(Neg(x)))"), "Neg(Exp(Neg(x)))");
}

TEST(Rules, IdempotentOpsAreAppliedOnce) {
  const char* x = "x: float32(300,), y: float32(300,)";
  for (const char* op : {"Relu", "Abs", "Sign", "Floor", "Ceil", "Round"}) {
    const std::string once = std::string(op) + "(x)";
    EXPECT_EQ(exact(x, (std::string(op) + "(" + once + ")").c_str()), once);
  }
  const char* clipped = "x: float32(300,), l: float32(), h: float32(), k: float32()";
  EXPECT_EQ(exact(clipped, "Clip(Clip(x, l, h), l, h)"), "Clip(x, l, h)");
  EXPECT_EQ(exact(clipped, "Clip(Clip(x, l), l)"), "Clip(x, l)");
  EXPECT_EQ(exact(clipped, "Clip(Clip(x, l, h), l, k)"), "Clip(Clip(x, l, h), l, k)");
  EXPECT_EQ(exact(x, "Floor(Ceil(x))"), "Floor(Ceil(x))");
  EXPECT_EQ(exact("b: bool(300,)", "Not(Not(b))"), "b");
  EXPECT_EQ(exact("x: uint8(300,)", "BitwiseNot(BitwiseNot(x))"), "x");
}

TEST(Rules, WhatIsNotExactStays) {
  for (const char* expression : {"Not(Less(x, y))",
                                 "Not(LessOrEqual(x, y))",
                                 "LessOrEqual(x, x)",
                                 "Div(x, x)",
                                 "Div(0, x)",
                                 "Sub(x, x)",
                                 "Mul(Div(x, 3), 3)",
                                 "Sub(Add(x, 3), 3)",
                                 "Add(Mul(x, y), Mul(x, z))",
                                 "Pow(x, 3)",
                                 "Pow(x, 0.5)",
                                 "Log(Add(1, x))",
                                 "Sub(Exp(x), 1)",
                                 "Log(Softmax(x))",
                                 "Reciprocal(Reciprocal(x))",
                                 "Div(x, 3)",
                                 "Sub(Neg(x), y)",
                                 "Add(Mul(5, x), x)",
                                 "Pow(x, y)",
                                 "Div(x, Div(y, z))",
                                 "ReduceMax(Sqrt(x), [0])",
                                 "ReduceMax(Tanh(x), [0])",
                                 "ReduceSum(Neg(x), [0])",
                                 "Mul(x, 2)",
                                 "Add(x, 1)"})
    EXPECT_EQ(exact("x: float32(300,), y: float32(300,), z: float32(300,)", expression), expression);
  // Integers: division truncates, the lowest one is its own negative, a zero divisor must still fail.
  for (const char* expression :
       {"Div(x, x)", "Div(0, x)", "Div(x, -1)", "Div(x, 2)", "Div(Mul(x, 3), 3)", "ReduceMax(Neg(x), [0])",
        "Add(Div(y, x), Div(z, x))", "Div(Neg(x), Neg(y))"})
    EXPECT_EQ(exact("x: int32(300,), y: int32(300,), z: int32(300,)", expression), expression);
  // A power of integers with a fractional exponent goes through float64.
  EXPECT_EQ(exact("y: float32(3,), x: int64(3,)", "Pow(x, 2)"), "Pow(x, 2)");
  EXPECT_EQ(exact("x: float32(3,), y: int64(3,)", "Pow(y, 2)"), "Pow(y, 2)");
}

TEST(Rules, MaximaOverNothingStay) {
  EXPECT_EQ(exact("x: float32(0, 3)", "ReduceMax(Relu(x), [0])"), "ReduceMax(Relu(x), [0])");
  EXPECT_EQ(exact("x: float32(?0, 3)", "ReduceMax(Relu(x), [0])"), "ReduceMax(Relu(x), [0])");
  EXPECT_EQ(exact("x: float32(0, 3)", "ReduceMax(Floor(x), [0])"), "Floor(ReduceMax(x, [0]))");
}

TEST(Rules, NarrowTypesKeepTheirRounding) {
  for (const char* dtype : {"float16", "bfloat16"}) {
    td::Graph g = graph_of(std::string("x: ") + dtype + "(300,)", "Add(Add(x, 3), 5)");
    EXPECT_FALSE(td::passes::algebra(g));
    EXPECT_FALSE(td::passes::fast_math(g));
  }
}

TEST(Rules, ComparisonsKnowNaN) {
  EXPECT_EQ(exact("x: float32(300,)", "Equal(x, x)"), "Equal(x, x)");
  EXPECT_EQ(exact("x: int8(2,)", "Equal(x, x)"), "Expand(true, [2])");
}

TEST(Rules, ZerosKeepTheirSigns) {
  EXPECT_EQ(exact("x: float32(300,)", "Add(x, 0)"), "Add(x, 0)");
  EXPECT_EQ(exact("x: float32(300,)", "Sub(x, -0)"), "Sub(x, -0)");
  EXPECT_EQ(exact("x: float32(300,)", "Sub(0, x)"), "Sub(0, x)");
  EXPECT_EQ(exact("x: float32(300,)", "Mul(x, 0)"), "Mul(x, 0)");
  EXPECT_EQ(exact("x: float32(300,)", "Neg(Sub(x, 1))"), "Neg(Sub(x, 1))");
}

TEST(Rules, CarryTheUsersLine) {
  td::Graph g = td::parse_graph(
      "graph(x: float32(3,), y: float32(3,)) {\n"
      "  %n = Neg(%y) : float32(3,)  @model.cpp:1\n"
      "  %s = Sub(%x, %n) : float32(3,)  @model.cpp:2\n"
      "  return %s\n"
      "}\n");
  td::passes::algebra(g);
  EXPECT_EQ(td::to_text(g),
            "graph(x: float32(3,), y: float32(3,)) {\n"
            "  %add = Add(%x, %y) : float32(3,)  @model.cpp:2\n"
            "  return %add\n"
            "}\n");
}
