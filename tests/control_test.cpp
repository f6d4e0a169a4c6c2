// Control flow and effects, eagerly and traced, with gradients; manual graphs and sessions.

#include "tandem/control_flow.h"

#include <cmath>
#include <functional>
#include <sstream>
#include <thread>

#include "tandem/session.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;
namespace v1 = tandem::v1;

using Floats = std::vector<float>;

namespace {}  // namespace

TEST(Cond, TakesOneBranchInBothModes) {
  auto body = [](td::Tensor x) {
    return td::cond(
        td::sum(x) > 0, [&] { return x * 2; }, [&] { return -x; });
  };
  auto f = td::function(body);
  for (const td::Tensor& x : {td::Tensor({1.f, 2.f}), td::Tensor({-1.f, -2.f})})
    EXPECT_TRUE(same_bits(body(x), f(x)));
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Cond, GradientFollowsTheTakenBranch) {
  const td::Variable w(td::Tensor({0.5f, -1.5f}));
  auto body = [&](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = td::cond(
        td::sum(x) > 0, [&] { return td::sum(x * x * x * w) + td::sum(x * w); }, [&] { return td::sum(x); });
    auto [dx, dw] = tape.gradient(y + td::sum(x * 2), x, w);
    return std::vector<td::Tensor>{y, dx, dw.defined() ? dw : td::zeros({2})};
  };
  auto f = td::function(body);
  for (const td::Tensor& x : {td::Tensor({1.f, 2.f}), td::Tensor({-1.f, -2.f})}) {
    const auto eager = body(x), graph = f(x);
    EXPECT_TRUE(same_bits(eager[0], graph[0]));
    EXPECT_TRUE(same_bits(eager[1], graph[1]));
    EXPECT_EQ(eager[2].to_vector<float>(), graph[2].to_vector<float>());
  }
}

TEST(Cond, EffectsOfTheOtherBranchDoNotHappen) {
  const td::Variable v(td::Tensor(1.f));
  auto f = td::function([&](td::Tensor flag) {
    v.assign(v * 2.f);
    td::cond(
        flag, [&] { v.assign_add(4.f); }, [] {});
    return v.value();
  });
  EXPECT_EQ(f(td::Tensor(false)).item<float>(), 2);
  v.assign(1.f);
  EXPECT_EQ(f(td::Tensor(true)).item<float>(), 6);
}

TEST(Cond, BranchesMustAgree) {
  const int line = __LINE__ + 2;
  auto f = td::function([](td::Tensor x) {
    return td::cond(
        td::sum(x) > 0, [&] { return x; }, [&] { return td::cast(x, td::int32); });
  });
  EXPECT_NE(tandem::testing::message_of([&] {
              f(td::ones({2}));
            }).find("(control_test.cpp:" + std::to_string(line) + ")"),
            std::string::npos);
}

TEST(While, SquaresUntilEight) {
  auto body = [](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 8; }, [](td::Tensor v) { return v * v; }, x);
  };
  auto f = td::function(body);
  EXPECT_EQ(body(td::Tensor(2.f)).item<float>(), 16);
  EXPECT_EQ(f(td::Tensor(2.f)).item<float>(), 16);
  EXPECT_EQ(f(td::Tensor(9.f)).item<float>(), 9);
  auto gradient = [&](auto&& g) {
    const td::Tensor x = 2.f;
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(g(x), x).template item<float>();
  };
  EXPECT_EQ(gradient(body), 32);
  EXPECT_EQ(gradient(f), 32);
}

TEST(While, CapturedMultiplierAccumulates) {
  auto body = [](td::Tensor v, td::Tensor a) {
    td::GradientTape tape;
    tape.watch(v);
    tape.watch(a);
    const td::Tensor y =
        td::while_loop([](td::Tensor x) { return x < 100; }, [&](td::Tensor x) { return x * a; }, v);
    auto [dv, da] = tape.gradient(y, v, a);
    return std::vector<td::Tensor>{y, dv, da};
  };
  auto f = td::function(body);
  const td::Tensor v = 2.f, a = 3.f;
  for (const auto& r : {body(v, a), f(v, a)}) {
    EXPECT_EQ(r[0].item<float>(), 162);
    EXPECT_EQ(r[1].item<float>(), 81);
    EXPECT_EQ(r[2].item<float>(), 216);
  }
}

TEST(While, TuplesAndCounts) {
  auto body = [](td::Tensor n) {
    auto [i, sum] = td::while_loop([&](td::Tensor i, td::Tensor) { return i < n; },
                                   [](td::Tensor i, td::Tensor s) { return std::tuple(i + 1, s + i); },
                                   std::tuple(td::Tensor(0), td::Tensor(0)));
    return sum;
  };
  auto f = td::function(body);
  EXPECT_EQ(body(td::Tensor(5)).item<int>(), 10);
  EXPECT_EQ(f(td::Tensor(5)).item<int>(), 10);
}

// Going back twice: the loop that the first way back records keeps its own scans beside those of the second.
TEST(While, ATensorThatIsCapturedAndTheStartSumsItsGradientsAsEagerCodeDoes) {
  // In float16 another order of sums is seen at once.
  const auto f = [](td::Tensor x) {
    const td::Tensor power =
        td::while_loop([](td::Tensor v) { return td::sum(v) < 40; }, [&](td::Tensor v) { return v * x; }, x);
    return td::sum(td::exp(td::add_n({x, power, power}) / 16));
  };
  const auto graph = td::function(f);
  const auto gradient = [](const auto& g, const td::Tensor& x) {
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(g(x), x);
  };
  for (int i = 0; i < 50; ++i) {
    const td::Tensor x = td::cast(td::linspace(1.1 + 0.013 * i, 1.5 + 0.007 * i, 5), td::float16);
    EXPECT_TRUE(same_bits(td::cast(gradient(f, x), td::float32), td::cast(gradient(graph, x), td::float32)))
        << x;
  }
}

TEST(While, SecondDerivativesGoThroughTheLoopsOwnScans) {
  const std::vector<std::function<td::Tensor(td::Tensor)>> losses{
      [](td::Tensor x) {
        return td::while_loop([](td::Tensor v) { return td::sum(v) < 100; },
                              [&](td::Tensor v) { return v * x + v * v; }, x * x);
      },
      [](td::Tensor x) {  // shapes vary, so scans are filled up
        return td::sin(td::while_loop([](td::Tensor v) { return td::sum(v) < 20; },
                                      [](td::Tensor v) {
                                        return td::concat({v * v, v}, 0);
                                      },
                                      x, {.shape_invariants = {{-1}}}));
      },
      [](td::Tensor x) {
        const td::Tensor sums =
            td::scan([](td::Tensor a, td::Tensor e) { return td::sin(a) * e + a * a; }, x);
        return td::scan([](td::Tensor a, td::Tensor e) { return td::cos(a) * e; }, sums);
      },
      [](td::Tensor x) {
        return td::map_fn(
            [&](td::Tensor e) {
              return td::scan([](td::Tensor a, td::Tensor b) { return a * b + b; }, x * e);
            },
            x);
      }};
  for (size_t i = 0; i < losses.size(); ++i) {
    auto second = [&](td::Tensor x) {
      td::GradientTape outer, inner;
      outer.watch(x);
      inner.watch(x);
      const td::Tensor dx = inner.gradient(td::sum(losses[i](x)), x);
      return outer.gradient(td::sum(dx * dx), x);
    };
    const td::Tensor x = {0.5f, 1.5f, 2.f};
    const Floats eager = second(x).to_vector<float>();
    const Floats graph = td::function(second)(x).to_vector<float>();
    for (size_t k = 0; k < eager.size(); ++k)  // the second way back adds up in an order of its own
      EXPECT_NEAR(graph[k], eager[k], std::abs(eager[k]) * 1e-5) << "loss " << i;
    const Floats numbers = [&] {  // central differences of the first derivative
      Floats found;
      for (int k = 0; k < 3; ++k) {
        auto squares = [&](double h) {
          double at[] = {0.5, 1.5, 2};
          at[k] += h;
          const td::Tensor moved({at[0], at[1], at[2]}, td::float64);
          td::GradientTape tape;
          tape.watch(moved);
          const td::Tensor dx = tape.gradient(td::sum(losses[i](moved)), moved);
          return td::sum(dx * dx).item<double>();
        };
        found.push_back(static_cast<float>((squares(1e-5) - squares(-1e-5)) / 2e-5));
      }
      return found;
    }();
    for (size_t k = 0; k < eager.size(); ++k)
      EXPECT_NEAR(numbers[k], eager[k], std::abs(eager[k]) * 1e-3) << "loss " << i;
  }
}

TEST(While, ShapesMustStay) {
  auto grow = [](td::Tensor x) { return td::concat({x, x}, 0); };
  auto less = [](td::Tensor x) { return td::sum(x) < 10; };
  const char* expected =
      "while_loop: loop variable 0 has shape (1,) before the body and (2,) after it; give a shape invariant "
      "with -1 for "
      "sizes that change (control_test.cpp:LINE)";
  EXPECT_ERROR(td::while_loop(less, grow, td::ones({1})), expected);
  EXPECT_EQ(td::while_loop(less, grow, td::ones({1}), {.shape_invariants = {{-1}}}).shape(), (td::Shape{16}));
  auto f =
      td::function([&](td::Tensor x) { return td::while_loop(less, grow, x, {.shape_invariants = {{-1}}}); });
  EXPECT_EQ(f(td::ones({1})).shape(), (td::Shape{16}));
}

TEST(Effects, PrintRunsEachTime) {
  std::ostringstream text;
  td::set_print_stream(&text);
  auto f = td::function([](td::Tensor x) {
    td::print("x is", {x});
    td::check(td::sum(x) > 0, "x must be positive:", {x});
    td::print("after");
    return x;
  });
  f(td::Tensor({1.f}));
  f(td::Tensor({2.f}));
  EXPECT_THROW(f(td::Tensor({-2.f})), td::Error);
  td::set_print_stream(nullptr);
  EXPECT_EQ(text.str(),
            "x is Tensor([1.], shape=(1,), dtype=float32)\nafter\nx is Tensor([2.], shape=(1,), "
            "dtype=float32)\nafter\n"
            "x is Tensor([-2.], shape=(1,), dtype=float32)\n");
}

TEST(Session, RunsOnlyWhatFetchesNeed) {
  std::ostringstream text;
  td::set_print_stream(&text);
  v1::Graph graph("g");
  td::Tensor x, y, z;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({-1, 2}, td::float32, "x");
    y = td::sum(x * 2, {0});
    td::print("never", {y});
    z = y + 1;
  }
  v1::Session session(graph);
  EXPECT_EQ(session.run(z, {{x, td::ones({3, 2})}}).to_vector<float>(), (Floats{7, 7}));
  EXPECT_EQ(session.run(z, {{y, td::Tensor({1.f, 2.f})}}).to_vector<float>(), (Floats{2, 3}));
  const auto both = session.run({"x:0", y, y}, {{"x:0", td::ones({1, 2})}});
  EXPECT_EQ(both[2].to_vector<float>(), (Floats{2, 2}));
  EXPECT_EQ(text.str(), "");
  td::set_print_stream(nullptr);
  EXPECT_ERROR(session.run(z),
               "run: the placeholder \"x\" is needed and was not fed (control_test.cpp:LINE)");
  EXPECT_ERROR(session.run("w:0"), "run: the graph \"g\" has no tensor \"w:0\" (control_test.cpp:LINE)");
  EXPECT_ERROR(session.run(z, {{x, td::ones({3})}}),
               "run: \"x:0\" has shape (?, 2) and was fed (3,) (control_test.cpp:LINE)");
  EXPECT_ERROR(session.run(z, {{x, td::ones({3, 2}, td::int32)}}),
               "run: \"x:0\" has dtype float32 and was fed int32 (control_test.cpp:LINE)");
  session.close();
  EXPECT_ERROR(session.run(z, {{x, td::ones({3, 2})}}), "run: the session is closed (control_test.cpp:LINE)");
}

TEST(Session, VariablesBelongToTheSession) {
  v1::Graph graph;
  td::Tensor step, value;
  td::Variable v;
  {
    auto scope = graph.as_default();
    v = v1::variable([] { return td::Tensor(1.f); }, {.name = "v"});
    value = td::identity(v.value());
    step = v1::operation([&] { v.assign_add(1.f); });
  }
  v1::Session a(graph), b(graph);
  EXPECT_NE(
      tandem::testing::message_of([&] { a.run(value); }).find("variable v is read before it has a value"),
      std::string::npos);
  a.initialize();
  b.initialize();
  a.run(step);
  a.run(step);
  EXPECT_EQ(a.run(value).item<float>(), 3);
  EXPECT_EQ(b.run(value).item<float>(), 1);
}

TEST(Session, GraphsGrowAndThreadsRun) {
  v1::Graph graph;
  td::Tensor x, y, z;
  {
    auto scope = graph.as_default();
    x = v1::placeholder({2});
    y = x * 3;
  }
  v1::Session session(graph);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const auto n = static_cast<float>(t * 100 + i);
        EXPECT_EQ(session.run(y, {{x, td::Tensor({n, n})}}).to_vector<float>(), (Floats{3 * n, 3 * n}));
      }
    });
  {
    auto scope = graph.as_default();
    z = y + 1;
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(session.run(z, {{x, td::Tensor({1.f, 2.f})}}).to_vector<float>(), (Floats{4, 7}));
  auto call = session.make_callable({z}, {x});
  EXPECT_EQ(call({td::Tensor({1.f, 1.f})})[0].to_vector<float>(), (Floats{4, 4}));
}
