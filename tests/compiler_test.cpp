// Passes: what each rewrites, what must stop it, that twice is once, and that not a bit changes.

#include <algorithm>
#include <set>

#include "compiler/pass.h"
#include "compiler/passes/passes.h"
#include "compiler/rules.h"
#include "ops/variable_impl.h"
#include "tandem/tandem.h"
#include "tests/passes.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::expect_same_results;
using td::testing::expressions_of;
using td::testing::graph_of;
using td::testing::PassFunction;
using td::testing::run_pass;

namespace {

struct Case {
  const char* from;
  const char* to;
  const char* inputs = "x: float32(2, 3), y: float32(2, 3), z: float32(2, 3)";
};

void expect_rewrites(PassFunction pass, std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    SCOPED_TRACE(c.from);
    const td::Graph before = graph_of(c.inputs, c.from);
    td::Graph after = before;
    const bool changed = run_pass(pass, after);
    EXPECT_EQ(expressions_of(after), c.to);
    EXPECT_EQ(changed, expressions_of(before) != c.to);
    expect_same_results(before, after);
  }
}

td::Graph parse(const std::string& text, std::initializer_list<td::Variable> variables = {}) {
  return td::parse_graph(
      text, {.variables = [&](std::string_view name) -> std::shared_ptr<td::detail::VariableImpl> {
        for (const td::Variable& v : variables)
          if (v.name() == name) return v.impl();
        return nullptr;
      }});
}

/// A pass on text; variables v and w.
void expect_text(PassFunction pass, const std::string& before, const std::string& after) {
  static const td::Variable v(td::Tensor({1.f, 2.f}), {.name = "v"}),
      w(td::Tensor({1.f, 2.f}), {.name = "w"});
  td::Graph graph = parse(before, {v, w});
  run_pass(pass, graph);
  EXPECT_EQ(td::to_text(graph), after);
}

}  // namespace

// ---- prune and bypass

TEST(Prune, DropsWhatNothingNeeds) {
  expect_text(td::passes::prune,
              "graph(x: float32(2,), unused: float32(3,)) {\n"
              "  %a = Neg(%x) : float32(2,)\n"
              "  %b = Exp(%a) : float32(2,)\n"
              "  %c = Exp(%x) : float32(2,)\n"
              "  %r = ReadVariable {variable=\"v\"} : float32(2,)\n"
              "  return %c\n"
              "}\n",
              "graph(x: float32(2,), unused: float32(3,)) {\n"
              "  %c = Exp(%x) : float32(2,)\n"
              "  return %c\n"
              "}\n");
}

TEST(Prune, KeepsEffectsAndTheirInputs) {
  const std::string text =
      "graph(x: float32(2,)) {\n"
      "  %a = Neg(%x) : float32(2,)\n"
      "  %s = AssignVariable(%a) {variable=\"v\"}\n"
      "  return\n"
      "}\n";
  expect_text(td::passes::prune, text, text);
}

TEST(Bypass, WhatChangesNothing) {
  expect_rewrites(td::passes::bypass, {
                                          {"Identity(x)", "x"},
                                          {"Add(Identity(StopGradient(x)), y)", "Add(x, y)"},
                                          {"Contiguous(Neg(x))", "Neg(x)"},
                                          {"Neg(x)", "Neg(x)"},
                                      });
}

// ---- constants

TEST(FoldConstants, EvaluatesWhatIsKnown) {
  expect_rewrites(
      td::passes::fold_constants,
      {
          {"Mul(x, Add(1, Neg(3)))", "Mul(x, -2)"},
          {"Add(x, ReduceSum{keepdims=0}(ones[2, 3], _))", "Add(x, 6)"},
          {"Mul(x, Mul(1.1754944e-38, 0.1))", "Mul(x, 1.175495e-39)"},  // a denormal
          {"Div(x, Div(1, 0))", "Div(x, inf)"},
          {"Reshape(x, Concat{axis=0}(Shape{start=1}(x), Shape{end=1}(x)))", "Reshape(x, [3, 2])"},
          {"Cast{to=float32}(Shape(x))", "[2, 3]"},
          {"Add(x, y)", "Add(x, y)"},
      });
}

TEST(FoldConstants, ShapesAreKnownOnlyWithTheirSizes) {
  const char* inputs = "x: float32(?0, 3), y: float32(?0,)";
  expect_rewrites(td::passes::fold_constants,
                  {
                      {"Cast{to=float32}(Shape(x))", "Cast(Shape(x))", inputs},
                      {"Cast{to=float32}(Shape{start=1}(x))", "[3]", inputs},
                      {"Reshape(x, Concat{axis=0}(Shape{end=1}(y), Shape{start=1}(x)))",
                       "Reshape(x, Concat(Shape{end=1}(y), [3]))", inputs},
                      {"Mul(Shape{end=1}(x), Shape{start=1}(x))", "Mul(Shape{end=1}(x), [3])", inputs},
                  });
}

TEST(FoldConstants, LeavesFailuresToTheRun) {
  // An integer divided by zero, and shapes that do not fit, fail when they run, at the user's line.
  const char* inputs = "x: int32(2,)";
  expect_rewrites(td::passes::fold_constants, {{"Add(x, Div(1, 0))", "Add(x, Div(1, 0))", inputs}});
}

TEST(FoldConstants, LeavesLargeResults) {
  expect_rewrites(td::passes::fold_constants, {
                                                  {"Expand(0, [2000, 3000])", "Expand(0, [2000, 3000])"},
                                                  {"Expand(0, [2, 2])", "float32(2, 2)[0, 0, 0, 0]"},
                                              });
  // ... unless they are no larger than what they are made of.
  td::Graph g = graph_of("x: float32(1,)", "Transpose(ones[700, 900])");
  EXPECT_TRUE(run_pass(td::passes::fold_constants, g));
  EXPECT_EQ(g.constant(g.outputs[0]).shape(), (td::Shape{900, 700}));
}

TEST(FoldConstants, CarriesTheUsersLine) {
  expect_text(td::passes::fold_constants,
              "graph() {\n"
              "  %c = Constant {value=float32()[2]} : float32()  @model.cpp:1\n"
              "  %n = Neg(%c) : float32()  @model.cpp:2\n"
              "  return %n\n"
              "}\n",
              "graph() {\n"
              "  %constant = Constant {value=float32()[-2]} : float32()  @model.cpp:2\n"
              "  return %constant\n"
              "}\n");
}

// ---- common subexpressions

TEST(MergeCommon, EqualOpsAreComputedOnce) {
  const auto nodes_after = [](const char* from, const char* inputs = "x: float32(2, 3), y: float32(2, 3)") {
    const td::Graph before = graph_of(inputs, from);
    td::Graph after = before;
    run_pass(td::passes::merge_common, after);
    expect_same_results(before, after);
    return after.nodes.size() - after.inputs.size();
  };
  EXPECT_EQ(nodes_after("Exp(x); Exp(x)"), 1u);
  EXPECT_EQ(nodes_after("Neg(Exp(x)); Neg(Exp(x))"), 2u);
  EXPECT_EQ(nodes_after("Add(x, y); Add(y, x)"), 1u);
  EXPECT_EQ(nodes_after("Sub(x, y); Sub(y, x)"), 2u);
  EXPECT_EQ(nodes_after("Softmax{axis=0}(x); Softmax{axis=0}(x)"), 1u);
  EXPECT_EQ(nodes_after("Softmax{axis=0}(x); Softmax{axis=1}(x)"), 2u);
  EXPECT_EQ(nodes_after("Add(x, 2); Add(x, 2)"), 2u);
  EXPECT_EQ(nodes_after("Add(x, 0); Add(x, -0)"), 4u);
  EXPECT_EQ(nodes_after("Add(x, nan); Add(x, nan)"), 2u);
  EXPECT_EQ(nodes_after("Add(x, ones[2, 3]); Add(x, ones[3])"), 4u);
}

TEST(MergeCommon, NansOfOtherPayloadsStayApart) {
  expect_text(td::passes::merge_common,
              "graph() {\n"
              "  %a = Constant {value=float32()[nan]} : float32()\n"
              "  %b = Constant {value=float32()[nan:0x7fc00001]} : float32()\n"
              "  %c = Constant {value=float32()[nan]} : float32()\n"
              "  return %a, %b, %c\n"
              "}\n",
              "graph() {\n"
              "  %a = Constant {value=float32()[nan]} : float32()\n"
              "  %b = Constant {value=float32()[nan:0x7fc00001]} : float32()\n"
              "  return %a, %b, %a\n"
              "}\n");
}

TEST(MergeCommon, ReadsAreMergedUntilAWrite) {
  expect_text(td::passes::merge_common,
              "graph(x: float32(2,)) {\n"
              "  %a = ReadVariable {variable=\"v\"} : float32(2,)\n"
              "  %b = ReadVariable {variable=\"w\"} : float32(2,)\n"
              "  %c = AssignVariable(%x) {variable=\"w\"}\n"
              "  %d = ReadVariable {variable=\"v\"} : float32(2,)\n"
              "  %e = ReadVariable {variable=\"w\"} : float32(2,)\n"
              "  %f = ReadVariable {variable=\"w\"} : float32(2,)\n"
              "  return %a, %b, %d, %e, %f\n"
              "}\n",
              "graph(x: float32(2,)) {\n"
              "  %a = ReadVariable {variable=\"v\"} : float32(2,)\n"
              "  %b = ReadVariable {variable=\"w\"} : float32(2,)\n"
              "  %c = AssignVariable(%x) {variable=\"w\"}\n"
              "  %e = ReadVariable {variable=\"w\"} : float32(2,)\n"
              "  return %a, %b, %a, %e, %e\n"
              "}\n");
}

TEST(MergeCommon, VariablesAreCellsNotNames) {
  // Two variables of one name: the name says nothing.
  const td::Variable first(td::Tensor(1.f), {.name = "v"}), second(td::Tensor(2.f), {.name = "v"});
  int asked = 0;
  td::Graph g = td::parse_graph(
      "graph() {\n"
      "  %a = ReadVariable {variable=\"v\"} : float32()\n"
      "  %b = ReadVariable {variable=\"v\"} : float32()\n"
      "  return %a, %b\n"
      "}\n",
      {.variables = [&](std::string_view) { return asked++ == 0 ? first.impl() : second.impl(); }});
  EXPECT_FALSE(run_pass(td::passes::merge_common, g));
}

TEST(MergeCommon, EqualWritesAreBothMade) {
  const std::string text =
      "graph(x: float32(2,)) {\n"
      "  %a = AssignVariable(%x) {variable=\"v\"}\n"
      "  %b = AssignVariable(%x) {variable=\"v\"}\n"
      "  return\n"
      "}\n";
  expect_text(td::passes::merge_common, text, text);
}

// ---- sizes

TEST(RefineSizes, LearnsWhatConstantsDecide) {
  expect_text(td::passes::refine_sizes,
              "graph(x: float32(?0, 4)) {\n"
              "  %s = Constant {value=int64(2,)[2, -1]} : int64(2,)\n"
              "  %r = Reshape(%x, %s) : float32(?1, ?2)\n"
              "  %n = Neg(%r) : float32(?1, ?2)\n"
              "  return %n\n"
              "}\n",
              "graph(x: float32(?0, 4)) {\n"
              "  %s = Constant {value=int64(2,)[2, -1]} : int64(2,)\n"
              "  %r = Reshape(%x, %s) : float32(2, ?2)\n"
              "  %n = Neg(%r) : float32(2, ?2)\n"
              "  return %n\n"
              "}\n");
}

TEST(RefineSizes, LeavesArgumentsAsTheyAre) {
  // The sum fails at run time unless ?0 is 4 or 1; the argument's size stays what the caller gives.
  const std::string text =
      "graph(x: float32(?0,), y: float32(4,)) {\n"
      "  %a = Add(%x, %y) : float32(4,)\n"
      "  %b = Neg(%x) : float32(?0,)\n"
      "  return %a, %b\n"
      "}\n";
  expect_text(td::passes::refine_sizes, text, text);
}

TEST(RefineSizes, KeepsOpsThatFail) {
  // Known by now to fail: it fails when it runs, with its line.
  const std::string text =
      "graph(x: float32(3,)) {\n"
      "  %s = Constant {value=int64(1,)[4]} : int64(1,)\n"
      "  %r = Reshape(%x, %s) : float32(?0,)  @model.cpp:7\n"
      "  return %r\n"
      "}\n";
  td::Graph g = td::parse_graph(
      "graph(x: float32(3,)) {\n"
      "  %s = Constant {value=int64(1,)[3]} : int64(1,)\n"
      "  %r = Reshape(%x, %s) : float32(?0,)  @model.cpp:7\n"
      "  return %r\n"
      "}\n");
  td::Graph four = g;
  const td::ConstantAttributes value{td::Tensor({4}, td::int64)};
  four.node(1).attributes = td::AttributeBox(td::attribute_type<td::ConstantAttributes>, &value);
  td::optimize(four, {.verify = true});
  EXPECT_EQ(td::to_text(four), text);
  const td::Tensor x = {1.f, 2.f, 3.f};
  EXPECT_EQ(td::testing::message_of([&] {
              td::interpret(four, {&x, 1});
            }),
            "reshape: 3 elements of shape (3,) do not fit shape (4,), which has 4 (model.cpp:7)");
}

// ---- movers

TEST(SimplifyMoves, WhatDoesNothingGoes) {
  expect_rewrites(td::passes::simplify_moves, {
                                                  {"Reshape(x, [2, 3])", "x"},
                                                  {"Reshape(x, [2, -1])", "x"},
                                                  {"Reshape(x, [0, 3])", "x"},
                                                  {"Expand(x, [2, 3])", "x"},
                                                  {"Expand(x, [1, 3])", "x"},
                                                  {"Transpose{perm=[0, 1]}(x)", "x"},
                                                  {"Concat{axis=1}(x)", "x"},
                                                  {"Cast{to=float32}(x)", "x"},
                                                  {"Max(x)", "x"},
                                                  {"ReduceSum(x, [])", "ReduceSum(x, [])"},
                                                  {"ReduceSum{noop_with_empty_axes=1}(x, [])", "x"},
                                                  {"Reshape(x, [3, 2])", "Reshape(x, [3, 2])"},
                                                  {"Expand(x, [5, 2, 3])", "Expand(x, [5, 2, 3])"},
                                                  {"Transpose(x)", "Transpose(x)"},
                                                  {"Transpose(x)", "Transpose(x)", "x: float32(3, 3)"},
                                                  {"Cast{to=float64}(x)", "Cast{to=float64}(x)"},
                                              });
}

TEST(SimplifyMoves, UnknownSizesAreEqualOnlyToThemselves) {
  const char* inputs = "x: float32(?0, 3), y: float32(?1, 3)";
  expect_rewrites(td::passes::simplify_moves, {
                                                  {"Reshape(x, Shape(x))", "x", inputs},
                                                  {"Expand(x, Shape(x))", "x", inputs},
                                                  {"Reshape(x, [0, 3])", "x", inputs},
                                                  {"Reshape(x, Shape(y))", "Reshape(x, Shape(y))", inputs},
                                                  {"Expand(x, Shape(y))", "Expand(x, Shape(y))", inputs},
                                                  {"Reshape(x, [8, -1])", "Reshape(x, [8, -1])", inputs},
                                                  {"Reshape(x, [-1, 3])", "x", inputs},
                                                  {"Transpose(x)", "Transpose(x)", "x: float32(?0, ?0)"},
                                                  {"Transpose{perm=[0, 1]}(x)", "x", "x: float32(?0, ?0)"},
                                              });
}

TEST(SimplifyMoves, ReshapesCombine) {
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"Reshape(Reshape(x, [6]), [3, 2])", "Reshape(x, [3, 2])"},
          {"Reshape(Reshape(x, [6]), [2, 3])", "x"},
          {"Reshape(Reshape(Reshape(x, [6]), [1, 6]), [3, 2])", "Reshape(x, [3, 2])"},
          {"Reshape(Reshape(x, [6]), [3, -1])", "Reshape(x, [3, -1])"},
          // The second takes a size from the shape between.
          {"Reshape(Reshape(x, [3, 2]), [0, 2, 1])", "Reshape{allowzero=1}(x, [3, 2, 1])"},
          {"Neg(Reshape(Neg(Reshape(x, [6])), [3, 2]))", "Neg(Reshape(Neg(Reshape(x, [6])), [3, 2]))"},
      });
  const char* inputs = "x: float32(?0, 6)";
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"Reshape(Reshape(x, [0, 2, 3]), [0, 6])", "x", inputs},
          {"Reshape(Reshape(x, [0, 2, 3]), [0, 3, 2])", "Reshape(x, [0, 3, 2])", inputs},
          {"Reshape(Reshape(x, [-1, 2, 3]), [-1, 3, 2])", "Reshape(x, [-1, 3, 2])", inputs},
          // The first fails unless ?0 * 6 divides by 4.
          {"Reshape(Reshape(x, [4, -1]), [-1, 2])", "Reshape(Reshape(x, [4, -1]), [-1, 2])", inputs},
      });
}

TEST(SimplifyMoves, TransposesCombine) {
  const char* cube = "x: float32(2, 3, 4)";
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"Transpose(Transpose(x))", "x"},
          {"Transpose{perm=[2, 0, 1]}(Transpose{perm=[1, 2, 0]}(x))", "x", cube},
          {"Transpose{perm=[1, 2, 0]}(Transpose{perm=[1, 2, 0]}(x))", "Transpose{perm=[2, 0, 1]}(x)", cube},
          {"Transpose(Neg(Transpose(x)))", "Transpose(Neg(Transpose(x)))"},
          {"Transpose(x)", "Reshape{allowzero=1}(x, [3, 1])", "x: float32(1, 3)"},
          {"Transpose{perm=[1, 0, 2]}(x)", "Reshape{allowzero=1}(x, [3, 1, 4])", "x: float32(1, 3, 4)"},
          {"Transpose{perm=[2, 1, 0]}(x)", "Transpose{perm=[2, 1, 0]}(x)", "x: float32(1, 3, 4)"},
          {"Transpose(Transpose(x))", "x", "x: float32(?0, ?1)"},
          {"Transpose(x)", "Reshape{allowzero=1}(x, [-1, 1])", "x: float32(1, ?0)"},
          {"Transpose(x)", "Transpose(x)", "x: float32(?0, ?1)"},
      });
}

TEST(SimplifyMoves, BroadcastsCombine) {
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"Expand(Expand(x, [2, 3]), [4, 2, 3])", "Expand(x, [4, 2, 3])", "x: float32(3,)"},
          {"Expand(Expand(x, [5, 1]), [5, 3])", "Expand(x, [5, 3])", "x: float32(1,)"},
          // The outer one's shape depends on the inner's.
          {"Expand(Expand(x, [2, 3]), [4, 1, 1])", "Expand(Expand(x, [2, 3]), [4, 1, 1])", "x: float32(3,)"},
          // The inner one fails unless ?0 is 3 or 1.
          {"Expand(Expand(x, [2, 3]), [4, 2, 3])", "Expand(Expand(x, [2, 3]), [4, 2, 3])", "x: float32(?0,)"},
      });
}

TEST(SimplifyMoves, CastsThatLoseNothingCombine) {
  const auto cast = [](const char* input, const char* middle, const char* last) {
    td::Graph g = graph_of(std::string("x: ") + input + "(64,)",
                           std::string("Cast{to=") + last + "}(Cast{to=" + middle + "}(x))");
    const td::Graph before = g;
    run_pass(td::passes::simplify_moves, g);
    expect_same_results(before, g);
    return expressions_of(g);
  };
  EXPECT_EQ(cast("float32", "float64", "float32"), "x");
  EXPECT_EQ(cast("int32", "float64", "int32"), "x");
  EXPECT_EQ(cast("float16", "float32", "float16"), "x");
  EXPECT_EQ(cast("bfloat16", "float32", "bfloat16"), "x");
  EXPECT_EQ(cast("uint8", "int16", "uint8"), "x");
  EXPECT_EQ(cast("bool", "float32", "bool"), "x");
  EXPECT_EQ(cast("int8", "int32", "int16"), "Cast{to=int16}(x)");
  EXPECT_EQ(cast("int32", "int64", "int8"), "Cast{to=int8}(x)");
  EXPECT_EQ(cast("float16", "float32", "float64"), "Cast{to=float64}(x)");
  // What gets lost in the middle stays lost.
  const auto stays = [&](const char* input, const char* middle, const char* last) {
    EXPECT_EQ(cast(input, middle, last), std::string("Cast{to=") + last + "}(Cast{to=" + middle + "}(x))");
  };
  EXPECT_EQ(cast("int32", "float64", "float32"), "Cast(x)");
  stays("float64", "int64", "float64");
  stays("float32", "bfloat16", "float64");
  stays("float32", "float16", "float64");
  stays("bfloat16", "float16", "float64");
  stays("int64", "float64", "int64");
  stays("uint8", "int8", "uint8");
  stays("int8", "uint16", "int8");
  stays("int32", "float64", "int8");
  EXPECT_EQ(cast("int32", "float32", "int32"), "Cast{to=int32}(Cast(x))");
}

TEST(SimplifyMoves, JoinsFlatten) {
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"Concat{axis=1}(Concat{axis=1}(x, y), z)", "Concat{axis=1}(x, y, z)"},
          {"Concat{axis=1}(x, Concat{axis=1}(y, z))", "Concat{axis=1}(x, y, z)"},
          {"Concat{axis=1}(x, Concat{axis=1}(Concat{axis=1}(y, z), x))", "Concat{axis=1}(x, y, z, x)"},
          {"Concat{axis=1}(Concat(x, y), Concat(z, x))", "Concat{axis=1}(Concat(x, y), Concat(z, x))"},
          {"Concat(x, ones[1, 3], zeros[1, 3], y)", "Concat(x, float32(2, 3)[1, 1, 1, 0, 0, 0], y)"},
          {"Concat(ones[1, 3], x, zeros[1, 3])", "Concat(float32(1, 3)[1, 1, 1], x, float32(1, 3)[0, 0, 0])"},
          {"Max(Max(x, y), z)", "Max(x, y, z)"},
          {"Max(Max(x, 1), 2)", "Max(x, 2)"},
          {"Max(1, x)", "Max(1, x)"},
      });
  // An inner join with another user stays.
  td::Graph g = graph_of("x: float32(2,), y: float32(2,)", "Max(x, y)");
  const td::ValueRef inner = g.outputs[0];
  const td::ValueRef inputs[] = {inner, {0, 0}};
  const td::Spec spec = td::spec({2});
  g.outputs.push_back(
      {g.add(*g.node(inner.node).op, g.node(inner.node).attributes, inputs, {&spec, 1}, {}), 0});
  EXPECT_FALSE(run_pass(td::passes::simplify_moves, g));
}

TEST(SimplifyMoves, ReductionsOfSingleElements) {
  const char* column = "x: float32(4, 1)";
  expect_rewrites(
      td::passes::simplify_moves,
      {
          {"ReduceSum(x, [1])", "x", column},
          {"ReduceSum{keepdims=0}(x, [1])", "Reshape{allowzero=1}(x, [4])", column},
          {"ReduceSum(x, [0])", "ReduceSum(x, [0])", column},
          {"ReduceSum{keepdims=0}(x, [1])", "Reshape{allowzero=1}(x, [-1])", "x: float32(?0, 1)"},
          {"ReduceSum{keepdims=0}(x, [1])", "ReduceSum{keepdims=0}(x, [1])", "x: float32(?0, ?1)"},
          {"SumTo(x, [4, 1])", "x", column},
      });
}

// ---- the pipeline

TEST(Pipeline, PassesWorkTogether) {
  td::Graph g = graph_of(
      "x: float32(2, 3)",
      "Add(Mul(Identity(x), Sub(3, 2)), Reshape(Neg(Neg(x)), Concat(Shape{end=1}(x), Shape{start=1}(x))))");
  const td::Graph before = g;
  std::vector<std::string> dumped;
  const auto timings = td::optimize(
      g,
      {.dump = [&](std::string_view pass, const td::Graph&) { dumped.emplace_back(pass); }, .verify = true});
  EXPECT_EQ(expressions_of(g), "Add(x, x)");
  EXPECT_EQ(g.nodes.size(), 2u);
  expect_same_results(before, g);
  EXPECT_EQ(timings.size(), td::default_pipeline().size());
  std::set<std::string> changed;
  for (const td::PassTiming& t : timings) {
    if (t.changed) changed.insert(t.name);
    EXPECT_GE(t.microseconds, 0);
    EXPECT_EQ(t.runs > 0, t.name != "fast_math" && t.name != "keep_channels_last");
  }
  EXPECT_EQ(changed, std::set<std::string>(dumped.begin(), dumped.end()));
  const std::string once = td::to_text(g);
  td::optimize(g);
  EXPECT_EQ(td::to_text(g), once);
}

TEST(Pipeline, PassesCanBeLeftOut) {
  td::Graph g = graph_of("x: float32(2, 3)", "Neg(Neg(Identity(x)))");
  td::Graph h = g;
  td::optimize(g, {.disabled = {"algebra"}});
  EXPECT_EQ(expressions_of(g), "Neg(Neg(x))");
  td::optimize(h, {.disabled = {"bypass"}});
  EXPECT_EQ(expressions_of(h), "Identity(x)");
  EXPECT_EQ(td::testing::message_of([&] { td::optimize(h, {.disabled = {"algebar"}}); }),
            "no pass is called \"algebar\"");
}

TEST(Pipeline, BitsMayChangeOnlyWhenAskedTo) {
  const td::Graph g = graph_of("x: float32(2, 3)", "Add(x, 0)");
  td::Graph exact = g, fast = g;
  td::optimize(exact);
  td::optimize(fast, {.fast_math = true});
  EXPECT_EQ(expressions_of(exact), "Add(x, 0)");
  EXPECT_EQ(expressions_of(fast), "x");
}

TEST(Pipeline, ResultsKeepTheirPlaces) {
  const td::Graph before =
      graph_of("x: float32(2, 3), y: float32(3,)", "Identity(y); x; Neg(Neg(x)); 4; Identity(y)");
  td::Graph after = before;
  td::optimize(after, {.verify = true});
  EXPECT_EQ(expressions_of(after), "y; x; x; 4; y");
  expect_same_results(before, after);
}

TEST(Pipeline, RunsOnEmptyGraphs) {
  td::Graph g;
  td::optimize(g, {.verify = true});
  EXPECT_TRUE(g.nodes.empty());
}
