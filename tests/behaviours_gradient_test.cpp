// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: gradients.

#include <cmath>

#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;

using Floats = std::vector<float>;
using tandem::testing::message_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Runs the body eagerly and as a function; both give the expected numbers.
template <class F>
void expect_both(F body, const Floats& expected) {
  const std::vector<td::Tensor> eager = body(td::Tensor(0.f));
  auto f = td::function([body](td::Tensor x) { return body(x); });
  const std::vector<td::Tensor> graph = f(td::Tensor(0.f));
  ASSERT_EQ(eager.size(), expected.size());
  ASSERT_EQ(graph.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(eager[i].item<float>(), expected[i]) << "eager " << i;
    EXPECT_EQ(graph[i].item<float>(), expected[i]) << "traced " << i;
  }
}

using List = std::vector<td::Tensor>;

}  // namespace

TEST(Behaviour, G_01_ATensorByItself) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f;
        td::GradientTape tape({.persistent = true});
        tape.watch(x);
        const td::Tensor y = x * 1;
        const td::Tensor twice[] = {y, y};
        const td::GradientSource sources[] = {x};
        return List{tape.gradient(x, x), tape.gradients(twice, sources)[0]};
      },
      {1, 2});
  const td::Tensor x = td::ones({2, 3});
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_EQ(tape.gradient(x, x).shape(), (td::Shape{2, 3}));
}

TEST(Behaviour, G_02_TargetsAreSummed) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f, y = zero + 5.f, two = zero + 2.f;
        td::GradientTape tape({.persistent = true});
        for (const auto& t : {x, y, two}) tape.watch(t);
        const td::Tensor targets[] = {x, y, y * y}, squares[] = {two * two, two};
        const td::GradientSource sources[] = {x, y}, source[] = {two};
        List found = tape.gradients(targets, sources);
        found.push_back(tape.gradients(squares, source)[0]);
        return found;
      },
      {1, 11, 5});
}

TEST(Behaviour, G_03_OutputGradientsWeigh) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f, y = zero + 2.f;
        td::GradientTape tape;
        tape.watch(x);
        const td::Tensor targets[] = {x * y, x};
        const td::GradientSource sources[] = {x};
        return List{
            tape.gradients(targets, sources, {.output_gradients = {td::Tensor(1.f), td::Tensor(2.f)}})[0]};
      },
      {4});
  const td::Tensor x = 1.f;
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor y = x * 2;
  EXPECT_ERROR(tape.gradient(y, x, {.output_gradients = {x, x}}),
               "gradient: 2 output gradients were given for 1 targets (behaviours_gradient_test.cpp:LINE)");
  EXPECT_ERROR(tape.gradient(y, x, {.output_gradients = {td::ones({2})}}),
               "gradient: an output gradient of shape (2,) was given for a target of shape () "
               "(behaviours_gradient_test.cpp:LINE)");
}

TEST(Behaviour, G_04_ASourceTwice) {
  const td::Tensor x = 3.f;
  td::GradientTape tape;
  tape.watch(x);
  const auto [a, b] = tape.gradient(x * x, x, x);
  EXPECT_EQ(a.item<float>(), 6);
  EXPECT_EQ(b.item<float>(), 6);
}

TEST(Behaviour, G_05_IntermediatesAreSources) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f;
        td::GradientTape tape;
        tape.watch(x);
        const td::Tensor y = x * x, z = y * y;
        const auto [dx, dy] = tape.gradient(z, x, y);
        return List{dx, dy};
      },
      {108, 18});
}

TEST(Behaviour, G_06_EqualTensorsAreDistinctSources) {
  const td::Tensor a = 1.f, b = 1.f;
  td::GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  const auto [da, db] = tape.gradient(a + b, a, b);
  EXPECT_EQ(da.item<float>(), 1);
  EXPECT_EQ(db.item<float>(), 1);
}

TEST(Behaviour, G_07_OneTensorForTwoParameters) {
  auto f = td::function([](td::Tensor a, td::Tensor b) { return a * a * b; });
  for (int mode = 0; mode < 2; ++mode) {
    const td::Tensor x = 3.f;
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = mode ? f(x, x) : f.body()(x, x);
    EXPECT_EQ(tape.gradient(y, x).item<float>(), 27);
  }
}

TEST(Behaviour, G_07_OneTensorForTwoParametersOfSizesThatVaryApart) {
  auto f = td::function([](td::Tensor a, td::Tensor b) {
    return td::sum(a * a) + td::sum(b * b * 0.3f) + td::sum(td::sin(a)) + td::sum(b * td::exp(b));
  });
  f(td::ones({2}), td::ones({3}));
  f(td::ones({4}), td::ones({5}));
  const td::Tensor x = td::random::normal({60});
  td::Tensor gradients[2];
  for (int mode = 0; mode < 2; ++mode) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = mode ? f(x, x) : f.body()(x, x);
    gradients[mode] = tape.gradient(y, x);
  }
  EXPECT_EQ(f.trace_count(), 2);
  EXPECT_EQ(gradients[0].to_vector<float>(), gradients[1].to_vector<float>()) << "added up in another order";
}

TEST(Behaviour, G_08_TrainableVariablesAreWatched) {
  const td::Variable w(3.f), fixed(2.f, {.trainable = false});
  {
    td::GradientTape tape({.persistent = true});
    const td::Tensor y = w * fixed;
    EXPECT_EQ(tape.gradient(y, w).item<float>(), 2);
    EXPECT_FALSE(tape.gradient(y, fixed).defined());
  }
  {
    td::GradientTape tape;
    tape.watch(fixed);
    EXPECT_EQ(tape.gradient(w * fixed, fixed).item<float>(), 3);
  }
  td::GradientTape tape({.watch_accessed_variables = false});
  tape.watch(w);
  const td::Variable other(1.f);
  const auto [dw, dother] = tape.gradient(w * other, w, other);
  EXPECT_EQ(dw.item<float>(), 1);
  EXPECT_FALSE(dother.defined());
}

TEST(Behaviour, G_09_WatchedVariablesInOrder) {
  const td::Variable a(1.f), b(2.f), c(3.f);
  auto inner = td::function([&](td::Tensor x) { return x * c; });
  auto middle = td::function([&](td::Tensor x) { return inner(x) * b; });
  auto outer = td::function([&](td::Tensor x) { return middle(x) + 1; });
  for (int i = 0; i < 2; ++i) {
    td::GradientTape tape({.persistent = true});
    const td::Tensor y = outer(1.f) + a;
    const auto watched = tape.watched_variables();
    ASSERT_EQ(watched.size(), 3u);
    EXPECT_TRUE(watched[0].is(c));
    EXPECT_TRUE(watched[1].is(b));
    EXPECT_TRUE(watched[2].is(a));
    tape.gradient(y, a);
    EXPECT_EQ(tape.watched_variables().size(), 3u);
    tape.reset();
    EXPECT_EQ(tape.watched_variables().size(), 0u);
  }
}

TEST(Behaviour, G_10_OnlyFloatingTensorsAreWatched) {
  const td::Tensor n = 3;
  td::GradientTape tape({.persistent = true});
  EXPECT_ERROR(tape.watch(n),
               "watch: a source of dtype int32 cannot be watched; gradients need a floating dtype "
               "(behaviours_gradient_test.cpp:LINE)");
  const td::Tensor x = 2.f;
  tape.watch(x);
  EXPECT_FALSE(tape.gradient(x * 2, n).defined());
  EXPECT_FALSE(tape.gradient(td::cast(x, td::int32), x).defined());
}

TEST(Behaviour, G_11_UnconnectedSources) {
  const td::Tensor x = {1.f, 2.f}, other = td::ones({2, 2}, td::float64);
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  tape.watch(other);
  const td::Tensor y = td::sum(x * x);
  EXPECT_FALSE(tape.gradient(y, other).defined());
  const td::Tensor zero = tape.gradient(y, other, {.unconnected = td::Unconnected::zero});
  EXPECT_EQ(zero.dtype(), td::float64);
  EXPECT_EQ(zero.to_vector<double>(), (std::vector<double>{0, 0, 0, 0}));
  EXPECT_EQ(tape.gradient(y, x, {.unconnected = td::Unconnected::zero}).to_vector<float>(), (Floats{2, 4}));
}

TEST(Behaviour, G_12_ZerosForVariablesAndCutPaths) {
  const td::Variable v(td::Tensor({1.f, 2.f}));
  auto f = td::function([&](td::Tensor x) { return td::sum(td::stop_gradient(x * v)); });
  const td::Tensor x = 1.f;
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor y = f(x);
  EXPECT_EQ(tape.gradient(y, v, {.unconnected = td::Unconnected::zero}).to_vector<float>(), (Floats{0, 0}));
  EXPECT_EQ(tape.gradient(y, x, {.unconnected = td::Unconnected::zero}).item<float>(), 0);
}

TEST(Behaviour, G_13_StopGradient) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f;
        td::GradientTape tape;
        tape.watch(x);
        const td::Tensor y = x * td::stop_gradient(x * x);
        return List{y, tape.gradient(y, x)};
      },
      {27, 9});
  const td::Tensor x = 3.f;
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_FALSE(tape.gradient(td::stop_gradient(x) * 2, x).defined());
}

TEST(Behaviour, G_15_StopRecording) {
  const td::Tensor x = 3.f;
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor y = x * x;
  td::Tensor hidden;
  try {
    auto pause = tape.stop_recording();
    {
      auto again = tape.stop_recording();
      hidden = y * 10;
    }
    EXPECT_FALSE(tape.recording());
    throw std::runtime_error("leaves the scope");
  } catch (const std::runtime_error&) {
  }
  EXPECT_TRUE(tape.recording());
  EXPECT_FALSE(tape.gradient(hidden, x).defined());
  EXPECT_EQ(tape.gradient(y * 2 + hidden, x).item<float>(), 12);
}

TEST(Behaviour, G_16_ResetForgets) {
  const td::Variable v(3.f);
  td::GradientTape tape;
  td::Tensor loss = v * v;
  tape.reset();
  loss += v * v;
  EXPECT_EQ(tape.gradient(loss, v).item<float>(), 6);
}

TEST(Behaviour, G_17_OneGradientUnlessPersistent) {
  const td::Tensor x = 3.f;
  td::GradientTape once;
  once.watch(x);
  const td::Tensor y = x * x;
  once.jacobian(y, x);
  EXPECT_ERROR(
      once.gradient(y, x),
      "gradient: a non-persistent tape gives one gradient; make it with GradientTape({.persistent = true}) "
      "for more (behaviours_gradient_test.cpp:LINE)");
  td::GradientTape often({.persistent = true});
  often.watch(x);
  const td::Tensor z = td::exp(x * x);
  const td::Tensor first = often.gradient(z, x);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(same_bits(often.gradient(z, x), first));
}

TEST(Behaviour, G_18_APersistentTapeDifferentiatesItsGradients) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f;
        td::GradientTape tape({.persistent = true});
        tape.watch(x);
        const td::Tensor y = x * x * x;
        const td::Tensor first = tape.gradient(y, x), second = tape.gradient(first, x);
        return List{first, second, tape.gradient(second, x)};
      },
      {27, 18, 6});
}

TEST(Behaviour, G_19_TapesResume) {
  const td::Tensor x = 3.f;
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_ERROR(tape.resume(), "resume: the tape is recording already (behaviours_gradient_test.cpp:LINE)");
  const td::Tensor y = x * 2;
  tape.stop();
  EXPECT_ERROR(tape.stop(), "stop: the tape is not recording (behaviours_gradient_test.cpp:LINE)");
  tape.resume();
  EXPECT_EQ(tape.gradient(y * 2, x).item<float>(), 4);
}

TEST(Behaviour, G_20_TapesNest) {
  const td::Tensor x = 3.f;
  td::GradientTape outer;
  td::Tensor first;
  {
    td::GradientTape inner;
    inner.watch(x);
    first = inner.gradient(x * x, x);
  }
  EXPECT_EQ(first.item<float>(), 6);
  EXPECT_FALSE(outer.gradient(first, x).defined());
}

TEST(Behaviour, G_22_TheTransposeTrick) {
  const td::Tensor x = 0.5f, dy = 2.f;
  td::GradientTape outer;
  outer.watch(dy);
  td::Tensor g;
  {
    td::GradientTape inner;
    inner.watch(x);
    g = inner.gradient(td::cos(x), x, {.output_gradients = {dy}});
  }
  EXPECT_NEAR(g.item<float>(), -2 * std::sin(0.5f), 1e-6f);
  EXPECT_NEAR(outer.gradient(g, dy).item<float>(), -std::sin(0.5f), 1e-6f);
}

TEST(Behaviour, G_23_OneOfSeveralOutputs) {
  auto f = td::function([](td::Tensor x) {
    return std::vector<td::Tensor>{x * 2, x * x, td::cast(x, td::int32)};
  });
  const td::Tensor x = 3.f;
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_EQ(tape.gradient(f(x)[1], x).item<float>(), 6);
}

TEST(Behaviour, G_24_OutputsStayApart) {
  auto f = td::function([](td::Tensor a, td::Tensor b) { return std::vector<td::Tensor>{a, b}; });
  const td::Tensor a = 3.f, b = 4.f;
  td::GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  const auto [da, db] = tape.gradient(f(a, b)[0], a, b);
  EXPECT_EQ(da.item<float>(), 1);
  EXPECT_FALSE(db.defined());
}

TEST(Behaviour, G_25_WhereSendsGradientToTheChosen) {
  const td::Tensor flags = {true, false}, a = {1.f, 2.f}, b = {3.f, 4.f};
  td::GradientTape tape;
  tape.watch(a);
  tape.watch(b);
  const auto [da, db] = tape.gradient(td::where(flags, a, b) * 5, a, b);
  EXPECT_EQ(da.to_vector<float>(), (Floats{5, 0}));
  EXPECT_EQ(db.to_vector<float>(), (Floats{0, 5}));
}

TEST(Behaviour, G_26_NeutralOperationsKeepTensorsApart) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 3.f;
        td::GradientTape tape({.persistent = true});
        tape.watch(x);
        const td::Tensor sum = x + 0, product = x * 1, same = td::identity(x);
        List found;
        for (const td::Tensor& y : {sum, product, same}) {
          const auto both = tape.gradient(y * y + x, y, x);
          found.insert(found.end(), both.begin(), both.end());
        }
        return found;
      },
      {6, 7, 6, 7, 6, 7});
}

TEST(Behaviour, G_27_GatherAddsDuplicateRows) {
  const td::Tensor rows = {2, 0, 2, -1};
  auto body = [&](td::Tensor table) {
    td::GradientTape tape;
    tape.watch(table);
    const td::Tensor weights = {{1.f}, {10.f}, {100.f}, {1000.f}};
    // Beside the rows that are looked up, the whole table is used.
    return tape.gradient(td::sum(td::gather(table, rows) * weights) + td::sum(table * table), table);
  };
  const td::Tensor table = {{1.f, 1.f}, {2.f, 2.f}, {3.f, 3.f}};
  const Floats expected{12, 12, 4, 4, 1107, 1107};
  EXPECT_EQ(body(table).to_vector<float>(), expected);
  EXPECT_EQ(td::function(body)(table).to_vector<float>(), expected);
}

TEST(Behaviour, G_28_SumsHaveAFixedOrder) {
  const td::Tensor x = {0.1f, 0.7f, -0.3f};
  auto body = [](td::Tensor t) {
    td::Tensor y = t * 0.1f;
    for (int i = 0; i < 40; ++i) y += td::exp(t * (0.01f * static_cast<float>(i)));
    return td::sum(y);
  };
  auto f = td::function(body);
  auto gradient = [&](auto&& g) {
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(g(x), x);
  };
  const td::Tensor eager = gradient(body);
  EXPECT_TRUE(same_bits(eager, gradient(body)));
  EXPECT_TRUE(same_bits(eager, gradient(f)));
}

TEST(Behaviour, G_29_CapturedVariablesGetGradients) {
  const td::Variable w(5.f);
  auto f = td::function([&](td::Tensor x) { return std::vector<td::Tensor>{x * w, td::Tensor(7)}; });
  const td::Tensor x = 2.f;
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const auto y = f(x);
  EXPECT_EQ(tape.gradient(y[0], w).item<float>(), 2);
  EXPECT_FALSE(tape.gradient(y[1], w).defined());
}

TEST(Behaviour, G_30_TheForwardRunsOnce) {
  const td::Variable count(0.f, {.trainable = false});
  int runs = 0;
  auto f = td::function([&](td::Tensor x) {
    ++runs;
    count.assign_add(1.f);
    return x * x;
  });
  for (int i = 1; i < 4; ++i) {
    const td::Tensor x = 3.f;
    td::GradientTape tape;
    tape.watch(x);
    EXPECT_EQ(tape.gradient(f(x), x).item<float>(), 6);
    EXPECT_EQ(count.value().item<float>(), static_cast<float>(i));
  }
  EXPECT_EQ(runs, 1);
}

TEST(Behaviour, G_31_PassedButNotRead) {
  auto f = td::function([](td::Tensor x, td::Variable) { return x * 2; });
  const td::Variable v(1.f);
  const td::Tensor x = 1.f;
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_FALSE(tape.gradient(f(x, v), v).defined());
}

namespace {
td::Tensor triple(const td::Tensor& t) {
  return td::custom_gradient(
      [](List a) -> td::CustomGradientResult {
        return {a[0] * 1, [](const td::Tensor& dy) { return List{3 * dy}; }};
      },
      {t});
}
}  // namespace

TEST(Behaviour, G_32_CustomRules) {
  expect_both(
      [](td::Tensor zero) {
        const td::Tensor x = zero + 1.f, outside = zero + 7.f;
        td::GradientTape tape({.persistent = true});
        tape.watch(x);
        const td::Tensor y = td::custom_gradient(
            [&](List a) -> td::CustomGradientResult {
              return {triple(a[0]), [outside](const td::Tensor& dy) { return List{dy * outside}; }};
            },
            {x});
        return List{tape.gradient(triple(triple(x)), x), tape.gradient(y, x)};
      },
      {9, 7});
}

TEST(Behaviour, G_34_WrongCustomRules) {
  auto slope = [](std::function<List(const td::Tensor&)> rule) {
    const td::Tensor x = td::ones({2});
    td::GradientTape tape;
    tape.watch(x);
    return tape.gradient(td::custom_gradient(
                             [&](List a) -> td::CustomGradientResult {
                               return {a[0] * 1, rule};
                             },
                             {x}),
                         x);
  };
  const std::string few = message_of([&] { slope([](const td::Tensor&) { return List{}; }); });
  EXPECT_TRUE(contains(few, "behaviours_gradient_test.cpp")) << few;
  EXPECT_TRUE(contains(few, "0 gradients") || contains(few, "returned 0")) << few;
  const std::string shape = message_of([&] { slope([](const td::Tensor&) { return List{td::ones({3})}; }); });
  EXPECT_TRUE(contains(shape, "(3,)") && contains(shape, "(2,)")) << shape;
  EXPECT_THROW(slope([](const td::Tensor&) -> List { throw std::runtime_error("mine"); }),
               std::runtime_error);
}

TEST(Behaviour, G_35_CustomSecondOrder) {
  const td::Tensor x = 2.f;
  auto f = [](const td::Tensor& t) {
    return td::custom_gradient(
        [](List a) -> td::CustomGradientResult {
          return {
              a[0] * 1, [x = a[0]](const td::Tensor& dy) {
                return List{dy * td::custom_gradient(
                                     [](List b) -> td::CustomGradientResult {
                                       return {b[0] * 10, [](const td::Tensor& d) { return List{d * 100}; }};
                                     },
                                     {x})};
              }};
        },
        {t});
  };
  td::GradientTape outer;
  outer.watch(x);
  td::Tensor first;
  {
    td::GradientTape inner;
    inner.watch(x);
    first = inner.gradient(f(x), x);
  }
  EXPECT_EQ(first.item<float>(), 20);
  EXPECT_EQ(outer.gradient(first, x).item<float>(), 100);
}

TEST(Behaviour, G_36_PassThroughRulesAndAssignments) {
  const td::Variable v(5.f);
  const td::Tensor x = 3.f;
  {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = td::custom_gradient(
        [&](List a) -> td::CustomGradientResult {
          return {a[0] * v, {}, [](const td::Tensor& dy, const std::vector<td::Variable>&) {
                    return td::CustomGradients{{dy}, {td::Tensor()}};
                  }};
        },
        {x});
    EXPECT_EQ(y.item<float>(), 15);
    const auto [dx, dv] = tape.gradient(y * 2, x, v);
    EXPECT_EQ(dx.item<float>(), 2);
    EXPECT_FALSE(dv.defined());
  }
  td::GradientTape tape;
  tape.watch(x);
  v.assign(x * 2);
  EXPECT_FALSE(tape.gradient(v * 3, x).defined());
}

TEST(Behaviour, G_38_Jacobians) {
  const td::Tensor x = {1.f, 2.f, 3.f};
  auto body = [](td::Tensor t) {
    td::GradientTape tape;
    tape.watch(t);
    return tape.jacobian(td::concat({t * t, td::sum(t * t * t, {0}, true)}, 0), t);
  };
  const td::Tensor eager = body(x);
  EXPECT_EQ(eager.shape(), (td::Shape{4, 3}));
  EXPECT_EQ(eager.to_vector<float>(), (Floats{2, 0, 0, 0, 4, 0, 0, 0, 6, 3, 12, 27}));
  EXPECT_TRUE(same_bits(eager, td::function(body)(x)));
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor y = td::sum(x * x), other = td::ones({2});
  EXPECT_EQ(tape.jacobian(y, x).to_vector<float>(), (Floats{2, 4, 6}));
  EXPECT_EQ(tape.jacobian(y, x).shape(), (td::Shape{3}));
  EXPECT_FALSE(tape.jacobian(x * 2, other).defined());
  EXPECT_EQ(tape.jacobian(x * 2, other, td::Unconnected::zero).shape(), (td::Shape{3, 2}));
  EXPECT_EQ(tape.jacobian(td::ones({0}) * td::sum(x), x).shape(), (td::Shape{0, 3}));
}

TEST(Behaviour, G_40_Hessians) {
  const td::Tensor a = {{1.f, 2.f}, {3.f, 4.f}}, x = {{1.f}, {2.f}};
  auto form = [&](td::Tensor t) { return td::sum(td::matmul(td::transpose(t), td::matmul(a, t))); };
  const td::Tensor h = td::hessian(form)(x);
  EXPECT_EQ(h.shape(), (td::Shape{2, 1, 2, 1}));
  EXPECT_EQ(h.to_vector<float>(), (Floats{2, 5, 5, 8}));
  // Hessian times vector: the gradient of the gradient's product with the vector.
  const td::Tensor v = {{1.f}, {-1.f}};
  td::GradientTape outer;
  outer.watch(x);
  const td::Tensor product = td::sum(td::grad(form)(x) * v);
  EXPECT_EQ(outer.gradient(product, x).to_vector<float>(), (Floats{-3, -3}));
  EXPECT_EQ(td::hessian([](td::Tensor t) { return td::sum(t); })(td::ones({2})).to_vector<float>(),
            (Floats{0, 0, 0, 0}));
  EXPECT_ERROR(td::hessian([](td::Tensor t) { return t * t; })(x),
               "hessian: the function's value has shape (2, 1); a scalar is needed "
               "(behaviours_gradient_test.cpp:LINE)");
}

TEST(Behaviour, G_41_DoubleStaysDouble) {
  const td::Tensor x({1.0, 2.0}, td::float64);
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor d = tape.gradient(td::sum(td::exp(x * 2) + x / 3), x);
  EXPECT_EQ(d.dtype(), td::float64);
  EXPECT_NEAR(d.to_vector<double>()[0], 2 * std::exp(2.0) + 1.0 / 3, 1e-14);
}

TEST(Behaviour, G_42_BroadcastIsUndone) {
  auto f = td::function([](td::Tensor x, td::Tensor row, td::Tensor one) { return td::sum(x * row + one); });
  for (int64_t n : {2, 3, 5}) {
    const td::Tensor x = td::ones({n, 3}), row = td::ones({3}), one = td::ones({1, 1});
    td::GradientTape tape;
    for (const auto& t : {x, row, one}) tape.watch(t);
    const auto [dx, drow, done] = tape.gradient(f(x, row, one), x, row, one);
    EXPECT_EQ(dx.shape(), x.shape());
    EXPECT_EQ(drow.to_vector<float>(), Floats(3, static_cast<float>(n)));
    EXPECT_EQ(done.shape(), (td::Shape{1, 1}));
    EXPECT_EQ(done.to_vector<float>(), Floats{static_cast<float>(3 * n)});
  }
  EXPECT_EQ(f.trace_count(), 2);
}

TEST(Behaviour, G_43_ExceptionsLeaveNoTape) {
  const td::Variable v(1.f);
  td::GradientTape outer;
  try {
    td::GradientTape tape;
    const td::Tensor y = v * 2;
    throw std::runtime_error("no");
  } catch (const std::runtime_error&) {
  }
  const td::Tensor y = v * v;
  EXPECT_EQ(outer.gradient(y, v).item<float>(), 2);
}

TEST(Behaviour, G_46_BackwardErrorsNameTheForwardLine) {
  const td::Tensor x = td::ones({2});
  td::GradientTape tape;
  tape.watch(x);
  const int line = __LINE__ + 1;
  const td::Tensor y = td::custom_gradient(
      [](List a) -> td::CustomGradientResult {
        return {a[0] * 1, [](const td::Tensor& dy) { return List{td::reshape(dy, {3})}; }};
      },
      {x});
  const std::string message = message_of([&] { tape.gradient(y, x); });
  EXPECT_TRUE(contains(message, "(behaviours_gradient_test.cpp:" + std::to_string(line)) ||
              contains(message, "(behaviours_gradient_test.cpp:" + std::to_string(line + 2)))
      << message;
}
