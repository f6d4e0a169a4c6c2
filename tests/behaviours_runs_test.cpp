// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: iteration, what loops and
// branches keep, chains of calls, limits and measures of runs, structures and texts of manual graphs.

#include <chrono>
#include <thread>

#include "function/function_core.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace v1 = tandem::v1;

using Floats = std::vector<float>;
using List = std::vector<td::Tensor>;
using tandem::testing::message_of;

namespace {

Floats floats(const td::Tensor& t) { return td::cast(t, td::float32).to_vector<float>(); }

/// The value and the gradient of `f` at x, eagerly, of the function, and taken inside a function.
template <class F>
void expect_everywhere(F body, const td::Tensor& x, const Floats& value, const Floats& slope) {
  const auto both = [&](const auto& f) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = f(x);
    EXPECT_EQ(floats(y), value);
    EXPECT_EQ(floats(tape.gradient(td::sum(y), x)), slope);
  };
  {
    SCOPED_TRACE("eager");
    both(body);
  }
  {
    SCOPED_TRACE("a tape over a function");
    both(td::Function<td::Tensor(td::Tensor)>(body));
  }
  SCOPED_TRACE("inside a function");
  const auto inside = td::function([&](td::Tensor v) {
    td::GradientTape tape;
    tape.watch(v);
    const td::Tensor y = body(v);
    return List{y, tape.gradient(td::sum(y), v)};
  });
  const List found = inside(x);
  EXPECT_EQ(floats(found[0]), value);
  EXPECT_EQ(floats(found[1]), slope);
}

/// The nodes with bodies that `f`'s first trace recorded.
template <class F>
std::vector<const td::Node*> structured_nodes(const F& f) {
  std::vector<const td::Node*> found;
  for (const td::Node& n : f.core().traces()[0]->recorded.nodes)
    if (n.op->has(td::has_bodies)) found.push_back(&n);
  return found;
}

}  // namespace

// ---- C-24: map, scan, fold

TEST(Behaviour, C_23_LoopsThatNothingAsksAboutKeepNothing) {
  const auto f = td::function([](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = td::while_loop([](td::Tensor v) { return td::sum(v) < 100; },
                                        [](td::Tensor v) { return v * v; }, td::stop_gradient(x));
    return List{y, tape.gradient(td::sum(y * x), x)};
  });
  EXPECT_EQ(floats(f(td::Tensor({3.f}))[1]), (Floats{6561}));
  ASSERT_EQ(structured_nodes(f).size(), 1u);
  EXPECT_EQ(structured_nodes(f)[0]->outputs.size(), 1);
}

TEST(Behaviour, C_24_MapGoesAlongTheFirstDimension) {
  expect_everywhere(
      [](td::Tensor x) { return td::map_fn([](td::Tensor row) { return td::sum(row * row); }, x); },
      td::Tensor({{1.f, 2.f}, {3.f, 4.f}, {0.f, -1.f}}), {5, 25, 1}, {2, 4, 6, 8, 0, -2});
}

TEST(Behaviour, C_24_MapKeepsStructures) {
  using Pair = std::tuple<td::Tensor, td::Tensor>;
  const auto body = [](td::Tensor x, td::Tensor y) {
    return td::map_fn(
        [](const Pair& e) {
          return Pair{std::get<0>(e) + std::get<1>(e), std::get<0>(e) * std::get<1>(e)};
        },
        Pair{x, y});
  };
  const td::Tensor x({1.f, 2.f, 3.f}), y({4.f, 5.f, 6.f});
  const auto graph = td::Function<Pair(td::Tensor, td::Tensor)>(body);
  for (const auto& [sum, product] : {body(x, y), graph(x, y)}) {
    EXPECT_EQ(floats(sum), (Floats{5, 7, 9}));
    EXPECT_EQ(floats(product), (Floats{4, 10, 18}));
  }
}

TEST(Behaviour, C_24_ScanGivesEveryAccumulator) {
  const td::Tensor x({1.f, 2.f, 3.f});
  const auto step = [](td::Tensor sum, td::Tensor e) { return sum * 2 + e; };
  expect_everywhere([&](td::Tensor v) { return td::scan(step, v, td::Tensor(1.f)); }, x, {3, 8, 19},
                    {7, 3, 1});
  expect_everywhere([&](td::Tensor v) { return td::scan(step, v, 1.f, {.reverse = true}); }, x, {25, 12, 5},
                    {1, 3, 7});
  expect_everywhere([&](td::Tensor v) { return td::scan(step, v); }, x, {1, 4, 11}, {7, 3, 1});
}

TEST(Behaviour, C_24_FoldsGiveTheLastAccumulator) {
  const td::Tensor x({1.f, 2.f, 3.f});
  const auto step = [](td::Tensor sum, td::Tensor e) { return sum * 2 + e; };
  expect_everywhere([&](td::Tensor v) { return td::foldl(step, v, td::Tensor(1.f)); }, x, {19}, {4, 2, 1});
  expect_everywhere([&](td::Tensor v) { return td::foldr(step, v, td::Tensor(1.f)); }, x, {25}, {1, 2, 4});
  expect_everywhere([&](td::Tensor v) { return td::foldl(step, v); }, x, {11}, {4, 2, 1});
}

TEST(Behaviour, C_24_StopGradientOnPartOfTheState) {
  expect_everywhere(
      [](td::Tensor v) {
        const auto [kept, cut] = td::foldl(
            [](const std::tuple<td::Tensor, td::Tensor>& state, td::Tensor e) {
              const auto& [a, b] = state;
              return std::tuple{a + e, td::stop_gradient(b * e)};
            },
            v, std::tuple{td::Tensor(0.f), td::Tensor(1.f)});
        return kept + cut;
      },
      td::Tensor({2.f, 3.f}), {11}, {1, 1});
}

TEST(Behaviour, C_24_EmptyFirstDimension) {
  const td::Tensor none = td::zeros({0, 2});
  const auto row_sum = [](td::Tensor row) { return td::cast(td::sum(row), td::int32); };
  const auto add = [](td::Tensor sum, td::Tensor row) { return sum + row; };
  const auto body = [&](td::Tensor x) {
    return List{td::map_fn(row_sum, x), td::scan(add, x, td::Tensor({1.f, 2.f})),
                td::foldl(add, x, td::Tensor({1.f, 2.f}))};
  };
  for (const List& found : {body(none), td::Function<List(td::Tensor)>(body)(none)}) {
    EXPECT_EQ(found[0].spec(), (td::Spec{td::int32, {0}, {}}));
    EXPECT_EQ(found[1].spec(), (td::Spec{td::float32, {0, 2}, {}}));
    EXPECT_EQ(floats(found[2]), (Floats{1, 2}));
  }
  EXPECT_ERROR(
      td::scan(add, none),
      "scan: there is no element to start from; give an initializer (behaviours_runs_test.cpp:LINE)");
}

TEST(Behaviour, C_24_WrongIterations) {
  const auto same = [](td::Tensor x) { return x; };
  EXPECT_ERROR(td::map_fn(same, td::Tensor(1.f)),
               "map_fn: element 0 is a scalar; a first dimension is needed to go along "
               "(behaviours_runs_test.cpp:LINE)");
  EXPECT_ERROR(td::map_fn([](const List& x) { return x[0]; }, List{td::zeros({2}), td::zeros({3})}),
               "map_fn: the first sizes of the elements differ: 2 and 3 (behaviours_runs_test.cpp:LINE)");
  const auto wrong = [](td::Tensor, td::Tensor e) { return td::cast(e, td::int32); };
  EXPECT_ERROR(td::scan(wrong, td::zeros({2}), td::Tensor(0.f)),
               "scan: accumulator 0 is float32() before the function and int32() after it "
               "(behaviours_runs_test.cpp:LINE)");
  const auto traced = td::function([&](td::Tensor x) { return td::scan(wrong, x, td::Tensor(0.f)); });
  EXPECT_NE(message_of([&] {
              traced(td::zeros({2}));
            }).find("scan: accumulator 0 is float32() before the function and int32() after it"),
            std::string::npos);
}

// ---- C: case, what is kept, nested loops

TEST(Behaviour, C_08_TheFirstPredicateThatHolds) {
  const auto body = [](td::Tensor x) {
    return td::case_(
        {{x < 0, [&] { return -x; }}, {x < 10, [&] { return x * x; }}, {x < 5, [&] { return x; }}},
        [&] { return x + 1000; });
  };
  expect_everywhere(body, td::Tensor(-2.f), {2}, {-1});
  expect_everywhere(body, td::Tensor(3.f), {9}, {6});
  expect_everywhere(body, td::Tensor(20.f), {1020}, {1});
}

TEST(Behaviour, C_08_ExclusiveAndMissingCases) {
  const auto body = [](td::Tensor x, bool exclusive, bool with_default) {
    const std::function<td::Tensor()> otherwise = [&] { return x; };
    return td::case_({{x < 10, [&] { return x * x; }}, {x < 5, [&] { return -x; }}},
                     with_default ? otherwise : std::function<td::Tensor()>(), {.exclusive = exclusive});
  };
  const auto graph = td::Function<td::Tensor(td::Tensor, bool, bool)>(body);
  EXPECT_EQ(body(td::Tensor(7.f), true, true).item<float>(), 49);
  EXPECT_EQ(graph(td::Tensor(7.f), true, false).item<float>(), 49);
  for (const std::function<td::Tensor(td::Tensor, bool, bool)>&f :
       {std::function<td::Tensor(td::Tensor, bool, bool)>(body),
        std::function<td::Tensor(td::Tensor, bool, bool)>(
            [&](td::Tensor x, bool a, bool b) { return graph(x, a, b); })}) {
    EXPECT_NE(message_of([&] {
                f(td::Tensor(3.f), true, true);
              }).find("several predicates hold, and the cases are exclusive: Tensor([ True  True]"),
              std::string::npos);
    EXPECT_NE(message_of([&] {
                f(td::Tensor(30.f), false, false);
              }).find("no predicate holds, and there is no default branch: Tensor([False False]"),
              std::string::npos);
  }
  EXPECT_ERROR(td::case_({}), "case: there is no branch (behaviours_runs_test.cpp:LINE)");
}

TEST(Behaviour, C_10_BranchesHandOverIntermediatesOnly) {
  const auto f = td::function([](td::Tensor x) {
    td::GradientTape tape({.persistent = true});
    tape.watch(x);
    const td::Tensor y = td::cond(
        td::sum(x) > 0, [&] { return td::exp(x) * x * 3; }, [&] { return x * 2; });
    tape.stop();
    return List{tape.gradient(y, x), tape.gradient(y, x)};
  });
  const List d = f(td::Tensor({0.5f}));
  EXPECT_EQ(floats(d[0]), floats(d[1]));
  const auto nodes = structured_nodes(f);
  ASSERT_EQ(nodes.size(), 3u);  // forward, and each gradient's way back
  // The result, exp(x), and exp(x) * x are computed; the argument and the constants are not handed over.
  EXPECT_LE(nodes[0]->outputs.size(), 3);
  EXPECT_EQ(nodes[1]->outputs.size(), 1);
}

TEST(Behaviour, C_16_InvariantsAreNotStacked) {
  const auto f = td::function([](td::Tensor x, td::Tensor w) {
    td::GradientTape tape;
    tape.watch(w);
    const auto y = td::while_loop([](td::Tensor v) { return td::sum(v) < 100; },
                                  [&](td::Tensor v) { return v * td::exp(w); }, x);
    return tape.gradient(y, w);
  });
  f(td::Tensor({1.f, 2.f}), td::Tensor({1.f, 1.f}));
  const td::Node& loop = *structured_nodes(f)[0];
  // v, the values that v * exp(w) needs (v and exp(w)), nothing of w itself.
  EXPECT_LE(loop.outputs.size(), 3);
  for (int i = 1; i < loop.outputs.size(); ++i) EXPECT_EQ(loop.outputs[i].shape.rank(), 2);
}

TEST(Behaviour, C_19_LoopsKeepWhatTheWayBackNeeds) {
  const auto kept = [](auto step) {
    const auto f = td::Function<td::Tensor(td::Tensor)>([step](td::Tensor x) {
      td::GradientTape tape;
      tape.watch(x);
      const auto [i, y] =
          td::while_loop([](td::Tensor k, td::Tensor) { return k < 5; },
                         [&](td::Tensor k, td::Tensor v) { return std::tuple(k + 1, step(v)); },
                         std::tuple(td::Tensor(0), x));
      return tape.gradient(y, x);
    });
    f(td::Tensor({1.f, 2.f}));
    return structured_nodes(f)[0]->outputs.size() - 2;
  };
  // A placeholder that counts iterations is all that sums need; neither the counter nor constants are kept.
  EXPECT_EQ(kept([](td::Tensor v) { return v + 1; }), 1);
  EXPECT_EQ(kept([](td::Tensor v) { return v * 3; }), 1);
  EXPECT_EQ(kept([](td::Tensor v) { return v * v; }), 1);  // v
  EXPECT_EQ(kept([](td::Tensor v) { return td::exp(v); }), 1);
}

TEST(Behaviour, C_21_InnerLoopsOfVaryingCounts) {
  // The inner loop runs once, then twice, then three times: x^1 * x^2 * x^3.
  const auto body = [](td::Tensor x) {
    return std::get<1>(td::while_loop(
        [](td::Tensor i, td::Tensor) { return i < 4; },
        [&](td::Tensor i, td::Tensor y) {
          const td::Tensor power =
              std::get<1>(td::while_loop([&](td::Tensor k, td::Tensor) { return k < i; },
                                         [&](td::Tensor k, td::Tensor p) { return std::tuple(k + 1, p * x); },
                                         std::tuple(td::Tensor(0), td::ones_like(x))));
          return std::tuple(i + 1, y * power);
        },
        std::tuple(td::Tensor(1), td::ones_like(x))));
  };
  expect_everywhere(body, td::Tensor({2.f, 1.f}), {64, 1}, {192, 6});
  // Second derivatives: 30 x^4.
  const auto slope = [&](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(body(x), x);
  };
  expect_everywhere(slope, td::Tensor({2.f, 1.f}), {192, 6}, {480, 30});
}

TEST(Behaviour, C_21_LoopsWhoseVariablesGrow) {
  // Each iteration appends the sum so far, times x.
  const auto body = [](td::Tensor x) {
    td::WhileOptions options;
    options.shape_invariants = {{}, {-1}};
    return td::sum(std::get<1>(td::while_loop(
        [](td::Tensor i, td::Tensor) { return i < 3; },
        [&](td::Tensor i, td::Tensor v) {
          return std::tuple(i + 1, td::concat({v, td::reshape(td::sum(v) * td::sum(x), {1})}, 0));
        },
        std::tuple(td::Tensor(0), x), options)));
  };
  // x, x^2, (x + x^2) x and so on: x (1 + x)^3.
  expect_everywhere(body, td::Tensor({2.f}), {54}, {81});
}

// ---- F: captures, chains of calls, signatures, shapes that depend on data

TEST(Behaviour, F_21_VariablesAreFetchedAtEachCall) {
  const td::Variable scale(2.f);
  const auto inner = td::function([&](td::Tensor x) { return x * scale; });
  const auto outer = td::function([&](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 100; }, [&](td::Tensor v) { return inner(v); }, x);
  });
  EXPECT_EQ(outer(td::Tensor(3.f)).item<float>(), 192);
  scale.assign(10.f);
  EXPECT_EQ(outer(td::Tensor(3.f)).item<float>(), 300);
  EXPECT_EQ(outer.trace_count(), 1);
  EXPECT_NE(message_of([&] { scale.assign(td::zeros({2})); }).find("cannot hold"), std::string::npos);
}

TEST(Behaviour, F_29_ErrorsNameTheChainOfFunctions) {
  const auto checked = td::function(
      [](td::Tensor x) {
        td::check(x > 0, "not positive");
        return td::log(x);
      },
      {.name = "checked"});
  const auto other = td::function([](td::Tensor x) { return x + 1; }, {.name = "other"});
  const auto outer = td::function([&](td::Tensor x) { return checked(other(x)); }, {.name = "outer"});
  const int line = __LINE__ - 1;
  const auto text = [&](int check_line, int call_line) {
    return fmt::format(
        "assert: not positive (behaviours_runs_test.cpp:{})\n  in checked (behaviours_runs_test.cpp:{})\n"
        "  in outer (behaviours_runs_test.cpp:{})",
        check_line, line, call_line);
  };
  EXPECT_EQ(message_of([&] { outer(td::Tensor({-2.f})); }), text(line - 5, __LINE__));
  td::run_functions_eagerly(true);
  EXPECT_EQ(message_of([&] { outer(td::Tensor({-2.f})); }), text(line - 5, __LINE__));
  td::run_functions_eagerly(false);
  // Errors of tracing too; and in a branch.
  const auto wrong = td::function([](td::Tensor x) { return td::reshape(x, {7}); }, {.name = "wrong"});
  const auto branch = td::function(
      [&](td::Tensor x) {
        return td::cond(
            td::sum(x) > 0, [&] { return checked(-x); }, [&] { return x; });
      },
      {.name = "branch"});
  EXPECT_NE(message_of([&] {
              td::function([&](td::Tensor x) { return wrong(x); })(td::zeros({3}));
            }).find("\n  in wrong (behaviours_runs_test.cpp:"),
            std::string::npos);
  const std::string in_branch = message_of([&] { branch(td::Tensor({2.f})); });
  EXPECT_NE(in_branch.find("\n  in checked (behaviours_runs_test.cpp:"), std::string::npos) << in_branch;
  EXPECT_NE(in_branch.find("\n  in branch (behaviours_runs_test.cpp:"), std::string::npos) << in_branch;
  EXPECT_EQ(in_branch.find("in other"), std::string::npos) << in_branch;
}

TEST(Behaviour, F_44_SignaturesShowParametersCapturesAndResults) {
  const td::Variable w(td::zeros({3}), {.name = "w"});
  const auto step = td::function(
      [&](td::Tensor a, td::Tensor b, int) {
        return List{a * w, b + 1};
      },
      {.name = "step", .parameters = {"image", "label"}});
  step(td::zeros({2, 3}), td::Tensor(1), 5);
  EXPECT_EQ(step.trace(0).signature,
            "step(image: float32(2, 3), label: int32()) uses w: float32(3,) -> (float32(2, 3), int32())");
  const auto plain = td::function([](td::Tensor a, td::Tensor b) { return a + b; });
  plain(td::Tensor(1.f), td::Tensor(2.f));
  EXPECT_EQ(plain.trace(0).signature, "function(x: float32(), x_1: float32()) -> (float32())");
  EXPECT_NE(plain.trace(0).graph.find("Add(%x, %x_1)"), std::string::npos);
}

TEST(Behaviour, F_47_ShapesThatDependOnData) {
  const auto body = [](td::Tensor x) {
    const td::Tensor positive = td::boolean_mask(x, x > 0);
    if (positive.is_symbolic()) {
      EXPECT_TRUE(positive.shape()[0].is_symbolic());
      EXPECT_ERROR(
          (void)(positive.shape()[0] + 1),
          "dim: a size that is unknown while tracing was asked for as a number; pass the Dim itself to the "
          "operation (behaviours_runs_test.cpp:LINE)");
    }
    return List{positive, td::nonzero(x), td::unique(x).values, td::sum(positive * positive),
                td::concat({positive, positive + 1}, 0)};
  };
  const auto graph = td::function([&](td::Tensor x) { return body(x); });
  for (const td::Tensor& x : {td::Tensor({1.f, -2.f, 3.f, 3.f}), td::Tensor({-1.f, -1.f, 0.f, -2.f})}) {
    const List eager = body(x), traced = graph(x);
    for (size_t i = 0; i < eager.size(); ++i) {
      EXPECT_EQ(traced[i].spec(), eager[i].spec());
      EXPECT_EQ(floats(traced[i]), floats(eager[i]));
    }
  }
  EXPECT_EQ(graph.trace_count(), 1);
}

// ---- F-48, S-17, S-19: limits and measures of runs

TEST(Behaviour, F_48_CancellingEndsACall) {
  const auto spin = td::function([](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 1e30f; }, [](td::Tensor v) { return v * 1.f; }, x);
  });
  const auto once = td::function([](td::Tensor x) { return x * 2; });
  EXPECT_EQ(once(td::Tensor(1.f)).item<float>(), 2);
  const td::CancellationToken token;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    token.cancel();
  });
  {
    const td::RunScope scope({.cancellation = token});
    try {
      spin(td::Tensor(1.f));
      ADD_FAILURE() << "the loop ended by itself";
    } catch (const td::Error& e) {
      EXPECT_EQ(e.code(), td::ErrorCode::cancelled);
      EXPECT_NE(std::string(e.what()).find("the run was cancelled"), std::string::npos);
    }
    // Before a call, and in an eager loop.
    EXPECT_NE(message_of([&] { once(td::Tensor(1.f)); }).find("the run was cancelled"), std::string::npos);
    EXPECT_NE(message_of([&] {
                td::while_loop([](td::Tensor v) { return v < 3; }, [](td::Tensor v) { return v + 1; },
                               td::Tensor(0));
              }).find("the run was cancelled"),
              std::string::npos);
  }
  canceller.join();
  EXPECT_EQ(once(td::Tensor(1.f)).item<float>(), 2);
}

TEST(Behaviour, S_19_TimeoutsEndRuns) {
  v1::Graph graph;
  td::Tensor x, forever, twice;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({}, td::float32, "x");
    forever = td::while_loop([](td::Tensor v) { return v < 1e30f; }, [](td::Tensor v) { return v * 1.f; }, x);
    twice = x * 2;
  }
  v1::Session session(graph);
  try {
    session.run(forever, {{x, td::Tensor(1.f)}}, {.timeout = std::chrono::milliseconds(10)});
    ADD_FAILURE() << "the loop ended by itself";
  } catch (const td::Error& e) {
    EXPECT_EQ(e.code(), td::ErrorCode::timed_out);
    EXPECT_NE(std::string(e.what()).find("the run takes longer than its limit of 10000 us"),
              std::string::npos);
  }
  EXPECT_EQ(session.run(twice, {{x, td::Tensor(2.f)}}, {.timeout = std::chrono::seconds(60)}).item<float>(),
            4);
}

TEST(Behaviour, S_17_TimesAreNotedWhenAskedFor) {
  v1::Graph graph;
  td::Tensor x, y;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({64, 64}, td::float32, "x");
    y = td::sum(td::matmul(x, x));
  }
  v1::Session session(graph);
  td::RunMetadata metadata;
  const v1::Feeds feeds{{x, td::ones({64, 64})}};
  session.run(y, feeds, {.metadata = &metadata});
  ASSERT_EQ(metadata.steps.size(), 2u);
  EXPECT_EQ(metadata.steps[0].op, "MatMul");
  EXPECT_EQ(metadata.steps[0].name, "matmul");
  EXPECT_STREQ(metadata.steps[0].where.file_name(), "behaviours_runs_test.cpp");
  EXPECT_EQ(metadata.steps[1].op, "ReduceSum");
  for (const td::StepTime& step : metadata.steps) EXPECT_GT(step.duration_us, 0);
  EXPECT_GE(metadata.steps[1].start_us, metadata.steps[0].start_us + metadata.steps[0].duration_us);
  session.run(y, feeds);
  EXPECT_EQ(metadata.steps.size(), 2u);
}

// ---- S: structures and texts

TEST(Behaviour, S_01_FetchesKeepTheirStructure) {
  v1::Graph graph;
  td::Tensor x, y, z;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({}, td::float32, "x");
    y = x + 1;
    z = y * 2;
  }
  v1::Session session(graph);
  const v1::Feeds feeds{{x, td::Tensor(3.f)}};
  const auto [first, rest] =
      session.run(std::tuple{y, std::map<std::string, List>{{"a", {z, y}}, {"none", {}}}}, feeds);
  EXPECT_EQ(first.item<float>(), 4);
  EXPECT_EQ(rest.at("a")[0].item<float>(), 8);
  EXPECT_EQ(rest.at("a")[1].item<float>(), 4);
  EXPECT_TRUE(rest.at("none").empty());
  EXPECT_EQ(session.run(List{z, y}, feeds)[0].item<float>(), 8);
  EXPECT_TRUE(session.run(List(), feeds).empty());
  EXPECT_EQ(session.run({"mul:0", "x"}, feeds)[1].item<float>(), 3);
}

TEST(Behaviour, S_18_GraphsGoThroughText) {
  v1::Graph graph;
  td::Tensor x, y;
  td::Variable w;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({-1, 2}, td::float32, "x");
    w = v1::variable([] { return td::Tensor({3.f, 4.f}); }, {.name = "w"});
    y = td::sum(x * w + 0.1f, {1});
  }
  std::string text = graph.to_string();
  const std::string result = graph.tensor("reduce_sum:0").is_symbolic() ? "reduce_sum:0" : "";
  v1::Graph again("again");
  {
    auto scope = again.as_default();
    // Names are unique in a process; another process has the text's own.
    const td::Variable other = v1::variable([] { return td::Tensor({3.f, 4.f}); }, {.name = "w"});
    const std::string name = "variable=\"" + w.name() + '"';
    text.replace(text.find(name), name.size(), "variable=\"" + other.name() + '"');
    v1::import_graph(text);
    EXPECT_NE(
        message_of([&] { v1::import_graph(text); })
            .find("import_graph: the graph \"again\" has an operation \"x\" already; import under another "
                  "prefix (behaviours_runs_test.cpp:"),
        std::string::npos);
    v1::import_graph(text, "second/");
  }
  const td::Tensor value({{1.f, 2.f}, {-1.f, 0.5f}, {0.f, 7.f}});
  v1::Session one(graph), two(again);
  one.initialize();
  two.initialize();
  const Floats wanted = floats(one.run(y, {{x, value}}));
  EXPECT_EQ(floats(two.run(result, {{"x", value}})), wanted);
  EXPECT_EQ(floats(two.run("second/" + result, {{"second/x", value}})), wanted);
  // Source lines come along.
  const std::string lines = again.to_string();
  const std::string where = "  @behaviours_runs_test.cpp:";
  EXPECT_NE(text.find(where), std::string::npos);
  EXPECT_NE(lines.find(where), std::string::npos) << lines;
  EXPECT_NE(message_of([&] {
              v1::Graph empty("empty");
              auto scope = empty.as_default();
              v1::import_graph(text);
            }).find("import_graph: "),
            std::string::npos);
}
