// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: functions, variables,
// effects.

#include <algorithm>
#include <atomic>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

using Floats = std::vector<float>;
using tandem::testing::message_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What std::cerr receives while one lives.
class CapturedErrors {
 public:
  CapturedErrors() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~CapturedErrors() { std::cerr.rdbuf(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::streambuf* before_;
};

struct Pair {
  td::Tensor left, right;
  int scale = 1;
  static constexpr auto fields() { return std::tuple{&Pair::left, &Pair::right, &Pair::scale}; }
};

}  // namespace

// ---- F: functions, traces, signatures

TEST(Behaviour, F_01_BodyRunsOncePerTrace) {
  int runs = 0;
  auto body = [&](td::Tensor x) { return ++runs, x + 1; };
  auto f = td::function(body);
  f(td::Tensor(1.f));
  f(td::Tensor(2.f));
  EXPECT_EQ(runs, 1);
  body(td::Tensor(1.f));
  EXPECT_EQ(runs, 2);
}

TEST(Behaviour, F_02_OtherValuesDoNotRetrace) {
  auto f = td::function([](td::Tensor x) { return x * 2; });
  for (float v : {1.f, 2.f, 3.f}) EXPECT_EQ(f(td::Tensor(v)).item<float>(), 2 * v);
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, F_03_DtypeAndRankMakeTraces) {
  auto f = td::function([](td::Tensor x) { return x + x; });
  f(td::ones({2}));
  f(td::ones({2}, td::int32));
  f(td::ones({2, 2}));
  EXPECT_EQ(f.trace_count(), 3);
  f(td::ones({2}));
  f(td::ones({2}, td::int32));
  EXPECT_EQ(f.trace_count(), 3);
}

TEST(Behaviour, F_04_AVaryingSizeGeneralizes) {
  auto f = td::function([](td::Tensor x) { return td::sum(x); });
  for (int64_t n : {2, 3, 4, 2}) EXPECT_EQ(f(td::ones({n})).item<float>(), static_cast<float>(n));
  EXPECT_EQ(f.trace_count(), 2);
  EXPECT_EQ(f.trace(0).inputs[0].shape, (td::Shape{2}));
  EXPECT_LT(f.trace(1).inputs[0].shape[0], 0);
}

TEST(Behaviour, F_05_GeneralizingIsPerDimension) {
  auto f = td::function([](td::Tensor x) { return td::sum(x); });
  f(td::ones({2, 3}));
  f(td::ones({4, 3}));
  EXPECT_LT(f.trace(1).inputs[0].shape[0], 0);
  EXPECT_EQ(f.trace(1).inputs[0].shape[1], 3);
  f(td::ones({4, 5}));
  EXPECT_LT(f.trace(2).inputs[0].shape[0], 0);
  EXPECT_LT(f.trace(2).inputs[0].shape[1], 0);
  f(td::ones({7, 9}));
  EXPECT_EQ(f.trace_count(), 3);
  f(td::ones({7}));
  EXPECT_EQ(f.trace(3).inputs[0].shape, (td::Shape{7}));
}

TEST(Behaviour, F_06_StaticArgumentsGoByValue) {
  auto f = td::function([](td::Tensor x, int n) { return x * n; });
  for (int n : {1, 2, 3, 2, 1}) EXPECT_EQ(f(td::Tensor(2.f), n).item<float>(), 2.f * static_cast<float>(n));
  EXPECT_EQ(f.trace_count(), 3);
}

TEST(Behaviour, F_07_NumbersAreTensorsWhereTensorsAreTaken) {
  auto tensors = td::function([](td::Tensor x) { return x * 2; });
  tensors(1.f);
  tensors(2.f);
  EXPECT_EQ(tensors.trace_count(), 1);
  auto numbers = td::function([](td::Tensor x, float v) { return x * v; });
  numbers(1.f, 1.f);
  numbers(1.f, 2.f);
  EXPECT_EQ(numbers.trace_count(), 2);
}

TEST(Behaviour, F_08_RapidRetracingWarns) {
  CapturedErrors errors;
  auto f = td::function([](td::Tensor x, int n) { return x * n; }, {.name = "often"});
  for (int n = 0; n < 4; ++n) f(td::Tensor(1.f), n);
  EXPECT_EQ(errors.text(), "");
  f(td::Tensor(1.f), 4);
  EXPECT_TRUE(contains(errors.text(), "tandem: the often was traced 5 times")) << errors.text();
  EXPECT_TRUE(contains(errors.text(), "a static argument has another value")) << errors.text();
  for (int n = 5; n < 10; ++n) f(td::Tensor(1.f), n);
  const std::string text = errors.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  auto other = td::function([](td::Tensor x) { return x; });
  other(td::Tensor(1.f));
  EXPECT_EQ(errors.text(), text);
}

TEST(Behaviour, F_09_TraceCountsAreApart) {
  auto body = [](td::Tensor x) { return x + 1; };
  auto f = td::function(body), g = td::function(body);
  f(td::Tensor(1.f));
  f(td::Tensor(1));
  g(td::Tensor(1.f));
  EXPECT_EQ(f.trace_count(), 2);
  EXPECT_EQ(g.trace_count(), 1);
}

TEST(Behaviour, F_10_MaxTracesIsALimit) {
  auto f = td::function([](td::Tensor x) { return x + 1; }, {.name = "once", .max_traces = 1});
  f(td::ones({2}));
  f(td::ones({2}));
  const std::string message = message_of([&] { f(td::ones({2, 3})); });
  EXPECT_TRUE(contains(message,
                       "the once may have 1 traces and this call needs another: argument 0 changed from "
                       "float32(2,) to float32(2, 3)"))
      << message;
  EXPECT_TRUE(contains(message, "behaviours_function_test.cpp")) << message;
}

TEST(Behaviour, F_11_AnExplicitSignature) {
  auto f =
      td::function([](td::Tensor x) { return td::sum(x, {0}); }, {.input_signature = {td::spec({-1, 2})}});
  for (int64_t n : {2, 3, 4}) f(td::ones({n, 2}));
  EXPECT_EQ(f.trace_count(), 1);
  EXPECT_ERROR(
      f(td::ones({2, 3})),
      "function: argument 0 is float32(2, 3), which the input signature float32(?, 2) does not allow "
      "(behaviours_function_test.cpp:LINE)");
  EXPECT_ERROR(f(td::ones({2, 2}, td::int32)),
               "function: argument 0 is int32(2, 2), which the input signature float32(?, 2) does not allow "
               "(behaviours_function_test.cpp:LINE)");
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, F_13_OneTraceForAHundredThreads) {
  std::atomic<int> runs{0};
  auto f = td::function([&](td::Tensor x) { return ++runs, x * 2; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 100; ++t) threads.emplace_back([&] { f.prepare(td::ones({3})); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, F_14_ATraceReportsItself) {
  const td::Variable v(td::ones({3})), fixed(td::ones({3}), {.trainable = false});
  auto f = td::function([&](td::Tensor x) { return x * v + fixed; });
  f(td::ones({2, 3}));
  f(td::ones({4, 3}));
  const td::TraceInfo info = f.trace(1);
  EXPECT_EQ(td::to_string(info.inputs[0].shape), "(?, 3)");
  EXPECT_EQ(td::to_string(info.outputs[0].shape), "(?, 3)");
  EXPECT_EQ(info.outputs[0].dtype, td::float32);
  ASSERT_EQ(info.captured_variables.size(), 2u);
  EXPECT_TRUE(info.captured_variables[0].is(v));
  EXPECT_TRUE(info.captured_variables[0].trainable());
  EXPECT_FALSE(info.captured_variables[1].trainable());
}

TEST(Behaviour, F_16_StructuresKeepTheirForm) {
  auto f = td::function([](std::tuple<td::Tensor, std::map<std::string, td::Tensor>> in, Pair p) {
    auto [x, map] = in;
    return std::tuple(std::vector<td::Tensor>{x, map["a"]}, Pair{p.right, p.left, p.scale + 1},
                      std::optional<td::Tensor>(), std::array<td::Tensor, 1>{x * p.scale});
  });
  const td::Tensor one = 1.f, two = 2.f;
  auto [list, pair, nothing, array] = f({one, {{"a", two}}}, Pair{one, two, 5});
  EXPECT_EQ(list[1].item<float>(), 2);
  EXPECT_EQ(pair.left.item<float>(), 2);
  EXPECT_EQ(pair.scale, 6);
  EXPECT_FALSE(nothing.has_value());
  EXPECT_EQ(array[0].item<float>(), 5);
  auto empty = td::function([](td::Tensor) { return std::tuple<>(); });
  EXPECT_EQ(empty(one), std::tuple<>());
  auto none = td::function([](td::Tensor) {});
  none(one);
}

TEST(Behaviour, F_17_MapsGoByKey) {
  auto f = td::function([](std::map<std::string, td::Tensor> m) { return m["a"] - m["b"]; });
  std::map<std::string, td::Tensor> forward, backward;
  forward["a"] = 3.f;
  forward["b"] = 1.f;
  backward["b"] = 1.f;
  backward["a"] = 3.f;
  EXPECT_EQ(f(forward).item<float>(), 2);
  EXPECT_EQ(f(backward).item<float>(), 2);
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, F_18_BodiesHaveCopiesOfContainers) {
  auto f = td::function([](std::vector<td::Tensor> xs) {
    xs[0] = xs[0] * 2;
    xs.push_back(xs[0]);
    return xs;
  });
  const std::vector<td::Tensor> xs = {td::Tensor(1.f)};
  EXPECT_EQ(f(xs).size(), 2u);
  EXPECT_EQ(f(xs)[1].item<float>(), 2);
  EXPECT_EQ(xs.size(), 1u);
  EXPECT_EQ(xs[0].item<float>(), 1);
}

TEST(Behaviour, F_19_ReturnsArgumentsCapturesAndTwins) {
  const td::Tensor captured = {5.f, 6.f};
  auto f = td::function([&](td::Tensor x) {
    const td::Tensor y = x * 2;
    return std::vector<td::Tensor>{x, captured, y, y};
  });
  for (float v : {1.f, 2.f}) {
    const auto r = f(td::Tensor({v, v}));
    EXPECT_EQ(r[0].to_vector<float>(), (Floats{v, v}));
    EXPECT_EQ(r[1].to_vector<float>(), (Floats{5, 6}));
    EXPECT_EQ(r[2].to_vector<float>(), (Floats{2 * v, 2 * v}));
    EXPECT_EQ(r[3].to_vector<float>(), (Floats{2 * v, 2 * v}));
  }
}

TEST(Behaviour, F_20_CapturedTensorsAreValues) {
  td::Tensor captured = 1.f;
  auto f = td::function([&](td::Tensor x) { return x + captured; });
  EXPECT_EQ(f(1.f).item<float>(), 2);
  captured = td::Tensor(10.f);
  EXPECT_EQ(f(1.f).item<float>(), 2);
}

TEST(Behaviour, F_23_NestedFunctionsAreInlined) {
  const td::Variable v(td::Tensor(2.f));
  const int number = 3;
  auto inner = td::function([&](td::Tensor x) { return td::concat({x, x}, 0) * v * number; });
  td::Shape seen;
  auto middle = td::function([&](td::Tensor x) {
    const td::Tensor y = inner(x);
    seen = y.shape();
    return y + 0.5f;
  });
  auto outer = td::function([&](td::Tensor x) { return middle(x) * 1; });
  EXPECT_EQ(outer(td::ones({2})).to_vector<float>(), (Floats{6.5, 6.5, 6.5, 6.5}));
  EXPECT_EQ(seen, (td::Shape{4}));
  EXPECT_EQ(outer.trace(0).captured_variables.size(), 1u);
}

TEST(Behaviour, F_24_LeakedTensorsAreNamed) {
  td::Tensor leaked;
  auto f = td::function([&](td::Tensor x) {
    leaked = x * 2;
    return x;
  });
  const int made = __LINE__ - 3;
  f(td::Tensor({1.f}));
  EXPECT_ERROR(
      leaked + 1,
      "add: the symbolic tensor Tensor(\"mul:0\", shape=(1,), dtype=float32), made at "
      "behaviours_function_test.cpp:" +
          std::to_string(made) +
          ", is used outside the trace that made it; return it from the function instead of storing it "
          "(behaviours_function_test.cpp:LINE)");
  auto g = td::function([&](td::Tensor x) { return x + leaked; });
  EXPECT_TRUE(contains(message_of([&] { g(td::Tensor({1.f})); }), "used outside the trace that made it"));
  EXPECT_EQ(g.trace_count(), 0);
}

TEST(Behaviour, F_25_EagerScopesRefuseSymbolicTensors) {
  std::optional<td::Variable> v;
  auto f = td::function([&](td::Tensor x) {
    v.emplace([&] { return x * 2; });
    return x + *v;
  });
  EXPECT_TRUE(contains(message_of([&] { f(1.f); }), "used outside the trace that made it"));
  EXPECT_FALSE(v.has_value());
}

TEST(Behaviour, F_26_ReadingASymbolicValueIsAnError) {
  const int line = __LINE__ + 1;
  auto f = td::function([](td::Tensor x) { return x * x.item<float>(); });
  const std::string message = message_of([&] { f(td::Tensor(1.f)); });
  EXPECT_EQ(
      message,
      "function: the value of a symbolic tensor was asked for while tracing; a traced function runs once for "
      "many values, so "
      "branch with td::cond, loop with td::while_loop, print with td::print (behaviours_function_test.cpp:" +
          std::to_string(line) + ")");
}

TEST(Behaviour, F_27_StaticShapesAreKnownWhileTracing) {
  td::Shape seen;
  auto inner = td::function([&](td::Tensor x) {
    const td::Tensor made = td::ones(td::concat({td::shape_of(x), td::Tensor({3}, td::int64)}, 0));
    seen = made.shape();
    return made;
  });
  auto outer = td::function([&](td::Tensor x) { return inner(x) * 2; });
  EXPECT_EQ(outer(td::ones({1, 2})).shape(), (td::Shape{1, 2, 3}));
  EXPECT_EQ(seen, (td::Shape{1, 2, 3}));
}

TEST(Behaviour, F_30_ExceptionsLeaveNothingBehind) {
  bool fail = true;
  auto f = td::function([&](td::Tensor x) {
    if (fail) throw std::runtime_error("no");
    return x + 1;
  });
  EXPECT_THROW(f(1.f), std::runtime_error);
  EXPECT_EQ(f.trace_count(), 0);
  EXPECT_FALSE((td::ones({2}) + 1).is_symbolic());
  fail = false;
  EXPECT_EQ(f(1.f).item<float>(), 2);
}

TEST(Behaviour, F_31_VariablesAreMadeInTheFirstTrace) {
  std::optional<td::Variable> v;
  auto f = td::function([&](td::Tensor x) {
    if (!v) v.emplace(td::Tensor(1.f));
    v->assign_add(1.f);
    return x + *v;
  });
  EXPECT_EQ(f(0.f).item<float>(), 2);
  EXPECT_EQ(f(0.f).item<float>(), 3);
  auto again = td::function([](td::Tensor x) {
    const td::Variable made(td::Tensor(1.f));
    return td::sum(x) + made;
  });
  again(td::ones({2}));
  EXPECT_TRUE(contains(message_of([&] {
                         again(td::ones({2, 2}));
                       }),
                       "a variable is made again when the function is traced again"));
}

TEST(Behaviour, F_32_OneVariableForEachSite) {
  std::vector<td::Variable> made;
  auto f = td::function([&](td::Tensor x) {
    if (made.empty()) {
      made.emplace_back(td::Tensor(1.f), td::VariableOptions{.name = "a"});
      made.emplace_back(td::Tensor(2.f), td::VariableOptions{.name = "b"});
    }
    return td::sum(x) * made[0] + made[1];
  });
  EXPECT_EQ(f(3.f).item<float>(), 5);
  EXPECT_EQ(f(td::ones({2})).item<float>(), 4);
  EXPECT_EQ(made.size(), 2u);
  EXPECT_EQ(made[1].name(), "b");
}

TEST(Behaviour, F_34_SymbolicInitialValuesAreAnError) {
  std::optional<td::Variable> v;
  auto f = td::function([&](td::Tensor x) {
    if (!v) v.emplace(x * 2);
    return x + *v;
  });
  EXPECT_TRUE(contains(message_of([&] { f(1.f); }), "is symbolic; pass a callable that computes it"));
  auto g = td::function([&](td::Tensor x) {
    if (!v) v.emplace([] { return td::ones({2}) * 3; });
    return x + *v;
  });
  EXPECT_EQ(g(1.f).to_vector<float>(), (Floats{4, 4}));
}

TEST(Behaviour, F_36_FirstUseInsideAnotherFunction) {
  std::optional<td::Variable> v;
  auto inner = td::function([&](td::Tensor x) {
    if (!v) v.emplace([] { return td::Tensor(4.f); });
    return x * *v;
  });
  auto outer = td::function([&](td::Tensor x) { return inner(x) + 1; });
  EXPECT_EQ(outer(2.f).item<float>(), 9);
  EXPECT_EQ(inner(2.f).item<float>(), 8);
}

TEST(Behaviour, F_39_FunctionsForTheirEffectRun) {
  const td::Variable v(td::Tensor(0.f));
  auto bump = td::function([&](td::Tensor by) { v.assign_add(by); });
  auto f = td::function([&](td::Tensor x) {
    bump(x);
    return x;
  });
  bump(1.f);
  f(2.f);
  f(3.f);
  EXPECT_EQ(v.value().item<float>(), 6);
}

TEST(Behaviour, F_40_ManyThreadsCallOneFunction) {
  std::atomic<int> runs{0};
  const td::Variable last(td::Tensor(-1.f));
  auto f = td::function([&](td::Tensor x) { return ++runs, x * 2 + 1; });
  auto keep = td::function([&](td::Tensor x) { last.assign(x); });
  auto ping = td::function([&](td::Tensor x) { return f(x) * 2; });
  std::vector<std::thread> threads;
  std::vector<float> results(100);
  for (size_t t = 0; t < 100; ++t)
    threads.emplace_back([&, t] {
      const auto n = static_cast<float>(t);
      results[t] = f(td::Tensor(n)).item<float>();
      keep(td::Tensor(n));
      EXPECT_EQ(ping(td::Tensor(n)).item<float>(), 4 * n + 2);
    });
  for (auto& t : threads) t.join();
  for (size_t t = 0; t < 100; ++t) EXPECT_EQ(results[t], 2.f * static_cast<float>(t) + 1);
  EXPECT_EQ(f.trace_count(), 1);
  EXPECT_GE(last.value().item<float>(), 0);
  EXPECT_LT(last.value().item<float>(), 100);
}

TEST(Behaviour, F_42_MutualRecursion) {
  td::Function<td::Tensor(td::Tensor, int)> even, odd;
  even = td::Function<td::Tensor(td::Tensor, int)>(
      [&](td::Tensor x, int n) -> td::Tensor { return n <= 1 ? x : odd(x, n - 1) * n; });
  odd = td::Function<td::Tensor(td::Tensor, int)>(
      [&](td::Tensor x, int n) -> td::Tensor { return n <= 1 ? x : even(x, n - 1) * n; });
  const td::Tensor x = 1.f;
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor y = even(x, 5);
  EXPECT_EQ(y.item<float>(), 120);
  EXPECT_EQ(tape.gradient(y, x).item<float>(), 120);
}

TEST(Behaviour, F_45_FunctionsAreCheapValues) {
  auto payload = std::make_shared<int>(1);
  {
    auto f = td::function([payload](td::Tensor x) { return x + *payload; });
    const auto g = f;
    g(1.f);
    EXPECT_EQ(f.trace_count(), 1);
  }
  EXPECT_EQ(payload.use_count(), 1);
}

// ---- V: variables and effects

TEST(Behaviour, V_01_AssignmentsChain) {
  const td::Variable v(2.f);
  EXPECT_EQ(v.assign_add(1.f).assign_add(1.f).value().item<float>(), 4);
  EXPECT_EQ(v.assign(10.f).assign_sub(1.f).value().item<float>(), 9);
  auto f = td::function([&](td::Tensor x) { return x + v.assign_add(1.f).assign_add(1.f).value(); });
  EXPECT_EQ(f(0.f).item<float>(), 11);
}

TEST(Behaviour, V_02_ProgramOrderIsLaw) {
  const td::Variable v(1.f);
  auto inner = td::function([&](td::Tensor x) { return v + x; });
  auto f = td::function([&](td::Tensor x) {
    const td::Tensor old = inner(x);
    v.assign_add(2.f);
    return std::vector<td::Tensor>{old, v.value()};
  });
  float expected = 1;
  for (int i = 0; i < 30; ++i) {
    const auto r = f(1.f);
    EXPECT_EQ(r[0].item<float>(), expected + 1);
    EXPECT_EQ(r[1].item<float>(), expected + 2);
    expected += 2;
  }
}

TEST(Behaviour, V_05_AReadIsAValue) {
  const td::Variable v(td::Tensor({1.f, 2.f}));
  const td::Tensor held = v;
  v.assign_add(td::Tensor({10.f, 10.f}));
  EXPECT_EQ(held.to_vector<float>(), (Floats{1, 2}));
  auto f = td::function([&](td::Tensor x) {
    const td::Tensor before = v;
    v.assign(v + x);
    v.assign(v * 2.f);
    return before;
  });
  EXPECT_EQ(f(td::ones({2})).to_vector<float>(), (Floats{11, 12}));
  EXPECT_EQ(v.value().to_vector<float>(), (Floats{24, 26}));
}

TEST(Behaviour, V_06_OneVariableAsTwoArguments) {
  const td::Variable a(1.f), b(10.f);
  auto f = td::function([](td::Variable x, td::Variable y) {
    x.assign_add(1.f);
    return x + y;
  });
  EXPECT_EQ(f(a, a).item<float>(), 4);
  EXPECT_EQ(f(a, b).item<float>(), 13);
  EXPECT_EQ(f(a, a).item<float>(), 8);
}

TEST(Behaviour, V_08_VariablesThroughNestedFunctions) {
  const td::Variable v(0.f);
  auto one = td::function([](td::Variable x) { x.assign_add(1.f); });
  auto two = td::function([&](td::Variable x) {
    one(x);
    x.assign_add(2.f);
  });
  auto three = td::function([&](td::Variable x) {
    two(x);
    x.assign_add(1.f);
    return x.value();
  });
  EXPECT_EQ(three(v).item<float>(), 4);
  EXPECT_EQ(three(v).item<float>(), 8);
}

TEST(Behaviour, V_09_AssignmentsKeepTheShape) {
  const td::Variable v(td::zeros({4}), {.name = "v"});
  EXPECT_TRUE(contains(message_of([&] { v.assign(td::ones({3})); }),
                       "variable v has shape (4,) and cannot hold (3,)"));
  EXPECT_TRUE(contains(message_of([&] { v.assign_add(1.f); }),
                       "variable v has shape (4,) and cannot take a value of shape ()"));
  auto f = td::function([&](td::Tensor x) { v.assign(x); });
  EXPECT_TRUE(
      contains(message_of([&] { f(td::ones({3})); }), "variable v has shape (4,) and cannot hold (3,)"));
  EXPECT_EQ(f.trace_count(), 0);
}

TEST(Behaviour, V_10_VariablesOfUnknownShape) {
  const td::Variable v(td::zeros({2, 3}), {.shape = td::Shape{-1, 3}});
  v.assign(td::ones({5, 3}));
  EXPECT_EQ(v.value().shape(), (td::Shape{5, 3}));
  EXPECT_THROW(v.assign(td::ones({5, 4})), td::Error);
}

TEST(Behaviour, V_11_AssignmentsKeepTheDtype) {
  const td::Variable v(td::zeros({2}), {.name = "v"});
  EXPECT_TRUE(
      contains(message_of([&] { v.assign(td::ones({2}, td::int32)); }),
               "variable v has dtype float32 and cannot hold int32; convert with td::cast(x, td::float32)"));
}

TEST(Behaviour, V_21_ArithmeticActsOnTheValue) {
  const td::Variable v(td::Tensor({1.f, 2.f})), same(td::Tensor({1.f, 2.f}));
  EXPECT_EQ((v == same).to_vector<bool>(), (std::vector<bool>{true, true}));
  EXPECT_FALSE(v.is(same));
  EXPECT_EQ((v + same * 2).to_vector<float>(), (Floats{3, 6}));
}

TEST(Behaviour, V_22_FunctionsKeepTheirVariables) {
  td::Function<td::Tensor(td::Tensor)> f;
  {
    td::Variable v(5.f);
    f = td::function([v](td::Tensor x) { return x + v; });
    f(1.f);
    v = {};
  }
  EXPECT_EQ(f(1.f).item<float>(), 6);
}
