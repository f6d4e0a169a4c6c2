// td::function: traces, signatures, gradients through calls; graph equals eager bit for bit.

#include "tandem/function.h"

#include <map>
#include <sstream>
#include <thread>

#include "tandem/tandem.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::testing::same_bits;

using Floats = std::vector<float>;

namespace {}  // namespace

TEST(Function, SquaresAndTracesOnce) {
  int runs = 0;
  auto square = td::function([&](td::Tensor x) {
    ++runs;
    return td::pow(x, 2);
  });
  const td::Tensor x = {1, 2, 3, 4, 5.f};
  EXPECT_EQ(square(x).to_vector<float>(), (Floats{1, 4, 9, 16, 25}));
  EXPECT_EQ(square(td::Tensor({2, 2, 2, 2, 2.f})).to_vector<float>(), (Floats{4, 4, 4, 4, 4}));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(square.trace_count(), 1);
}

TEST(Function, GeneralizesSizesAboveOne) {
  auto f = td::function([](td::Tensor x) { return td::sum(x * 2, {0}); });
  EXPECT_EQ(f(td::ones({2, 3})).to_vector<float>(), (Floats{4, 4, 4}));
  EXPECT_EQ(f(td::ones({5, 3})).to_vector<float>(), (Floats{10, 10, 10}));
  EXPECT_EQ(f(td::ones({7, 3})).to_vector<float>(), (Floats{14, 14, 14}));
  EXPECT_EQ(f.trace_count(), 2);
  EXPECT_EQ(f(td::ones({1, 3})).to_vector<float>(), (Floats{2, 2, 2}));
  EXPECT_EQ(f.trace_count(), 3);
}

TEST(Function, SymbolicReshape) {
  auto f = td::function([](td::Tensor x) {
    const td::Tensor flat = td::reshape(x, {x.dim(0), td::Dim(-1)});
    return td::softmax(flat) + td::ones_like(flat);
  });
  for (int64_t n : {2, 3, 4, 5}) {
    const td::Tensor x = td::ones({n, 2, 3});
    EXPECT_EQ(f(x).shape(), (td::Shape{n, 6}));
    EXPECT_TRUE(same_bits(f(x), f.body()(x)));
  }
  EXPECT_EQ(f.trace_count(), 2);
}

TEST(Function, SizesUsedAsNumbersPinTheirDimension) {
  const std::function<td::Tensor(td::Tensor)> bodies[] = {
      [](td::Tensor x) {
        td::Tensor sum = x[0];
        for (int64_t i = 1; i < x.shape()[0]; ++i) sum += x[i];
        return sum;
      },
      [](td::Tensor x) {
        int64_t product = 1;
        for (int64_t size : x.shape()) product *= size;
        return x * product;
      },
      [](td::Tensor x) {
        return x * td::Tensor(x.shape().element_count() + x.shape().to_vector()[0], x.dtype());
      },
      [](td::Tensor x) {
        return td::reshape(x, {3, 2 * x.shape()[0] / 2});
      },
      [](td::Tensor x) {
        td::Shape shape = x.shape();
        shape.push_back(1);
        for (int64_t i = 0; i < shape[0]; ++i) x = x + 1.f;
        return td::reshape(x, shape);
      },
      [](td::Tensor x) { return td::mean(x, {0}) * static_cast<float>(td::spec(x.shape()).shape[0]); },
      [](td::Tensor x) { return td::mean(x, {0}) * static_cast<float>(x.spec().shape[0]); },
  };
  for (const auto& body : bodies) {
    auto f = td::function(body);
    for (int64_t n : {2, 3, 4, 3}) {
      const td::Tensor x = td::reshape(td::arange(3 * n, td::float32), {n, 3});
      EXPECT_TRUE(same_bits(f(x), body(x)));
    }
    EXPECT_EQ(f.trace_count(), 3);
    EXPECT_NE(f.explain().find("function_test.cpp"), std::string::npos) << f.explain();
  }
}

TEST(Function, SizesGivenToOperationsStayUnknown) {
  auto f = td::function([](td::Tensor x) {
    td::GradientTape tape;
    tape.watch(x);
    const auto shape = (x * x).shape();  // lives longer than the tensor it is of
    const td::Tensor mean = td::sum(x * td::ones(shape) * x, {0}) / x.shape()[0] + td::sum(x) / shape[0];
    return mean + tape.gradient(mean, x) +
           td::cond(
               td::sum(x) > 0.f, [&] { return x * x.shape()[0]; }, [&] { return x; }) +
           td::reshape(td::ones({x.shape()[0], 3}), {x.shape()[0], -1});
  });
  for (int64_t n : {2, 3, 4, 5}) {
    const td::Tensor x = td::reshape(td::arange(3 * n, td::float32) + 0.5f, {n, 3});
    EXPECT_TRUE(same_bits(f(x), f.body()(x)));
  }
  EXPECT_EQ(f.trace_count(), 2);
  // A number of that magnitude that is nobody's size stays what it is.
  auto g = td::function([](td::Tensor x) { return x + (td::symbol_base - 123456); });
  const td::Tensor big({1, 2}, td::int64);
  EXPECT_TRUE(same_bits(g(big), g.body()(big)));
}

TEST(Function, StructuresInAndOut) {
  auto f = td::function([](std::vector<td::Tensor> xs, int scale, std::string) {
    std::map<std::string, td::Tensor> result;
    result["sum"] = xs[0] + xs[1];
    result["scaled"] = xs[0] * scale;
    return result;
  });
  const td::Tensor x = {1.f, 2.f};
  auto r = f({x, x}, 3, "a");
  EXPECT_EQ(r["sum"].to_vector<float>(), (Floats{2, 4}));
  EXPECT_EQ(r["scaled"].to_vector<float>(), (Floats{3, 6}));
  f({x, x}, 4, "a");
  f({x, x}, 4, "a");
  f({x, x}, 4, "b");
  EXPECT_EQ(f.trace_count(), 3);
}

TEST(Function, TrainingStepInsideEqualsEager) {
  auto make = [] {
    return std::pair(td::Variable(td::Tensor({{0.5f, -1.f}, {2.f, 0.25f}, {1.f, 1.f}}), {.name = "w"}),
                     td::Variable(td::Tensor({0.f, 0.f}), {.name = "b"}));
  };
  const td::Tensor x = {{1.f, 2.f, 3.f}, {0.1f, -0.7f, 0.3f}};
  auto step_of = [](td::Variable w, td::Variable b) {
    return [w, b](td::Tensor x) {
      td::GradientTape tape;
      const td::Tensor y = td::softmax(td::matmul(x, w) + b);
      const td::Tensor loss = td::sum(y * y);
      auto [dw, db] = tape.gradient(loss, w, b);
      w.assign_sub(0.1f * dw);
      b.assign_sub(0.1f * db);
      return loss;
    };
  };
  auto [w1, b1] = make();
  auto [w2, b2] = make();
  auto eager = step_of(w1, b1);
  auto graph = td::function(step_of(w2, b2));
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(same_bits(eager(x), graph(x))) << i;
  EXPECT_TRUE(same_bits(w1.value(), w2.value()));
  EXPECT_EQ(graph.trace_count(), 1);
}

TEST(Function, TapeOutsideEqualsEager) {
  const td::Variable w(td::Tensor({0.5f, -1.f, 2.f}));
  auto body = [&](td::Tensor x, td::Tensor y) { return td::sum(td::exp(x * w) * y + x * y * w); };
  auto f = td::function(body);
  const td::Tensor x = {0.1f, 0.7f, -0.3f}, y = {1.5f, 2.5f, -0.5f};
  auto gradients = [&](auto&& g) {
    td::GradientTape tape;
    tape.watch(x);
    const td::Tensor before = x * w;
    const td::Tensor out = g(x, y) * 3 + td::sum(before * before) + td::sum(x * w);
    return tape.gradient(out, x, w);
  };
  const auto eager = gradients(body), graph = gradients(f);
  EXPECT_TRUE(same_bits(eager[0], graph[0]));
  EXPECT_TRUE(same_bits(eager[1], graph[1]));
}

TEST(Function, SecondDerivativeThroughCalls) {
  auto cube = td::function([](td::Tensor x) { return x * x * x; });
  const td::Tensor x = 2.f;
  td::GradientTape outer;
  outer.watch(x);
  td::Tensor first;
  {
    td::GradientTape inner;
    inner.watch(x);
    first = inner.gradient(cube(x), x);
  }
  EXPECT_EQ(first.item<float>(), 12);
  EXPECT_EQ(outer.gradient(first, x).item<float>(), 12);
}

TEST(Function, LeaksAreNamed) {
  td::Tensor leaked;
  auto f = td::function([&](td::Tensor x) {
    leaked = x * 2;
    return x;
  });
  f(td::Tensor({1.f}));
  EXPECT_NE(tandem::testing::message_of([&] { leaked + 1; }).find("used outside the trace that made it"),
            std::string::npos);
  std::ostringstream text;
  text << leaked;
  EXPECT_EQ(text.str(), "Tensor(\"mul:0\", shape=(1,), dtype=float32)");
}

// As many as a large model has; a run holds all of them.
TEST(Function, StepsOfManyVariablesRunOneAfterTheOther) {
  std::vector<td::Variable> variables;
  for (int i = 0; i < 100; ++i) variables.emplace_back(td::zeros({2}));
  auto step = td::function([&](td::Tensor x) {
    for (const td::Variable& v : variables) v.assign_add(x);
    return variables[0] + 0.f;
  });
  const td::Tensor one = td::ones({2});
  step(one);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) step(one);
      });
  }
  for (const td::Variable& v : variables) EXPECT_EQ(v.value().to_vector<float>(), (Floats{101, 101}));
}

TEST(Function, ExceptionsLeaveNoTrace) {
  bool fail = true;
  auto f = td::function([&](td::Tensor x) {
    if (fail) throw std::runtime_error("no");
    return x + 1;
  });
  EXPECT_THROW(f(td::Tensor(1.f)), std::runtime_error);
  EXPECT_EQ(f.trace_count(), 0);
  fail = false;
  EXPECT_EQ(f(td::Tensor(1.f)).item<float>(), 2);
}

TEST(Function, ErrorsInsideNameTheLine) {
  const int line = __LINE__ + 1;
  auto f = td::function([](td::Tensor x) { return td::softmax(x, 3); });
  EXPECT_EQ(tandem::testing::message_of([&] {
              f(td::ones({2, 2}));
            }),
            "softmax: axis 3 is out of range for rank 2; expected -2 to 1 (function_test.cpp:" +
                std::to_string(line) + ")");
}
