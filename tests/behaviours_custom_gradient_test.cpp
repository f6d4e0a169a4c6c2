// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: rules of one's own,
// running again on the way back, and checks of gradients.

#include <cmath>

#include "function/function_core.h"
#include "tandem/control_flow.h"
#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;

using Floats = std::vector<float>;
using List = std::vector<td::Tensor>;
using tandem::testing::message_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

td::Tensor slope(const std::function<td::Tensor(td::Tensor)>& f, const td::Tensor& x) {
  return td::grad(f)(x);
}

}  // namespace

TEST(Behaviour, G_14_ForbiddenGradients) {
  const td::Tensor x = {1.f, 2.f};
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const int line = __LINE__ + 1;
  const td::Tensor labels = td::prevent_gradient(x * 2, "labels are data");
  EXPECT_EQ(labels.to_vector<float>(), (Floats{2, 4}));
  // Only a way back that reaches it is an error.
  EXPECT_EQ(tape.gradient(x * 3, x).to_vector<float>(), (Floats{3, 3}));
  EXPECT_EQ(
      message_of([&] { tape.gradient(labels * 3, x); }),
      "prevent_gradient: labels are data (behaviours_custom_gradient_test.cpp:" + std::to_string(line) + ")");
  // In a function too: one of its results may be forbidden while another is used.
  auto f = td::function([](td::Tensor t) { return std::pair(td::prevent_gradient(t * 2, "no"), t * 3); });
  td::GradientTape outside({.persistent = true});
  outside.watch(x);
  const auto [forbidden, allowed] = f(x);
  EXPECT_EQ(outside.gradient(allowed, x).to_vector<float>(), (Floats{3, 3}));
  EXPECT_TRUE(
      contains(message_of([&, first = forbidden] { outside.gradient(first, x); }), "prevent_gradient: no ("));
}

TEST(Behaviour, G_32_RulesCaptureWhatTheirBodyComputed) {
  // exp whose rule uses the value that the body computed, in a function that is differentiated from outside.
  auto my_exp = [](const td::Tensor& x) {
    return td::custom_gradient(
        [](List a) -> td::CustomGradientResult {
          const td::Tensor y = td::exp(a[0]);
          return {y, [y](const td::Tensor& dy) { return List{dy * y * 10.f}; }};
        },
        {x});
  };
  auto f = td::function([&](td::Tensor x) { return my_exp(x * 2) + x; });
  const td::Tensor x = {0.5f, -1.f};
  const td::Tensor eager = slope([&](td::Tensor t) { return my_exp(t * 2) + t; }, x);
  EXPECT_TRUE(same_bits(slope(f, x), eager));
  EXPECT_EQ(eager[0].item<float>(), std::exp(1.f) * 10 * 2 + 1);
  // Twice: what the rule captured is differentiated in its turn.
  auto second = [&](const std::function<td::Tensor(td::Tensor)>& g) {
    return slope([&](td::Tensor t) { return slope(g, t); }, x);
  };
  EXPECT_TRUE(same_bits(second(f), second([&](td::Tensor t) { return my_exp(t * 2) + t; })));
  // In branches and loops of a function.
  auto branch = td::function([&](td::Tensor t) {
    return td::cond(
        td::sum(t) < 0, [&] { return my_exp(t) * 2.f; }, [&] { return t; });
  });
  EXPECT_EQ(slope(branch, x)[0].item<float>(), std::exp(0.5f) * 10 * 2);
  // Sizes may be unknown while tracing.
  for (int64_t n : {3, 4, 5})
    EXPECT_EQ(slope(f, td::zeros({n})).to_vector<float>(), Floats(static_cast<size_t>(n), 21));
  EXPECT_EQ(f.trace_count(), 2);
}

TEST(Behaviour, G_33_CustomRulesForVariables) {
  const td::Variable w({2.f, 3.f}, {.name = "w"}), outside(5.f, {.name = "outside"});
  auto twice_the_slopes = [&](const td::Tensor& x) {
    return td::custom_gradient(
        [&](List a) -> td::CustomGradientResult {
          return {a[0] * w, {}, [x = a[0]](const td::Tensor& dy, const std::vector<td::Variable>& variables) {
                    return td::CustomGradients{{dy * variables[0] * 2.f}, {dy * x * 2.f}};
                  }};
        },
        {x * outside});
  };
  const td::Tensor x = {1.f, 10.f};
  auto run = [&](const std::function<td::Tensor(td::Tensor)>& f) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = f(x);
    EXPECT_EQ(tape.watched_variables().size(), 2u);
    const auto [dx, dw, d_outside] = tape.gradient(y, x, w, outside);
    EXPECT_EQ(dx.to_vector<float>(), (Floats{20, 30}));
    EXPECT_EQ(dw.to_vector<float>(), (Floats{10, 100}));
    EXPECT_EQ(d_outside.item<float>(), 64);
  };
  run(twice_the_slopes);
  run(td::function(twice_the_slopes));

  auto with_rule = [&](size_t arguments, size_t variables) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = td::custom_gradient(
        [&](List a) -> td::CustomGradientResult {
          return {a[0] * w, {}, [=](const td::Tensor& dy, const std::vector<td::Variable>&) {
                    return td::CustomGradients{List(arguments, dy), List(variables, dy)};
                  }};
        },
        {x});
    return message_of([&] { tape.gradient(y, x); });
  };
  EXPECT_EQ(with_rule(1, 1), "no error");
  EXPECT_TRUE(contains(with_rule(2, 1), "custom_gradient: the rule returned 2 gradients for 1 arguments"));
  EXPECT_TRUE(
      contains(with_rule(1, 0), "custom_gradient: the rule returned 0 gradients for 1 variables (w)"));
  EXPECT_TRUE(
      contains(with_rule(1, 2), "custom_gradient: the rule returned 2 gradients for 1 variables (w)"));
  auto unaware = [&](List a) -> td::CustomGradientResult {
    return {a[0] * w, [](const td::Tensor& dy) { return List{dy}; }};
  };
  EXPECT_ERROR(
      td::custom_gradient(unaware, {x}),
      "custom_gradient: the body reads the variables w, and its rule has no gradients for them; give "
      "backward_all, which may return undefined tensors for them "
      "(behaviours_custom_gradient_test.cpp:LINE)");
}

TEST(Behaviour, G_34_FailingRulesInFunctions) {
  // A rule that throws matters only to those who go back through it.
  auto f = td::function([](td::Tensor x) {
    return td::custom_gradient(
        [](List a) -> td::CustomGradientResult {
          return {a[0] * 2, [](const td::Tensor&) -> List { throw std::runtime_error("mine"); }};
        },
        {x});
  });
  EXPECT_EQ(f(3.f).item<float>(), 6);
  EXPECT_THROW(slope(f, 3.f), std::runtime_error);
}

TEST(Behaviour, G_36_PassThrough) {
  const td::Variable v(5.f);
  auto rounded = td::grad_pass_through([&](td::Tensor x) { return td::round(x) * v; });
  const td::Tensor x = 2.6f;
  auto run = [&](const std::function<td::Tensor(td::Tensor)>& f) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = f(x);
    EXPECT_EQ(y.item<float>(), 15);
    const auto [dx, dv] = tape.gradient(y * 2, x, v);
    EXPECT_EQ(dx.item<float>(), 2);
    EXPECT_FALSE(dv.defined());
  };
  run(rounded);
  run(td::function([&](td::Tensor t) { return rounded(t); }));
}

// ---- recompute

namespace {

/// Both to rounding: a second derivative goes through the first and the second run of f apart.
bool close(const td::Tensor& a, const td::Tensor& b) {
  return a.shape() == b.shape() &&
         td::amax(td::abs(a - b)).item<float>() < 1e-5f * (1 + td::amax(td::abs(b)).item<float>());
}

/// Values and derivatives of f and of its recomputed self.
void expect_recomputed_equal(const std::function<td::Tensor(td::Tensor)>& f, const td::Tensor& x,
                             int orders = 3) {
  const std::function<td::Tensor(td::Tensor)> again = td::recompute([&](td::Tensor t) { return f(t); });
  // The argument is used beside the block too, so that sums must be added in the same order.
  auto plain = [&](td::Tensor t) { return t * t + f(t); };
  auto recomputed = [&](td::Tensor t) { return t * t + again(t); };
  auto derivative =
      [](const std::function<td::Tensor(td::Tensor)>& g) -> std::function<td::Tensor(td::Tensor)> {
    return [g](td::Tensor t) { return td::grad(g)(t); };
  };
  std::function<td::Tensor(td::Tensor)> a = plain, b = recomputed, c = td::function(recomputed);
  for (int order = 0; order <= orders; ++order) {
    const td::Tensor expected = a(x), eager = b(x);
    EXPECT_TRUE(order < 2 ? same_bits(eager, expected) : close(eager, expected)) << "order " << order;
    EXPECT_TRUE(same_bits(td::function([&](td::Tensor t) { return b(t); })(x), eager))
        << "traced, order " << order;
    EXPECT_TRUE(same_bits(c(x), eager)) << "differentiated from outside, order " << order;
    a = derivative(a);
    b = derivative(b);
    c = derivative(c);
  }
}

}  // namespace

TEST(Behaviour, G_37_RecomputeGivesTheSameBits) {
  const td::Tensor x({0.3f, -1.2f, 2.5f});
  expect_recomputed_equal([](td::Tensor t) { return td::tanh(t) * td::exp(t * 0.1f) + t * 3; }, x);
  auto inner = td::function([](td::Tensor t) { return td::sin(t) * t; });
  expect_recomputed_equal([&](td::Tensor t) { return inner(t) / 3; }, x);
  expect_recomputed_equal(
      [](td::Tensor t) {
        const auto result =
            td::while_loop([](td::Tensor i, td::Tensor) { return i < 2; },
                           [](td::Tensor i, td::Tensor v) { return std::tuple(i + 1, v * v * 0.3f); },
                           std::tuple(td::Tensor(0), t));
        return std::get<1>(result);
      },
      x, 1);
}

TEST(Behaviour, G_37_RecomputeOfStructuresAndVariables) {
  const td::Variable w({1.f, 2.f}, {.name = "w"}), count(0.f, {.name = "count", .trainable = false});
  auto block = td::recompute([&](const List& parts, td::Tensor scale, td::Tensor whole, int power) {
    count.assign_add(1.f);
    return std::pair(parts[0] * parts[1] * w * scale,
                     td::cast(whole, td::float32) * td::pow(w, power) * count);
  });
  auto run = [&](auto f) {
    count.assign(0.f);
    const td::Tensor x = {3.f, 4.f}, scale = 2.f;
    td::GradientTape tape({.persistent = true});
    tape.watch(x);
    tape.watch(scale);
    const std::pair<td::Tensor, td::Tensor> y = f(x, scale);
    EXPECT_EQ(y.first.to_vector<float>(), (Floats{18, 64}));
    EXPECT_EQ(y.second.to_vector<float>(), (Floats{5, 28}));
    const auto [dx, d_scale, dw] = tape.gradient(td::sum(y.first) + td::sum(y.second), x, scale, w);
    EXPECT_EQ(dx.to_vector<float>(), (Floats{12, 32}));  // the same tensor twice
    EXPECT_EQ(d_scale.item<float>(), 41);
    EXPECT_EQ(dw.to_vector<float>(), (Floats{18 + 10, 32 + 28}));
    EXPECT_EQ(count.value().item<float>(), 1);  // the second run assigns nothing
  };
  auto use = [&](td::Tensor x, td::Tensor scale) { return block(List{x, x}, scale, td::Tensor({5, 7}), 2); };
  run(use);
  run(td::function(use));
  // Empty tensors.
  const td::Tensor none = td::zeros({0, 2});
  EXPECT_EQ(slope(td::recompute([](td::Tensor t) { return td::exp(t); }), none).shape(), (td::Shape{0, 2}));
}

TEST(Behaviour, G_37_RecomputeReplaysRandomNumbers) {
  auto noisy = [](td::Tensor t) { return td::dropout(td::tanh(t), 0.5) + td::random::uniform({64}) * t; };
  auto block = td::recompute(noisy);
  auto inside = td::function(noisy);
  auto nested = td::recompute([&](td::Tensor t) { return inside(t); });
  const td::Tensor x = td::linspace(-1.f, 1.f, 64);
  auto run = [&](const std::function<td::Tensor(td::Tensor)>& f) {
    td::random::seed(7);
    const td::Tensor d = slope(f, x);
    return std::pair(d, td::random::uniform({3}));  // the stream goes on where the first run left it
  };
  const auto [plain, next] = run(noisy);
  for (const std::function<td::Tensor(td::Tensor)>& f :
       {std::function<td::Tensor(td::Tensor)>(block), std::function<td::Tensor(td::Tensor)>(nested),
        std::function<td::Tensor(td::Tensor)>(td::function([&](td::Tensor t) { return block(t); })),
        std::function<td::Tensor(td::Tensor)>(td::function([&](td::Tensor t) { return nested(t); }))}) {
    const auto [again, next_again] = run(f);
    EXPECT_TRUE(same_bits(again, plain));
    EXPECT_TRUE(same_bits(next_again, next));
  }
}

TEST(Behaviour, G_37_RecomputeFreesMemory) {
  const td::Tensor x = td::ones({100000});
  auto deep = [](td::Tensor t) {
    for (int i = 0; i < 10; ++i) t = td::tanh(t) * t;
    return t;
  };
  auto held = [&](const std::function<td::Tensor(td::Tensor)>& f) {
    const int64_t before = td::memory_statistics().live_bytes;
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor y = f(x);
    return (td::memory_statistics().live_bytes - before) / 400000.0;
  };
  EXPECT_GT(held(deep), 19);
  EXPECT_LT(held(td::recompute(deep)), 2);
  // In one graph, the second run is not taken for the first, which would have to be kept.
  auto step = [&](std::function<td::Tensor(td::Tensor)> block) {
    auto f = td::function([=](td::Tensor t) {
      return td::grad([&](td::Tensor u) { return block(block(block(block(u)))); })(t);
    });
    f(x);
    return f.trace(0).peak_bytes / 400000.0;
  };
  EXPECT_LT(step(td::recompute(deep)), 0.6 * step(deep));
}

TEST(Behaviour, G_37_RecomputeRefusesEffectsInBodies) {
  const td::Variable v(0.f);
  auto block = td::recompute([&](td::Tensor t) {
    return td::cond(
        td::sum(t) > 0, [&] { return v.assign_add(1.f), t * 2; }, [&] { return t; });
  });
  auto f = td::function([&](td::Tensor t) { return block(t); });
  EXPECT_TRUE(
      contains(message_of([&] { f(td::ones({2})); }),
               "recompute: a cond or while_loop inside has effects (random numbers, assignments, prints), "
               "which its second run would repeat; move them out of the recomputed function"));
}

// ---- what else gradients need

TEST(Behaviour, G_39_BatchJacobians) {
  const td::Tensor x({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}});
  auto body = [](td::Tensor t) {
    td::GradientTape tape;
    tape.watch(t);
    const td::Tensor y = td::stack({t * t, td::exp(t * 0), td::flip(t, {1})}, 1);  // (batch, 3, 2)
    return tape.batch_jacobian(y, t);
  };
  const td::Tensor j = body(x);
  EXPECT_EQ(j.shape(), (td::Shape{3, 3, 2, 2}));
  EXPECT_EQ(j[1].to_vector<float>(), (Floats{6, 0, 0, 8, 0, 0, 0, 0, 0, 1, 1, 0}));
  EXPECT_TRUE(same_bits(td::function(body)(x), j));
  td::GradientTape tape({.persistent = true});
  tape.watch(x);
  const td::Tensor other({{1.0}, {2.0}, {3.0}}, td::float64);
  EXPECT_FALSE(tape.batch_jacobian(x * 2, other).defined());
  const td::Tensor zero = tape.batch_jacobian(x * 2, other, td::Unconnected::zero);
  EXPECT_EQ(zero.shape(), (td::Shape{3, 2, 1}));
  EXPECT_EQ(zero.dtype(), td::float64);
  const td::Tensor none = td::zeros({0, 2}), thin = td::zeros({3, 0});
  tape.watch(none);
  tape.watch(thin);
  EXPECT_EQ(tape.batch_jacobian(none * 2, none).shape(), (td::Shape{0, 2, 2}));
  EXPECT_EQ(tape.batch_jacobian(thin * 2, thin).shape(), (td::Shape{3, 0, 0}));
  EXPECT_ERROR(tape.batch_jacobian(td::sum(x), x),
               "batch_jacobian: the target has shape () and the source (3, 2); both need a first dimension, "
               "the batch, "
               "of the same size (behaviours_custom_gradient_test.cpp:LINE)");
  EXPECT_ERROR(
      tape.batch_jacobian(td::sum(x, {0}), x),
      "batch_jacobian: the target has shape (2,) and the source (3, 2); both need a first dimension, the "
      "batch, of the same size (behaviours_custom_gradient_test.cpp:LINE)");
}

TEST(Behaviour, G_44_TheWayBackFreesWhatItPasses) {
  const td::Tensor x = td::ones({100000});
  const double size = 400000;
  const auto live = [] { return static_cast<double>(td::memory_statistics().live_bytes); };
  td::Tensor y;
  td::GradientTape tape;
  tape.watch(x);
  const double before = live();
  y = x;
  for (int i = 0; i < 20; ++i) y = td::exp(y * 0.5f);
  const double held = live() - before;
  EXPECT_GT(held, 39 * size);
  td::reset_peak_memory();
  const td::Tensor loss = td::sum(y);
  y = td::Tensor();
  const td::Tensor d = tape.gradient(loss, x);
  // Beside what was there, a few gradients at a time; and then nothing but the result.
  EXPECT_LT(static_cast<double>(td::memory_statistics().peak_bytes) - before - held, 6 * size);
  EXPECT_LT(live() - before, 1.5 * size);
  // A tape that watches nothing holds nothing.
  td::GradientTape idle;
  const double start = live();
  td::Tensor z = td::ones({100000});
  for (int i = 0; i < 5; ++i) z = td::exp(z * 0.5f);
  EXPECT_LT(live() - start, 1.5 * size);
}

TEST(Behaviour, G_45_NumericChecks) {
  const td::Tensor x({0.3, -0.7}, td::float64), w({{1.0, 2.0}, {3.0, -1.0}}, td::float64);
  const td::GradientCheck good =
      td::check_gradients([](const List& a) { return td::tanh(td::matmul(a[1], a[0])); }, {x, w});
  EXPECT_LT(good.largest_error, 1e-8);
  EXPECT_EQ(good.analytic[1].shape(), (td::Shape{2, 4}));
  EXPECT_LT(td::check_gradients([](const List& a) { return td::exp(a[0]); }, {td::Tensor({0.5f, 1.f})})
                .largest_error,
            1e-4);
  auto wrong = [](const List& a) {
    return td::custom_gradient(
        [](List b) -> td::CustomGradientResult {
          return {b[0] * 3, [](const td::Tensor& dy) { return List{dy * 2}; }};
        },
        {a[0]});
  };
  EXPECT_NEAR(td::check_gradients(wrong, {x}).largest_error, 1.0 / 3, 1e-6);
  const td::GradientCheck empty =
      td::check_gradients([](const List& a) { return td::exp(a[0]); }, {td::zeros({0, 3}, td::float64)});
  EXPECT_EQ(empty.numeric[0].shape(), (td::Shape{0, 0}));
  EXPECT_EQ(empty.largest_error, 0);
  EXPECT_TRUE(std::isinf(
      td::check_gradients([](const List& a) { return td::sqrt(a[0]); }, {td::Tensor({-1.0}, td::float64)})
          .largest_error));
  // Integers have no gradient, and take part all the same.
  const td::GradientCheck mixed =
      td::check_gradients([](const List& a) { return td::gather(a[0], a[1]); }, {x, td::Tensor({1, 1, 0})});
  EXPECT_LT(mixed.largest_error, 1e-8);
  EXPECT_FALSE(mixed.numeric[1].defined());
}

TEST(Behaviour, G_46_GradientOperationsAreNamedAsSuch) {
  auto f = td::function([](td::Tensor x) {
    const td::NameScope scope("model");
    return td::grad([](td::Tensor t) { return td::sin(t) * t; })(x);
  });
  f(td::ones({2}));
  std::string names;
  for (const td::Node& n : f.core().traces()[0]->recorded.nodes) names += n.name + ' ';
  EXPECT_TRUE(contains(names, "model/sin ")) << names;
  EXPECT_TRUE(contains(names, "model/gradient/cos ")) << names;
}
