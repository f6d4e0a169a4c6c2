// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: effects, and what of
// functions, variables and gradients needs control flow.

#include <cmath>
#include <sstream>

#include "tandem/control_flow.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

using Floats = std::vector<float>;
using tandem::testing::message_of;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What td::print writes while one lives.
class CapturedPrints {
 public:
  CapturedPrints() { td::set_print_stream(&text_); }
  ~CapturedPrints() { td::set_print_stream(nullptr); }
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
};

}  // namespace

TEST(Behaviour, F_28_RunTimeErrorsAreNotSticky) {
  auto f = td::function([](td::Tensor x) {
    td::check(td::sum(x) > 0, "not positive");
    return x * 2;
  });
  EXPECT_THROW(f(td::Tensor(-1.f)), td::Error);
  EXPECT_EQ(f(td::Tensor(1.f)).item<float>(), 2);
  EXPECT_EQ(f.trace_count(), 1);
}

TEST(Behaviour, F_37_AllEffectsRun) {
  const td::Variable v(td::Tensor(0.f));
  CapturedPrints prints;
  auto f = td::function([&](td::Tensor x) {
    v.assign_add(1.f);
    td::print("one");
    v.assign(v * 2.f);
    td::print("two", {v.value()});
    return x;
  });
  f(5.f);
  f(5.f);
  EXPECT_EQ(v.value().item<float>(), 6);
  EXPECT_EQ(prints.text(),
            "one\ntwo Tensor(2.0, shape=(), dtype=float32)\none\ntwo Tensor(6.0, shape=(), dtype=float32)\n");
}

TEST(Behaviour, F_38_PrintsKeepTheirOrder) {
  CapturedPrints prints;
  auto f = td::function([](td::Tensor flag) {
    td::print("a");
    td::cond(
        flag, [] { td::print("b"), td::print("c"); }, [] { td::print("d"), td::print("e"); });
    td::print("f");
    td::while_loop([](td::Tensor i) { return i < 2; },
                   [](td::Tensor i) {
                     td::print("g");
                     td::print("h");
                     return i + 1;
                   },
                   td::Tensor(0));
  });
  f(td::Tensor(true));
  EXPECT_EQ(prints.text(), "a\nb\nc\nf\ng\nh\ng\nh\n");
}

TEST(Behaviour, F_41_RecursionOnNumbersUnrolls) {
  td::Function<td::Tensor(td::Tensor, int)> power;
  power = td::Function<td::Tensor(td::Tensor, int)>(
      [&](td::Tensor x, int n) -> td::Tensor { return n == 0 ? td::ones_like(x) : x * power(x, n - 1); });
  EXPECT_EQ(power(2.f, 5).item<float>(), 32);
  td::Function<td::Tensor(td::Tensor)> countdown;
  countdown = td::Function<td::Tensor(td::Tensor)>([&](td::Tensor x) -> td::Tensor {
    return td::cond(
        x > 0, [&] { return countdown(x - 1); }, [&] { return x; });
  });
  EXPECT_TRUE(
      contains(message_of([&] { countdown(3.f); }),
               "recursion on tensors never ends while tracing, so recurse on numbers or use td::while_loop"));
}

TEST(Behaviour, F_46_EmptyTensorsPass) {
  auto f = td::function([](td::Tensor x) {
    return td::while_loop([](td::Tensor i, td::Tensor) { return i < 2; },
                          [](td::Tensor i, td::Tensor v) { return std::tuple(i + 1, v * 2); },
                          std::tuple(td::Tensor(0), x));
  });
  EXPECT_EQ(std::get<1>(f(td::ones({0, 3}))).shape(), (td::Shape{0, 3}));
  auto g = td::function([](td::Tensor x) { return td::exp(x) * 2; });
  const td::Tensor x = td::ones({0, 3});
  td::GradientTape tape;
  tape.watch(x);
  EXPECT_EQ(tape.gradient(g(x), x).shape(), (td::Shape{0, 3}));
}

TEST(Behaviour, V_13_WritesInBranches) {
  const td::Variable v(1.f);
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

TEST(Behaviour, V_14_NestedCondsThatWrite) {
  const td::Variable v(1.f);
  auto f = td::function([&](td::Tensor first, td::Tensor second) {
    td::cond(
        first, [&] { v.assign_add(1.f); },
        [&] {
          td::cond(
              second, [&] { v.assign(v * 2.f); }, [&] { v.assign(v * 3.f); });
        });
    return v.value();
  });
  const td::Tensor yes = true, no = false;
  EXPECT_EQ(f(no, no).item<float>(), 3);
  EXPECT_EQ(f(no, yes).item<float>(), 6);
  EXPECT_EQ(f(yes, no).item<float>(), 7);
  EXPECT_EQ(f(yes, yes).item<float>(), 8);
}

TEST(Behaviour, V_15_WritesInLoops) {
  const td::Variable v(1.f);
  auto body = [&](td::Tensor n) {
    td::while_loop([&](td::Tensor i) { return i < n; },
                   [&](td::Tensor i) {
                     v.assign(v * 2.f);
                     v.assign_add(1.f);
                     return i + 1;
                   },
                   td::Tensor(0));
    return v.value();
  };
  auto f = td::function(body);
  EXPECT_EQ(f(td::Tensor(3)).item<float>(), 15);
  v.assign(1.f);
  EXPECT_EQ(body(td::Tensor(3)).item<float>(), 15);
}

TEST(Behaviour, V_24_AFailedCheckStopsWhatFollows) {
  const td::Variable v(0.f);
  auto f = td::function([&](td::Tensor x) {
    v.assign_add(1.f);
    td::check(x > 0, "x must be positive:", {x});
    v.assign_add(10.f);
    return x;
  });
  EXPECT_TRUE(
      contains(message_of([&] { f(-1.f); }), "x must be positive: Tensor(-1.0, shape=(), dtype=float32)"));
  EXPECT_EQ(v.value().item<float>(), 1);
}

TEST(Behaviour, V_26_NoVariablesInBodies) {
  auto loop = td::function([](td::Tensor x) {
    return td::while_loop([](td::Tensor v) { return v < 2; },
                          [](td::Tensor v) {
                            const td::Variable made(td::Tensor(1.f));
                            return v + made;
                          },
                          x);
  });
  EXPECT_TRUE(contains(message_of([&] { loop(0.f); }), "a variable is made inside the body of while_loop"));
  auto branch = td::function([](td::Tensor x) {
    return td::cond(
        x > 0, [&] { return x + td::Variable(td::Tensor(1.f)).value(); }, [&] { return x; });
  });
  EXPECT_TRUE(contains(message_of([&] { branch(0.f); }), "a variable is made inside a branch of cond"));
}

TEST(Behaviour, G_21_HigherDerivativesThroughMixes) {
  auto cube = td::function([](td::Tensor x) { return x * x * x; });
  auto branch = [](td::Tensor x) {
    return td::cond(
        x > 0, [&] { return x * x * x; }, [&] { return x; });
  };
  auto traced_branch = td::function(branch);
  auto slope = [](auto f) {
    return [f](td::Tensor x) {
      td::GradientTape tape;
      tape.watch(x);
      return tape.gradient(f(x), x);
    };
  };
  auto second_and_third = [&](auto f) {
    return Floats{slope(slope(f))(td::Tensor(2.f)).template item<float>(),
                  slope(slope(slope(f)))(td::Tensor(2.f)).template item<float>()};
  };
  EXPECT_EQ(second_and_third(cube), (Floats{12, 6}));
  EXPECT_EQ(second_and_third(branch), (Floats{12, 6}));
  EXPECT_EQ(second_and_third(traced_branch), (Floats{12, 6}));
  EXPECT_EQ(td::function(slope(slope(cube)))(2.f).item<float>(), 12);
  EXPECT_EQ(slope(td::function(slope(cube)))(td::Tensor(2.f)).item<float>(), 12);
  std::function<td::Tensor(td::Tensor)> f = [](td::Tensor x) { return td::cos(x); };
  const float x = 0.5f, expected[] = {-std::sin(x), -std::cos(x), std::sin(x), std::cos(x), -std::sin(x)};
  for (float e : expected) {
    f = slope(f);
    EXPECT_NEAR(f(td::Tensor(x)).item<float>(), e, 1e-6f);
  }
}
