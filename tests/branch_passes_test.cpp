// Passes over branches and loops: what is known while compiling decides them, and work of one branch goes
// into it.

#include <set>

#include "compiler/passes/passes.h"
#include "function/function_core.h"
#include "graph/bodies.h"
#include "tandem/tandem.h"
#include "tests/passes.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::expect_same_results;
using td::testing::run_pass;

namespace {

using Values = std::vector<td::Tensor>;

/// What tracing `body` records for arguments like these, constants folded.
td::Graph traced(const std::function<Values(Values)>& body, const Values& arguments) {
  td::Function<Values(Values)> f(body);
  f.prepare(arguments);
  td::Graph graph = f.core().traces()[0]->recorded;
  td::passes::fold_constants(graph);
  return graph;
}

std::string text_of(const td::Graph& graph) { return td::to_text(graph, {.locations = false}); }

/// What is left after the pass, folding and pruning; the results stay the same.
std::string left_of(const td::Graph& before) {
  td::Graph after = before;
  while (run_pass(td::passes::dead_branches, after)) td::passes::fold_constants(after);
  expect_same_results(before, after);
  td::passes::prune(after);
  return text_of(after);
}

const td::Tensor two({1.f, 2.f});
td::Tensor has_two(const td::Tensor& x) { return td::equal(td::size_of(x), 2); }

}  // namespace

TEST(DeadBranches, AConstantPredicateLeavesTheBranchTaken) {
  for (const bool taken : {true, false})
    EXPECT_EQ(left_of(traced(
                  [&](Values x) -> Values {
                    const td::Tensor p = taken ? has_two(x[0]) : td::logical_not(has_two(x[0]));
                    return {td::cond(
                        p, [&] { return -x[0]; }, [&] { return td::exp(x[0]); })};
                  },
                  {two})),
              std::string("graph(x: float32(2,)) {\n") +
                  (taken ? "  %neg = Neg(%x) : float32(2,)\n  return %neg\n}\n"
                         : "  %exp = Exp(%x) : float32(2,)\n  return %exp\n}\n"));
}

TEST(DeadBranches, AnUnknownPredicateKeepsBoth) {
  const td::Graph graph = traced(
      [](Values x) -> Values {
        return {td::cond(
            td::sum(x[0]) > 0, [&] { return -x[0]; }, [&] { return td::exp(x[0]); })};
      },
      {two});
  td::Graph after = graph;
  EXPECT_FALSE(run_pass(td::passes::dead_branches, after));
}

TEST(DeadBranches, EffectsOfTheBranchTakenStayInOrder) {
  const td::Variable v(two, {.name = "v", .unique_name = false});
  const td::Graph graph = traced(
      [&](Values x) -> Values {
        v.assign(x[0]);
        td::cond(
            has_two(x[0]), [&] { v.assign(v * 2); }, [&] { v.assign(v * 3); });
        v.assign(v + 1);
        return {};
      },
      {two});
  td::Graph after = graph;
  EXPECT_TRUE(run_pass(td::passes::dead_branches, after));
  EXPECT_EQ(text_of(after),
            "graph(x: float32(2,)) {\n"
            "  %assign_variable = AssignVariable(%x) {variable=\"v\"}\n"
            "  %read_variable_1 = ReadVariable {variable=\"v\"} : float32(2,)\n"
            "  %constant_4 = Constant {value=float32()[2]} : float32()\n"
            "  %mul = Mul(%read_variable_1, %constant_4) : float32(2,)\n"
            "  %assign_variable_2 = AssignVariable(%mul) {variable=\"v\"}\n"
            "  %read_variable = ReadVariable {variable=\"v\"} : float32(2,)\n"
            "  %constant_1 = Constant {value=float32()[1]} : float32()\n"
            "  %add = Add(%read_variable, %constant_1) : float32(2,)\n"
            "  %assign_variable_1 = AssignVariable(%add) {variable=\"v\"}\n"
            "  return\n"
            "}\n");
}

TEST(DeadBranches, BranchesInBranches) {
  EXPECT_EQ(left_of(traced(
                [](Values x) -> Values {
                  return {td::cond(
                      has_two(x[0]),
                      [&] {
                        return td::cond(
                            has_two(x[0]), [&] { return -x[0]; }, [&] { return td::exp(x[0]); });
                      },
                      [&] { return x[0]; })};
                },
                {two})),
            "graph(x: float32(2,)) {\n"
            "  %neg = Neg(%x) : float32(2,)\n"
            "  return %neg\n"
            "}\n");
}

// Sizes that hang on data in two bodies are not the same size.
TEST(DeadBranches, SizesOfTwoBodiesStayApart) {
  const auto count = [](const td::Tensor& p, const td::Tensor& x) {
    return td::cond(
        p, [&] { return td::nonzero(x); }, [&] { return td::nonzero(-x); });
  };
  td::Graph graph = traced(
      [&](Values x) -> Values {
        return {td::concat({count(has_two(x[0]), x[0]), count(has_two(x[0]), x[0] - 1)}, 1)};
      },
      {two});
  EXPECT_TRUE(run_pass(td::passes::dead_branches, graph));
  std::set<int64_t> sizes;
  for (const td::Node& n : graph.nodes)
    if (n.op->has(td::dynamic_shape)) sizes.insert(n.outputs[0].shape[1]);
  EXPECT_EQ(sizes.size(), 2u);
}

namespace {

/// The graph, then the bodies of its only If.
std::string text_with_branches(const td::Graph& graph) {
  std::string text = text_of(graph);
  for (const td::Node& n : graph.nodes)
    if (n.op->has(td::has_bodies))
      for (const td::Graph* body : td::bodies_of(n).graphs) text += text_of(*body);
  return text;
}

/// What sinking leaves of it; the results stay the same, and a second time changes nothing.
std::string sunk(const std::function<Values(Values)>& body, const Values& arguments) {
  const td::Graph before = traced(body, arguments);
  td::Graph after = before;
  run_pass(td::passes::sink, after);
  expect_same_results(before, after);
  return text_with_branches(after);
}
bool sinks(const std::function<Values(Values)>& body, const Values& arguments) {
  td::Graph graph = traced(body, arguments);
  return run_pass(td::passes::sink, graph);
}

}  // namespace

TEST(Sink, WorkOfOneBranchGoesIntoIt) {
  EXPECT_EQ(sunk(
                [](Values x) -> Values {
                  const td::Tensor y = td::exp(x[0]), z = y * 2, w = -x[0];
                  return {td::cond(
                      td::sum(x[1]) > 0, [&] { return z + x[0]; }, [&] { return w; })};
                },
                {two, two}),
            "graph(x: float32(2,), x_1 \"x\": float32(2,)) {\n"
            "  %reduce_sum = ReduceSum(%x_1, _) {keepdims=0} : float32()\n"
            "  %constant_1 = Constant {value=float32()[0]} : float32()\n"
            "  %greater = Greater(%reduce_sum, %constant_1) : bool()\n"
            "  %if = If(%greater, %x) : float32(2,)\n"
            "  return %if\n"
            "}\n"
            "graph(\"x:0\": float32(2,)) {\n"
            "  %exp_1 = Exp(%\"x:0\") : float32(2,)\n"
            "  %constant = Constant {value=float32()[2]} : float32()\n"
            "  %mul = Mul(%exp_1, %constant) : float32(2,)\n"
            "  %add = Add(%mul, %\"x:0\") : float32(2,)\n"
            "  return %add\n"
            "}\n"
            "graph(unused_1 \"unused\": float32(2,)) {\n"
            "  %neg = Neg(%unused_1) : float32(2,)\n"
            "  return %neg\n"
            "}\n");
}

TEST(Sink, WorkThatOthersNeedStays) {
  const auto both = [](Values x) -> Values {
    const td::Tensor y = td::exp(x[0]);
    return {td::cond(
        td::sum(x[1]) > 0, [&] { return y; }, [&] { return -y; })};
  };
  EXPECT_FALSE(sinks(both, {two, two}));
  const auto outside = [](Values x) -> Values {
    const td::Tensor y = td::exp(x[0]);
    return {td::cond(
                td::sum(x[1]) > 0, [&] { return y; }, [&] { return x[0]; }),
            y};
  };
  EXPECT_FALSE(sinks(outside, {two, two}));
  const auto decides = [](Values x) -> Values {
    const td::Tensor y = td::exp(x[0]);
    return {td::cond(
        td::sum(y) > 0, [&] { return y; }, [&] { return x[0]; })};
  };
  EXPECT_FALSE(sinks(decides, {two, two}));
}

TEST(Sink, EffectsStay) {
  const td::Variable v(two, {.name = "v", .unique_name = false});
  // What is made of random bits may sink; the generator advances where it did.
  td::Graph random = traced(
      [](Values x) -> Values {
        const td::Tensor y = td::random::uniform({2});
        return {td::cond(
            td::sum(x[0]) > 0, [&] { return y; }, [&] { return x[0]; })};
      },
      {two});
  const auto ordered = [&] {
    return std::count_if(random.nodes.begin(), random.nodes.end(), [](const td::Node& n) {
      return (n.op->traits & (td::effect | td::reads_variable | td::writes_variable)) != 0;
    });
  };
  const auto before = ordered();
  EXPECT_GT(before, 1);
  run_pass(td::passes::sink, random);
  EXPECT_EQ(ordered(), before);
  const auto read = [&](Values x) -> Values {
    const td::Tensor y = v.value();
    v.assign(x[0]);
    return {td::cond(
        td::sum(x[0]) > 0, [&] { return y; }, [&] { return x[0]; })};
  };
  EXPECT_FALSE(sinks(read, {two}));
}

TEST(DeadBranches, ABranchWhoseResultNothingUses) {
  const td::Variable v(two, {.name = "v"});
  const auto nodes = [&](bool writes) {
    td::Graph graph = traced(
        [&](Values x) -> Values {
          td::cond(
              td::sum(x[0]) > 0,
              [&] {
                if (writes) v.assign(x[0]);
                return x[0] + v;
              },
              [&] { return x[0]; });
          return {x[0]};
        },
        {two});
    run_pass(td::passes::dead_branches, graph);
    td::passes::prune(graph);
    return graph.nodes.size();
  };
  EXPECT_EQ(nodes(false), 1u);
  EXPECT_GT(nodes(true), 1u);
}

namespace {

/// Doubles until the limit; the limit may hang on the shape only.
Values doubled(const Values& x, const td::Tensor& limit, int64_t most = -1) {
  td::WhileOptions options;
  options.maximum_iterations = most;
  return {std::get<1>(td::while_loop([&](td::Tensor i, td::Tensor) { return i < limit; },
                                     [](td::Tensor i, td::Tensor y) { return std::tuple(i + 1, y * 2); },
                                     std::tuple(td::Tensor(2, td::int64), x[0]), options))};
}

}  // namespace

TEST(DeadBranches, ALoopThatCannotBeginGivesItsFirstValues) {
  // Under the identity that a loop begins with, which another pass removes.
  const std::string unchanged =
      "graph(x: float32(2,)) {\n  %identity_1 = Identity(%x) : float32(2,)\n  return %identity_1\n}\n";
  EXPECT_EQ(left_of(traced([](Values x) { return doubled(x, td::size_of(x[0])); }, {two})), unchanged);
  EXPECT_EQ(
      left_of(traced([](Values x) { return doubled(x, td::cast(td::sum(x[0]), td::int64), 0); }, {two})),
      unchanged);
}

TEST(DeadBranches, ALoopOfOneIterationIsItsBody) {
  EXPECT_EQ(left_of(traced([](Values x) { return doubled(x, td::size_of(x[0]) + 5, 1); }, {two})),
            "graph(x: float32(2,)) {\n"
            "  %identity_1 = Identity(%x) : float32(2,)\n"
            "  %constant_5 = Constant {value=float32()[2]} : float32()\n"
            "  %mul = Mul(%identity_1, %constant_5) : float32(2,)\n"
            "  return %mul\n"
            "}\n");
}

TEST(DeadBranches, LoopsThatMayBeginStay) {
  const td::Variable v(td::Tensor(0, td::int64), {.name = "v"});
  const std::function<Values(Values)> bodies[] = {
      [](Values x) { return doubled(x, td::cast(td::sum(x[0]), td::int64)); },
      [](Values x) { return doubled(x, td::size_of(x[0]) + 5); },
      [&](Values x) { return doubled(x, v); },  // the variable may change
  };
  for (const auto& body : bodies) {
    td::Graph graph = traced(body, {two});
    EXPECT_FALSE(run_pass(td::passes::dead_branches, graph));
  }
}
