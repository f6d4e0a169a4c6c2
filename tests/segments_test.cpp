// Graphs whose shapes depend on data: where they are cut, what is planned between, and that nothing else
// changes.

#include <atomic>
#include <functional>
#include <sstream>
#include <thread>

#include "compiler/plan_cache.h"
#include "function/function_core.h"
#include "graph/text.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;

using Floats = std::vector<float>;
using td::Tensor;

namespace {

/// Where the graph of a function is cut: segments, and nodes called directly.
struct Cut {
  int segments, direct;
  bool operator==(const Cut&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Cut& c) {
  return out << c.segments << " segments, " << c.direct << " nodes called directly";
}
template <class F>
Cut cut_of(const F& f) {
  return {f.trace(0).segment_count, f.trace(0).direct_count};
}

/// Runs `body` eagerly and as a graph on each input, twice.
template <class Body>
Cut compare(const Body& body, const std::vector<Tensor>& inputs) {
  const auto f = td::function(body);
  for (int round = 0; round < 2; ++round)
    for (const Tensor& x : inputs) EXPECT_TRUE(same_bits(body(x), f(x))) << body(x) << f(x);
  EXPECT_EQ(f.trace_count(), 1);
  return cut_of(f);
}

/// The positive entries of a vector.
Tensor positive(const Tensor& x) { return td::compress(x, x > 0); }

}  // namespace

TEST(Segments, EndWhereAShapeDependsOnData) {
  const std::vector<Tensor> inputs = {td::Tensor({1.f, -2.f, 3.f, 4.f}), td::Tensor({-1.f, -2.f, -3.f, -4.f}),
                                      td::Tensor({5.f, 6.f, 7.f, 8.f})};
  EXPECT_EQ(compare([](Tensor x) { return td::tanh(positive(x * 2 + 1)) * 3; }, inputs), (Cut{2, 1}));
  // One after the other.
  EXPECT_EQ(compare(
                [](Tensor x) {
                  const Tensor y = positive(td::exp(x) - 2) + 1;
                  return td::sum(positive(y - 5) * y.dim(0));
                },
                inputs),
            (Cut{3, 2}));
  EXPECT_EQ(compare([](Tensor x) { return positive(x); }, inputs), (Cut{1, 1}));
}

TEST(Segments, TakeInAllThatIsReady) {
  // What does not need the shapes of the first node belongs before it, also further nodes of unknown shape.
  EXPECT_EQ(compare(
                [](Tensor x) {
                  const Tensor few = positive(x), other = td::exp(x), fewer = positive(other - 2);
                  return td::sum(few * 2) + td::sum(fewer) + td::sum(other);
                },
                {td::Tensor({1.f, -2.f, 3.f})}),
            (Cut{2, 2}));
}

TEST(Segments, OtherShapesThatFollowFromValues) {
  const std::vector<Tensor> inputs = {td::Tensor({1.f, 2.f, 3.f, 2.f}), td::Tensor({1.f, 1.f, 1.f, 5.f})};
  const auto length = [](const Tensor& x) { return td::cast(td::sum(x), td::int64); };
  EXPECT_EQ(compare(
                [&](Tensor x) {
                  return td::sum(td::arange(Tensor(0, td::int64), length(x), Tensor(1, td::int64)) * 3);
                },
                inputs),
            (Cut{2, 1}));
  EXPECT_EQ(compare(
                [&](Tensor x) {
                  const Tensor rows = td::clip(td::reshape(length(x) / 8, {1}), 1, 2);
                  const Tensor sizes = td::concat({rows, 4 / rows}, 0);
                  return td::reshape(x * 2, sizes) + 1;
                },
                inputs),
            (Cut{2, 1}));
  EXPECT_EQ(compare([&](Tensor x) { return td::unique(x).values * 2; }, inputs), (Cut{1, 1}));
  EXPECT_EQ(compare([&](Tensor x) { return td::gather(x + 1, td::reshape(td::nonzero(x > 1), {-1})) * x[0]; },
                    inputs),
            (Cut{2, 1}));
}

TEST(Segments, LoopsOfGrowingResults) {
  const auto grow = [](Tensor x) {
    const Tensor last = td::while_loop([](Tensor v) { return td::sum(v) < 60; },
                                       [](Tensor v) {
                                         return td::concat({v, v * 0.5f + 1}, 0);
                                       },
                                       x + 1, {.shape_invariants = {{-1}}});
    return td::sum(last * 2);
  };
  EXPECT_EQ(compare(grow, {td::Tensor({1.f, 2.f}), td::Tensor({20.f, 30.f})}), (Cut{2, 1}));
}

TEST(Segments, SizesFoundEarlierAreKnownLater) {
  // The size of x goes around the cut as a value: reshaping to it is no cut of its own.
  const auto body = [](Tensor x) {
    const Tensor few = positive(x), sizes = td::concat({td::shape_of(x), Tensor({1}, td::int64)}, 0);
    return td::reshape(x * td::sum(few), sizes) + td::cast(td::size_of(few), td::float32);
  };
  const auto f = td::function(body);
  for (int n : {3, 4, 5, 4, 3}) {
    const Tensor x = td::arange(-1.f, static_cast<float>(n));
    EXPECT_TRUE(same_bits(body(x), f(x)));
  }
  const int last = f.trace_count() - 1;
  EXPECT_EQ(f.trace(last).direct_count, 1);
  EXPECT_EQ(f.trace(last).segment_count, 2);
}

TEST(Segments, BranchesAndLoopsOverUnknownBatchesAreOnePlan) {
  const auto body = [](Tensor x) {
    const Tensor y = td::cond(
        td::sum(x) > 0, [&] { return x * 2; }, [&] { return -x; });
    const Tensor z = td::while_loop([](Tensor v) { return td::amax(v) < 100; },
                                    [&](Tensor v) { return v * 2 + td::abs(y); }, td::abs(y) + 1);
    return td::sum(z * 3);
  };
  const auto f = td::function(body);
  for (int n : {3, 4, 5, 4}) {
    const Tensor x = td::arange(-1.f, static_cast<float>(n));
    EXPECT_TRUE(same_bits(body(x), f(x)));
  }
  const auto last = f.trace(f.trace_count() - 1);
  EXPECT_TRUE(last.inputs[0].shape[0] < 0);
  EXPECT_EQ(last.segment_count, 0);
  EXPECT_GE(last.peak_bytes, 0);
}

TEST(Segments, BranchesOfUnknownSizesKeepThemApart) {
  // Both branches, and both conds, have an unknown size; no two of them are one.
  const auto body = [](Tensor x) {
    const auto choose = [](const Tensor& v) {
      return td::cond(
          td::sum(v) > 0, [&] { return positive(v); }, [&] { return positive(-v); });
    };
    return td::concat({choose(x), choose(x * 2 - 5) * 10}, 0);
  };
  EXPECT_EQ(compare(body, {td::Tensor({1.f, 2.f, -9.f, 4.f, 5.f}), td::Tensor({-1.f, 7.f, -9.f, 4.f, -5.f})}),
            (Cut{2, 2}));
}

TEST(Segments, EffectsKeepTheirOrder) {
  const td::Variable v(1.f, {.name = "v"});
  const auto body = [&](Tensor x) {
    td::print("before", {v.value()});
    const Tensor few = positive(x);
    v.assign_add(td::sum(few));
    td::print("between", {v.value()});
    const Tensor fewer = positive(few - v);
    v.assign(v * 2 + td::sum(fewer));
    td::cond(
        td::sum(x) > 3, [&] { td::print("then", {fewer}); }, [&] { td::print("else", {v.value()}); });
    td::print("after", {v.value(), few, fewer});
    return v * 1;
  };
  const auto f = td::function(body);
  for (const Tensor& x : {td::Tensor({1.f, -2.f, 9.f}), td::Tensor({-1.f, -2.f, 2.f})}) {
    std::ostringstream eager, graph;
    v.assign(1.f);
    td::set_print_stream(&eager);
    const Tensor wanted = body(x);
    v.assign(1.f);
    td::set_print_stream(&graph);
    const Tensor got = f(x);
    td::set_print_stream(nullptr);
    EXPECT_EQ(graph.str(), eager.str());
    EXPECT_TRUE(same_bits(wanted, got));
  }
  EXPECT_GT(f.trace(0).direct_count, 1);
}

TEST(Segments, ValuesDieAfterTheirLastUse) {
  // Each step makes a large value that only the next one reads.
  const auto body = [](Tensor x) {
    for (int i = 0; i < 8; ++i) x = positive(x) + 1;
    return td::sum(x);
  };
  const auto f = td::function(body);
  const Tensor x = td::ones({1 << 18});
  const int64_t bytes = 4 << 18;
  for (int i = 0; i < 3; ++i) {
    td::reset_peak_memory();
    const int64_t before = td::memory_statistics().live_bytes;
    f(x);
    // A vector, its flags and what is compressed from it; the arenas of eight plans stay.
    EXPECT_LT(td::memory_statistics().peak_bytes - before, 9 * bytes) << "call " << i;
  }
  EXPECT_EQ(cut_of(f), (Cut{9, 8}));
}

TEST(Segments, PlansAreKeptAndBounded) {
  const auto body = [](Tensor x) { return positive(x) * 2 + 1; };
  const auto f = td::function(body);
  const auto with = [](int count) {
    Floats values(200, -1.f);
    for (int i = 0; i < count; ++i) values[static_cast<size_t>(i)] = static_cast<float>(i + 1);
    return td::from_range(values);
  };
  for (int i = 0; i < 6; ++i) f(with(5));
  EXPECT_EQ(f.trace(0).plan_count, 2);
  for (int round = 0; round < 3; ++round)
    for (int count = 0; count < 200; ++count)
      EXPECT_TRUE(same_bits(f(with(count)), body(with(count)))) << count;
  EXPECT_LE(f.trace(0).plan_count, 1 + 32);
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Segments, ErrorsNameTheOpAndTheLine) {
  int line = 0;
  const auto body = [&](Tensor x) {
    const Tensor few = positive(x);
    line = __LINE__ + 1;
    return few + td::ones({3});
  };
  const auto f = td::function(body);
  const Tensor three = {1.f, 2.f, -1.f, 3.f}, two = {1.f, 2.f, -1.f, -3.f};
  EXPECT_TRUE(same_bits(f(three), body(three)));
  const std::string eager = td::testing::message_of([&] { body(two); });
  EXPECT_EQ(eager,
            "add: shapes (2,) and (3,) do not broadcast: 2 against 3 in dimension 0 (segments_test.cpp:" +
                std::to_string(line) + ")");
  EXPECT_EQ(td::testing::message_of([&] { f(two); }).substr(0, eager.size()), eager);
  EXPECT_TRUE(same_bits(f(three), body(three)));

  // Also where the first call finds it.
  const auto g = td::function(body);
  EXPECT_EQ(td::testing::message_of([&] { g(two); }).substr(0, eager.size()), eager);
  EXPECT_TRUE(same_bits(g(three), body(three)));
}

TEST(Segments, LoopsMustKeepShapesThatOnlyARunTells) {
  const auto body = [](Tensor x) {
    return td::while_loop([](Tensor v) { return td::sum(v) < 10; }, [](Tensor v) { return positive(v) + 1; },
                          x);
  };
  const Tensor keeps = {1.f, 2.f}, loses = {1.f, -2.f};
  const auto f = td::function(body);
  EXPECT_TRUE(same_bits(f(keeps), body(keeps)));
  const std::string eager = td::testing::message_of([&] { body(loses); });
  const std::string problem =
      "while_loop: loop variable 0 has shape (2,) before the body and (1,) after it; give a shape invariant "
      "with -1 "
      "for sizes that change (segments_test.cpp:";
  EXPECT_EQ(eager.substr(0, problem.size()), problem);
  const std::string graph = td::testing::message_of([&] { f(loses); });
  EXPECT_EQ(graph.substr(0, eager.size()), eager);
  EXPECT_NE(graph.find("in iteration 0 of while_loop"), std::string::npos);
}

TEST(Segments, VariablesOfUnknownSize) {
  const td::Variable v(td::zeros({2}), {.name = "rows", .shape = td::Shape{-1}});
  const auto body = [&](Tensor x) { return td::sum(v * 2) + x; };
  const auto f = td::function(body);
  for (int n : {2, 5, 3, 5}) {
    v.assign(td::ones({n}));
    EXPECT_EQ(f(1.f).item<float>(), 2 * static_cast<float>(n) + 1);
  }
  EXPECT_EQ(f.trace_count(), 1);
  EXPECT_EQ(cut_of(f), (Cut{1, 1}));
}

TEST(Segments, Gradients) {
  const auto body = [](Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    const Tensor few = positive(td::sin(x) * x);
    return tape.gradient(td::sum(few * few) + td::sum(td::exp(x)), x);
  };
  const std::vector<Tensor> inputs = {td::Tensor({1.f, -2.f, 3.f}), td::Tensor({4.f, 5.f, -4.f})};
  EXPECT_GE(compare(body, inputs).direct, 1);
  // A tape outside.
  const auto value = [](Tensor x) { return td::sum(positive(td::sin(x) * x) * 3); };
  const auto f = td::function(value);
  for (const Tensor& x : inputs) {
    td::GradientTape one, two;
    one.watch(x);
    two.watch(x);
    const Tensor eager = value(x), graph = f(x);
    EXPECT_TRUE(same_bits(one.gradient(eager, x), two.gradient(graph, x)));
  }
}

TEST(Segments, ManyThreadsMayCallAtOnce) {
  const auto body = [](Tensor x) {
    const Tensor few = positive(td::sin(x));
    return td::sum(positive(few - 0.5f) * 2) + td::sum(few);
  };
  const auto f = td::function(body);
  std::vector<Tensor> inputs, wanted;
  for (int i = 0; i < 8; ++i) {
    inputs.push_back(td::arange(0.f, 50.f) * (0.1f * static_cast<float>(i + 1)));
    wanted.push_back(body(inputs.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 200; ++i)
        wrong += same_bits(f(inputs[(i + t) % 8]), wanted[(i + t) % 8]) ? 0 : 1;
    });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cut_of(f), (Cut{3, 2}));
}

TEST(Segments, ExplainTellsTheCut) {
  const auto f = td::function([](Tensor x) { return positive(x + 1) * 2; });
  f(td::Tensor({1.f, -2.f}));
  EXPECT_NE(f.explain().find("    shapes depend on data at 1 node; planned between them: 2 segments\n"),
            std::string::npos)
      << f.explain();
  EXPECT_EQ(f.trace(0).peak_bytes, -1);
  const auto g = td::function([](Tensor x) { return x * 2; });
  g(1.f);
  EXPECT_EQ(g.explain().find("shapes depend"), std::string::npos);
}

TEST(PlanCache, ShapesThatComeOnceAreNotPlanned) {
  td::PlanCache cache(
      td::parse_graph("graph(x: float32(?0,)) {\n"
                      "  %tanh = Tanh(%x) : float32(?0,)\n"
                      "  return %tanh\n"
                      "}\n"));
  const auto run = [&](int64_t n) {
    const Tensor x = td::ones({n});
    const Tensor* in = &x;
    Tensor out;
    cache.run({&in, 1}, {&out, 1});
    return out;
  };
  for (int64_t n = 2; n < 6; ++n) EXPECT_TRUE(same_bits(run(n), td::tanh(td::ones({n}))));
  EXPECT_EQ(cache.plan_count(), 4);
  run(100);
  EXPECT_EQ(cache.plan_count(), 4);
  EXPECT_TRUE(same_bits(run(100), td::tanh(td::ones({100}))));
  EXPECT_EQ(cache.plan_count(), 5);
  for (int round = 0; round < 4; ++round)
    for (int64_t n = 2; n < 90; ++n) EXPECT_TRUE(same_bits(run(n), td::tanh(td::ones({n}))));
  EXPECT_EQ(cache.plan_count(), 32);
  for (int i = 0; i < 100; ++i) run(1000);  // a newcomer that is common gets in
  const double before = cache.plan_us();
  run(1000);
  EXPECT_EQ(cache.plan_us(), before);
}
