// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: control flow, manual
// graphs and sessions.

#include <sstream>
#include <thread>

#include "tandem/control_flow.h"
#include "tandem/session.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;
namespace v1 = tandem::v1;

using Floats = std::vector<float>;
using List = std::vector<td::Tensor>;
using tandem::testing::message_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// The value and the gradient of `f` at x.
template <class F>
Floats value_and_slope(F f, float at) {
  const td::Tensor x = at;
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor y = f(x);
  const td::Tensor dx = tape.gradient(y, x);
  return {y.item<float>(), dx.defined() ? dx.item<float>() : -99};
}

/// value_and_slope eagerly, of the function, and taken inside a function; all give `expected`.
template <class F>
void expect_everywhere(F body, float at, const Floats& expected) {
  EXPECT_EQ(value_and_slope(body, at), expected) << "eager";
  EXPECT_EQ(value_and_slope(td::function(body), at), expected) << "eager tape over a function";
  auto inside = td::function([body](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = body(x);
    return List{y, tape.gradient(y, x, {.unconnected = td::Unconnected::zero})};
  });
  const List r = inside(td::Tensor(at));
  EXPECT_EQ((Floats{r[0].item<float>(), r[1].item<float>()}), expected) << "inside a function";
}

}  // namespace

// ---- C: cond, switch_case, while_loop

TEST(Behaviour, C_01_PredicatesAreScalarBools) {
  auto pick = [](td::Tensor p) {
    return td::cond(
        p, [] { return td::Tensor(1.f); }, [] { return td::Tensor(2.f); });
  };
  auto f = td::function(pick);
  EXPECT_EQ(pick(td::Tensor(true)).item<float>(), 1);
  EXPECT_EQ(f(td::Tensor(false)).item<float>(), 2);
  for (const td::Tensor& wrong : {td::Tensor({true, false}), td::Tensor(1)}) {
    EXPECT_TRUE(
        contains(message_of([&] { pick(wrong); }), "a scalar bool is needed (behaviours_control_test.cpp"));
    EXPECT_TRUE(
        contains(message_of([&] { f(wrong); }), "a scalar bool is needed (behaviours_control_test.cpp"));
  }
}

TEST(Behaviour, C_02_OneBranchRuns) {
  auto body = [](td::Tensor n) {
    return td::cond(
        n == 0, [&] { return n; }, [&] { return 10 / n; });
  };
  auto f = td::function(body);
  EXPECT_EQ(f(td::Tensor(0)).item<int>(), 0);
  EXPECT_EQ(f(td::Tensor(5)).item<int>(), 2);
  EXPECT_EQ(body(td::Tensor(0)).item<int>(), 0);
}

TEST(Behaviour, C_03_BranchesAgree) {
  int runs = 0;
  auto once = td::function([&](td::Tensor x) {
    return td::cond(
        x > 0, [&] { return ++runs, x; }, [&] { return ++runs, -x; });
  });
  once(1.f);
  once(-1.f);
  EXPECT_EQ(runs, 2);
  auto f = td::function([](td::Tensor x) {
    return td::cond(
        td::sum(x) > 0, [&] { return x * 2; }, [&] { return td::cast(x, td::int32); });
  });
  const std::string message = message_of([&] { f(td::ones({2})); });
  EXPECT_TRUE(contains(message, "cond: result 0 is float32(2,) in one branch (behaviours_control_test.cpp:"))
      << message;
  EXPECT_TRUE(contains(message, "and int32(2,) in the other (behaviours_control_test.cpp:")) << message;
}

TEST(Behaviour, C_04_ShapesMeetInUnknownSizes) {
  auto f = td::function([](td::Tensor x) {
    return td::cond(
        td::sum(x) > 0, [&] { return x; },
        [&] {
          return td::concat({x, x}, 0);
        });
  });
  EXPECT_EQ(f(td::ones({2})).shape(), (td::Shape{2}));
  EXPECT_EQ(f(-td::ones({2})).shape(), (td::Shape{4}));
  EXPECT_FALSE(f.trace(0).outputs[0].shape.is_static());
}

TEST(Behaviour, C_05_BranchesDoNotShareTensors) {
  auto f = td::function([](td::Tensor x) {
    td::Tensor inner;
    return td::cond(
        x > 0, [&] { return inner = x * 2; }, [&] { return inner + 1; });
  });
  const std::string message = message_of([&] { f(1.f); });
  EXPECT_TRUE(contains(message, "used outside the trace that made it")) << message;
}

TEST(Behaviour, C_06_BranchResults) {
  auto f = td::function([](td::Tensor x) {
    td::cond(
        x > 0, [] {}, [] {});
    return td::cond(
        x > 0, [&] { return std::tuple(x, x); },
        [&] {
          const td::Tensor y = x * 2;
          return std::tuple(y, y);
        });
  });
  auto [a, b] = f(3.f);
  EXPECT_EQ(a.item<float>() + b.item<float>(), 6);
  auto [c, d] = f(-3.f);
  EXPECT_EQ(c.item<float>() + d.item<float>(), -12);
}

TEST(Behaviour, C_08_SwitchByIndex) {
  auto body = [](td::Tensor i) {
    return td::switch_case(i, {[] { return td::Tensor(10.f); }, [] { return td::Tensor(20.f); },
                               [] { return td::Tensor(30.f); }});
  };
  auto f = td::function(body);
  const float expected[] = {30, 10, 20, 30, 30, 30};
  for (int i = -1; i < 5; ++i) {
    EXPECT_EQ(body(td::Tensor(i)).item<float>(), expected[i + 1]) << i;
    EXPECT_EQ(f(td::Tensor(i)).item<float>(), expected[i + 1]) << i;
  }
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, C_07_WorkOfOneBranchIsSunkIntoIt) {
  std::ostringstream text;
  td::set_print_stream(&text);
  const auto body = [](td::Tensor x) {
    const td::Tensor costly = td::exp(td::matmul(td::expand(x, {4, 4}), td::ones({4, 4})));
    td::print("effects stay");
    return td::cond(
        x > 0, [&] { return td::sum(costly); }, [&] { return x; });
  };
  const auto f = td::function(body);
  for (const float x : {0.5f, -0.5f}) EXPECT_TRUE(same_bits(f(x), body(x)));
  td::set_print_stream(nullptr);
  EXPECT_EQ(text.str(), "effects stay\neffects stay\neffects stay\neffects stay\n");
  EXPECT_FALSE(contains(f.trace(0).graph, "MatMul"));
  EXPECT_FALSE(contains(f.trace(0).graph, "Exp("));
}

// What the other branch would send back does not exist: no zero of it meets an infinity.
TEST(Behaviour, C_09_NothingComesBackFromTheOtherBranch) {
  const td::Variable w(td::Tensor({0.f, 2.f}), {.name = "w"});
  const auto slope = [&](td::Tensor x, td::Tensor p) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor root = td::sqrt(x * w), twice = root * 2, logarithm = td::log(w);
    const td::Tensor y = td::cond(
        p > 0, [&] { return td::sum(twice) + td::sum(logarithm * x); }, [&] { return td::sum(x * 3); });
    const td::Tensor z = td::cond(
        p > 1, [&] { return td::sum(twice); }, [&] { return td::sum(root) + td::sum(x); });
    const td::Tensor other = td::cond(
        p > 2, [&] { return td::sum(td::exp(root)); }, [&] { return td::sum(x); });
    auto [dx, dw, droot] = tape.gradient(y + z + other + td::sum(x * x), x, w, root);
    for (td::Tensor* d : {&dx, &dw, &droot})
      if (!d->defined()) *d = td::zeros({2});
    return td::concat({dx, dw, droot}, 0);
  };
  const auto f = td::function(slope);
  for (const float p : {-1.f, 0.5f, 1.5f, 3.f})
    for (const td::Tensor& x : {td::Tensor({0.f, 4.f}), td::Tensor({3.f, 0.25f})}) {
      const td::Tensor eager = slope(x, p), graph = f(x, p);
      // A gradient that is none is zero, of either sign.
      EXPECT_EQ(td::to_string(eager + 0), td::to_string(graph + 0)) << p;
    }
  // To second order.
  const auto curvature = [](td::Tensor x, td::Tensor p) {
    td::GradientTape outer;
    outer.watch(x);
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor root = td::sqrt(x) * 2;
    const td::Tensor y = td::cond(
        p > 0, [&] { return td::sum(root * x); }, [&] { return td::sum(x * x * x); });
    const td::Tensor d = tape.gradient(y, x);
    return outer.gradient(td::sum(d * d), x);
  };
  const auto g = td::function(curvature);
  EXPECT_TRUE(same_bits(g(td::Tensor({0.f, 4.f}), -1.f), curvature(td::Tensor({0.f, 4.f}), -1.f)));
  EXPECT_TRUE(same_bits(g(td::Tensor({1.f, 4.f}), 1.f), curvature(td::Tensor({1.f, 4.f}), 1.f)));
}

TEST(Behaviour, C_09_GradientsFollowTheTakenBranch) {
  auto body = [](td::Tensor x) {
    return td::cond(
        x > 0, [&] { return x * x * x; }, [&] { return x; });
  };
  expect_everywhere(body, 2, {8, 12});
  expect_everywhere(body, -2, {-2, 1});
  auto slope = [body](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(body(x), x, {.unconnected = td::Unconnected::zero});
  };
  EXPECT_EQ(value_and_slope(slope, 2), (Floats{12, 12}));
  EXPECT_EQ(value_and_slope(td::function(slope), 2), (Floats{12, 12}));
  EXPECT_EQ(value_and_slope(td::function(slope), -2)[0], 1);
  const td::Variable v(5.f);
  auto other = td::function([&](td::Tensor x) {
    return td::cond(
        x > 0, [&] { return x * v; }, [&] { return x; });
  });
  const td::Tensor x = -1.f;
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_EQ(tape.gradient(other(x), v, {.unconnected = td::Unconnected::zero}).item<float>(), 0);
}

TEST(Behaviour, C_11_KnownPredicatesLeaveOneBranch) {
  std::ostringstream text;
  td::set_print_stream(&text);
  auto f = td::function([](td::Tensor x) {
    const td::Tensor yes = true;
    return td::cond(
        yes, [&] { return td::print("live"), x * 2; }, [&] { return td::print("dead"), x * 3; });
  });
  EXPECT_EQ(f(1.f).item<float>(), 2);
  td::set_print_stream(nullptr);
  EXPECT_EQ(text.str(), "live\n");
  EXPECT_FALSE(contains(f.trace(0).graph, "If"));
}

TEST(Behaviour, C_12_LoopsOfNoIteration) {
  int runs = 0;
  auto body = [&](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return td::sum(v) < 10; },
                          [&](td::Tensor v) { return ++runs, v * 2; }, x);
  };
  auto f = td::function(body);
  const td::Tensor x = {7.1f, 8.3f};
  EXPECT_TRUE(same_bits(f(x), x));
  EXPECT_TRUE(same_bits(body(x), x));
  EXPECT_EQ(f(td::Tensor({0.5f, 0.5f})).to_vector<float>(), (Floats{8, 8}));
  EXPECT_EQ(runs, 1);
}

TEST(Behaviour, C_13_LoopVariablesKeepDtypeAndCount) {
  auto loop = [](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 8; },
                          [](td::Tensor v) { return td::cast(v, td::int32); }, x);
  };
  const char* expected = "while_loop: loop variable 0 is float32 before the body and int32 after it";
  EXPECT_TRUE(contains(message_of([&] { loop(1.f); }), expected));
  auto f = td::function(loop);
  EXPECT_TRUE(contains(message_of([&] { f(1.f); }), expected));
  auto list = td::function([](td::Tensor x) {
    return td::while_loop([](List v) { return v[0] < 8; }, [](List v) { return List{v[0]}; }, List{x, x})[0];
  });
  EXPECT_TRUE(contains(message_of([&] { list(1.f); }), "the body returns 1 values for 2 loop variables"));
}

TEST(Behaviour, C_14_ShapeInvariants) {
  auto grow = [](td::Tensor x) { return td::concat({x, x}, 0); };
  auto small = [](td::Tensor x) { return td::sum(x) < 10; };
  auto f = td::function([&](td::Tensor x) { return td::while_loop(small, grow, x); });
  EXPECT_TRUE(
      contains(message_of([&] { f(td::ones({1})); }),
               "while_loop: loop variable 0 has shape (1,) before the body and (2,) after it; give a shape "
               "invariant with -1 for sizes that change"));
  auto g = td::function(
      [&](td::Tensor x) { return td::while_loop(small, grow, x, {.shape_invariants = {{-1}}}); });
  EXPECT_EQ(g(td::ones({1})).shape(), (td::Shape{16}));
  EXPECT_FALSE(g.trace(0).outputs[0].shape.is_static());
  auto h =
      td::function([&](td::Tensor x) { return td::while_loop(small, grow, x, {.shape_invariants = {{3}}}); });
  EXPECT_TRUE(contains(message_of([&] { h(td::ones({1})); }),
                       "loop variable 0 has shape (1,), which its shape invariant (3,) does not allow"));
}

TEST(Behaviour, C_15_MaximumIterations) {
  expect_everywhere(
      [](td::Tensor x) {
        return td::while_loop([](td::Tensor) { return td::Tensor(true); }, [](td::Tensor v) { return v * v; },
                              x, {.maximum_iterations = 2});
      },
      2, {16, 32});
}

TEST(Behaviour, C_17_LoopGradients) {
  expect_everywhere(
      [](td::Tensor x) {
        return td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; }, x);
      },
      2, {16, 32});
  expect_everywhere(
      [](td::Tensor a) {
        return td::while_loop([](td::Tensor v) { return v < 100; }, [&](td::Tensor v) { return v * a; },
                              td::Tensor(2.f));
      },
      3, {162, 216});
}

TEST(Behaviour, C_18_NoIterationPassesGradientsThrough) {
  auto loop = [](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; }, x);
  };
  expect_everywhere(loop, 9, {9, 1});
  // The second variable is ignored by the body, the third replaced.
  auto three = [](td::Tensor x) {
    auto [a, b, c] = td::while_loop(
        [](td::Tensor v, td::Tensor, td::Tensor) { return v < 8; },
        [](td::Tensor v, td::Tensor w, td::Tensor) { return std::tuple(v * v, w, td::Tensor(1.f)); },
        std::tuple(td::Tensor(2.f), x, x * 5));
    return a * 0 + b + c;
  };
  expect_everywhere(three, 3, {4, 1});
}

TEST(Behaviour, C_20_StopGradientInLoops) {
  auto body = [](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 8; },
                          [](td::Tensor v) { return v * td::stop_gradient(v); }, x);
  };
  expect_everywhere(body, 2, {16, 8});
  auto outside = [](td::Tensor x) {
    return x + td::stop_gradient(
                   td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; }, x));
  };
  expect_everywhere(outside, 2, {18, 1});
}

TEST(Behaviour, C_21_NestedControlFlow) {
  auto function = td::function([](td::Tensor v) { return v * v; });
  auto branch_in_loop = [=](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 100; },
                          [=](td::Tensor v) {
                            return td::cond(
                                v < 10, [&] { return function(v); }, [&] { return v * 2; });
                          },
                          x);
  };
  // 2 -> 4 -> 16 -> 32 -> 64 -> 128: 8 x^4
  expect_everywhere(branch_in_loop, 2, {128, 256});
  auto loop_in_loop = [](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 100; },
                          [](td::Tensor v) {
                            return std::get<1>(td::while_loop(
                                [](td::Tensor n, td::Tensor) { return n < 2; },
                                [&](td::Tensor n, td::Tensor w) { return std::tuple(n + 1, w * v); },
                                std::tuple(td::Tensor(0), v)));
                          },
                          x);
  };
  // 2 -> 8 -> 512: x^9
  expect_everywhere(loop_in_loop, 2, {512, 2304});
  auto loop_in_branch = [](td::Tensor x) {
    return td::cond(
        x > 0,
        [&] {
          return td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; }, x);
        },
        [&] { return x; });
  };
  expect_everywhere(loop_in_branch, 2, {16, 32});
}

TEST(Behaviour, C_21_GradientsTakenInsideBodies) {
  // v := v - d(v^2 a)/dv / 4 with a captured: two steps of gradient descent.
  auto descend = [](td::Tensor a) {
    auto [i, v] = td::while_loop([](td::Tensor n, td::Tensor) { return n < 2; },
                                 [&](td::Tensor n, td::Tensor w) {
                                   td::GradientTape tape;
                                   tape.watch(w);
                                   return std::tuple(n + 1, w - tape.gradient(w * w * a, w) / 4);
                                 },
                                 std::tuple(td::Tensor(0), td::Tensor(4.f)));
    return v;
  };
  // v = 4 (1 - a/2)^2, dv/da = -4 (1 - a/2)
  expect_everywhere(descend, 1, {1, -2});
}

TEST(Behaviour, C_22_CountersHaveNoGradient) {
  expect_everywhere(
      [](td::Tensor x) {
        auto [i, v] = td::while_loop([](td::Tensor n, td::Tensor) { return n < 3; },
                                     [](td::Tensor n, td::Tensor w) { return std::tuple(n + 1, w * 2); },
                                     std::tuple(td::Tensor(0), x));
        return v + td::cast(i, td::float32);
      },
      1, {11, 8});
}

TEST(Behaviour, C_25_ErrorsNameTheIteration) {
  const td::Variable v(0.f);
  auto f = td::function([&](td::Tensor x) {
    return td::while_loop([](td::Tensor i) { return i < 10; },
                          [&](td::Tensor i) {
                            td::check(i < 3, "too far:", {i});
                            v.assign_add(1.f);
                            return i + 1;
                          },
                          x);
  });
  const std::string message = message_of([&] { f(0.f); });
  EXPECT_TRUE(contains(message, "too far: Tensor(3.0, shape=(), dtype=float32)")) << message;
  EXPECT_TRUE(contains(message, "in iteration 3 of while_loop")) << message;
  EXPECT_TRUE(contains(message, "behaviours_control_test.cpp")) << message;
  EXPECT_EQ(v.value().item<float>(), 3);
}

TEST(Behaviour, C_26_TheSameBitsEverywhere) {
  auto step = [](td::Tensor v) { return td::sin(v) * 1.7f + td::exp(-v * v) * 0.3f; };
  const td::Tensor x = {0.1f, 0.7f, -0.3f, 1.9f};
  td::Tensor unrolled = x;
  for (int i = 0; i < 7; ++i) unrolled = step(unrolled);
  auto loop = [&](td::Tensor t) {
    auto [i, v] = td::while_loop([](td::Tensor n, td::Tensor) { return n < 7; },
                                 [&](td::Tensor n, td::Tensor w) { return std::tuple(n + 1, step(w)); },
                                 std::tuple(td::Tensor(0), t));
    return v;
  };
  auto traced = td::function(loop);
  auto nested = td::function([&](td::Tensor t) { return traced(t) + 0; });
  auto flat = td::function([&](td::Tensor t) {
    for (int i = 0; i < 7; ++i) t = step(t);
    return t;
  });
  for (const td::Tensor& y : {loop(x), traced(x), nested(x), flat(x)}) EXPECT_TRUE(same_bits(y, unrolled));
}

// ---- S: manual graphs and sessions

namespace {

/// x -> y = x * 2 -> z = y + 1, and a variable v that `step` adds 1 to.
struct SmallGraph {
  v1::Graph graph{"small"};
  td::Tensor x, y, z, value, step;
  td::Variable v;
  SmallGraph() {
    auto scope = graph.as_default();
    x = v1::placeholder({-1}, td::float32, "x");
    y = x * 2;
    z = y + 1;
    v = v1::variable([] { return td::Tensor(1.f); }, {.name = "v"});
    value = td::identity(v.value());
    step = v1::operation([&] { v.assign_add(1.f); });
  }
};

}  // namespace

TEST(Behaviour, S_02_FetchesByTensorAndName) {
  SmallGraph g;
  v1::Session session(g.graph);
  const td::Tensor one = {1.f};
  const auto r = session.run({g.z, "mul:0", g.z}, {{"x:0", one}});
  EXPECT_EQ(r[0].to_vector<float>(), (Floats{3}));
  EXPECT_EQ(r[1].to_vector<float>(), (Floats{2}));
  EXPECT_EQ(r[2].to_vector<float>(), (Floats{3}));
  EXPECT_ERROR(session.run("w:0"),
               "run: the graph \"small\" has no tensor \"w:0\" (behaviours_control_test.cpp:LINE)");
  EXPECT_ERROR(session.run(td::Tensor()),
               "run: an empty tensor handle is no fetch (behaviours_control_test.cpp:LINE)");
  const v1::Graph empty("empty");
  v1::Session nothing(empty);
  EXPECT_ERROR(nothing.run("w:0"), "run: the graph \"empty\" is empty (behaviours_control_test.cpp:LINE)");
}

TEST(Behaviour, S_03_OnlyWhatIsNeededRuns) {
  std::ostringstream text;
  td::set_print_stream(&text);
  SmallGraph g;
  {
    auto scope = g.graph.as_default();
    td::print("never", {g.y});
    g.v.assign_add(100.f);
  }
  v1::Session session(g.graph);
  session.initialize();
  session.run(g.z, {{g.x, td::ones({2})}});
  td::set_print_stream(nullptr);
  EXPECT_EQ(text.str(), "");
  EXPECT_EQ(session.run(g.value).item<float>(), 1);
}

TEST(Behaviour, S_04_AnyTensorMayBeFed) {
  SmallGraph g;
  v1::Session session(g.graph);
  const td::Tensor five = {5.f};
  EXPECT_EQ(session.run(g.z, {{g.y, five}}).to_vector<float>(), (Floats{6}));
  EXPECT_EQ(session.run(g.y, {{g.y, five}}).to_vector<float>(), (Floats{5}));
  EXPECT_EQ(session.run(g.z, {{g.x, five}}).to_vector<float>(), (Floats{11}));
}

TEST(Behaviour, S_05_WrongFeeds) {
  SmallGraph g;
  v1::Session session(g.graph);
  EXPECT_ERROR(session.run(g.z),
               "run: the placeholder \"x\" is needed and was not fed (behaviours_control_test.cpp:LINE)");
  EXPECT_ERROR(session.run(g.z, {{g.x, td::ones({2, 2})}}),
               "run: \"x:0\" has shape (?,) and was fed (2, 2) (behaviours_control_test.cpp:LINE)");
  EXPECT_ERROR(session.run(g.z, {{g.x, td::ones({2}, td::float64)}}),
               "run: \"x:0\" has dtype float32 and was fed float64 (behaviours_control_test.cpp:LINE)");
  EXPECT_TRUE(contains(message_of([&] { session.run(g.z, {{g.x, g.y}}); }), "is the symbolic tensor"));
}

TEST(Behaviour, S_06_EveryDtypeAndEmptyShapes) {
  for (td::DType dtype : {td::float32, td::float64, td::int32, td::int64, td::boolean})
    for (const td::Shape& shape : {td::Shape{}, td::Shape{0}, td::Shape{2, 0, 3}, td::Shape{2, 3}}) {
      v1::Graph graph;
      td::Tensor x;
      {
        auto scope = graph.as_default();
        x = v1::placeholder(shape, dtype, "x");
      }
      v1::Session session(graph);
      const td::Tensor value = td::cast(td::ones(shape), dtype), back = session.run(x, {{x, value}});
      EXPECT_EQ(back.dtype(), dtype);
      EXPECT_EQ(back.shape(), shape);
      EXPECT_EQ(td::to_string(back), td::to_string(value));
    }
}

TEST(Behaviour, S_07_OtherGraphsAreRefused) {
  SmallGraph a, b;
  v1::Session session(a.graph);
  EXPECT_TRUE(contains(message_of([&] { session.run(b.z); }), "belongs to another graph than \"small\""));
}

TEST(Behaviour, S_08_GraphsGrow) {
  SmallGraph g;
  v1::Session session(g.graph);
  session.initialize();
  session.run(g.step);
  td::Tensor more;
  {
    auto scope = g.graph.as_default();
    more = g.z * 10 + g.value;
  }
  EXPECT_EQ(session.run(more, {{g.x, td::Tensor({1.f})}}).to_vector<float>(), (Floats{32}));
}

TEST(Behaviour, S_09_VariablesBelongToTheSession) {
  SmallGraph g;
  v1::Session b(g.graph);
  {
    v1::Session a(g.graph);
    EXPECT_TRUE(contains(message_of([&] { a.run(g.value); }), "variable v is read before it has a value"));
    a.initialize();
    b.initialize();
    a.run(g.step);
    a.run(g.step);
    EXPECT_EQ(a.value(g.v).item<float>(), 3);
  }
  EXPECT_EQ(b.run(g.value).item<float>(), 1);
}

TEST(Behaviour, S_10_ManyThreadsRunWhileTheGraphGrows) {
  SmallGraph g;
  v1::Session session(g.graph);
  session.initialize();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        const auto n = static_cast<float>(t * 100 + i);
        EXPECT_EQ(session.run(g.z, {{g.x, td::Tensor({n})}}).to_vector<float>(), (Floats{2 * n + 1}));
      }
    });
  for (int i = 0; i < 10; ++i) {
    auto scope = g.graph.as_default();
    g.z + static_cast<float>(i);
  }
  for (auto& t : threads) t.join();
}

TEST(Behaviour, S_11_ClosedSessions) {
  SmallGraph g;
  v1::Session session(g.graph);
  auto call = session.make_callable({g.z}, {g.x});
  session.close();
  EXPECT_ERROR(session.run(g.z, {{g.x, td::ones({3})}}),
               "run: the session is closed (behaviours_control_test.cpp:LINE)");
  EXPECT_TRUE(contains(message_of([&] { call({td::ones({3})}); }), "run: the session is closed"));
}

TEST(Behaviour, S_12_PreparedCallables) {
  SmallGraph g;
  v1::Session session(g.graph);
  auto call = session.make_callable({g.z, g.y}, {g.x});
  const td::Tensor x = {1.f, 2.f};
  const auto prepared = call({x}), plain = session.run({g.z, g.y}, {{g.x, x}});
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(same_bits(prepared[i], plain[i]));
  EXPECT_TRUE(contains(message_of([&] { call({x, x}); }), "2 values were given for 1 feeds"));
  EXPECT_TRUE(contains(message_of([&] {
                         call({td::ones({1, 1})});
                       }),
                       "\"x:0\" has shape (?,) and was fed (1, 1)"));
}

TEST(Behaviour, S_13_NodesRunOnce) {
  std::ostringstream text;
  td::set_print_stream(&text);
  SmallGraph g;
  td::Tensor printed, a, b;
  {
    auto scope = g.graph.as_default();
    printed = v1::operation([&] { td::print("once"); });
    v1::control_dependencies({printed}, [&] {
      a = g.y * 3;
      b = g.y * 4;
    });
  }
  v1::Session session(g.graph);
  session.run({a, b, printed}, {{g.x, td::ones({1})}});
  td::set_print_stream(nullptr);
  EXPECT_EQ(text.str(), "once\n");
}

TEST(Behaviour, S_14_ControlInputsOrder) {
  SmallGraph g;
  td::Tensor after;
  {
    auto scope = g.graph.as_default();
    v1::control_dependencies({g.step}, [&] { after = td::identity(g.v.value()); });
  }
  v1::Session session(g.graph);
  session.initialize();
  EXPECT_EQ(session.run(after).item<float>(), 2);
  EXPECT_EQ(session.run(after).item<float>(), 3);
  EXPECT_EQ(session.run(g.value).item<float>(), 3);
}

TEST(Behaviour, S_15_InteriorNodesAreFetchable) {
  v1::Graph graph;
  td::Tensor x, a, b, c;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({4}, td::float32, "x");
    a = td::exp(x * 1.7f);
    b = a + 0;
    c = td::sum(b * b) / 3;
  }
  v1::Session session(graph);
  const td::Tensor value = {0.1f, 0.7f, -0.3f, 1.9f};
  const auto r = session.run({a, b, c}, {{x, value}});
  EXPECT_TRUE(same_bits(r[0], td::exp(value * 1.7f)));
  EXPECT_TRUE(same_bits(r[1], r[0]));
  EXPECT_TRUE(same_bits(session.run(c, {{x, value}}), r[2]));
  EXPECT_TRUE(same_bits(r[2], td::sum(r[1] * r[1]) / 3));
}

TEST(Behaviour, S_16_ErrorsNameOpAndLine) {
  v1::Graph graph;
  td::Tensor n, q;
  int line = 0;
  {
    auto scope = graph.as_default();
    n = v1::placeholder({}, td::int32, "n");
    line = __LINE__ + 1;
    q = 10 / n;
  }
  v1::Session session(graph);
  const std::string message = message_of([&] { session.run(q, {{n, td::Tensor(0)}}); });
  EXPECT_TRUE(contains(message, "div: ")) << message;
  EXPECT_TRUE(contains(message, "(behaviours_control_test.cpp:" + std::to_string(line) + ")")) << message;
}
