// Random numbers: streams, distributions, threads of use, dropout.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/parallel.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
using td::Tensor;

namespace {

using Floats = std::vector<float>;
using Longs = std::vector<int64_t>;

struct Moments {
  double mean = 0, deviation = 0, low = INFINITY, high = -INFINITY;
};
Moments moments(const Tensor& t) {
  const std::vector<double> v = td::cast(t, td::float64).to_vector<double>();
  Moments m;
  for (double x : v) {
    m.mean += x / static_cast<double>(v.size());
    m.low = std::min(m.low, x);
    m.high = std::max(m.high, x);
  }
  for (double x : v) m.deviation += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
  m.deviation = std::sqrt(m.deviation);
  return m;
}

uint64_t counter_of(const td::Variable& generator) { return generator.value().to_vector<uint64_t>()[1]; }

}  // namespace

TEST(Random, SeedsRepeatTheStream) {
  td::random::seed(42);
  const Floats first = td::random::uniform({5}).to_vector<float>();
  const Floats second = td::random::uniform({5}).to_vector<float>();
  EXPECT_NE(first, second);
  td::random::seed(42);
  EXPECT_EQ(td::random::uniform({5}).to_vector<float>(), first);
  EXPECT_EQ(td::random::uniform({5}).to_vector<float>(), second);
  td::random::seed(43);
  EXPECT_NE(td::random::uniform({5}).to_vector<float>(), first);
}

TEST(Random, KnownAnswers) {
  // The first block of Philox4x32-10 with key 0 and counter 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
  const td::Variable g = td::random::make_generator(0);
  EXPECT_EQ(td::random::uniform({4}, 0, 1, td::float32, g).to_vector<float>(),
            (Floats{0x6627e8 * 0x1p-24f, 0xe169c5 * 0x1p-24f, 0xbc57ac * 0x1p-24f, 0x9b00db * 0x1p-24f}));
  EXPECT_EQ(counter_of(g), 1u);
}

TEST(Random, GeneratorsAreVariables) {
  const td::Variable g = td::random::make_generator(7);
  EXPECT_EQ(g.name().substr(0, 9), "generator");  // and a number: names are unique
  EXPECT_EQ(g.dtype(), td::uint64);
  const Tensor before = g.value();
  const Floats first = td::random::normal({3}, 0, 1, td::float32, g).to_vector<float>();
  EXPECT_EQ(counter_of(g), 2u);  // six words
  g.assign(before);
  EXPECT_EQ(td::random::normal({3}, 0, 1, td::float32, g).to_vector<float>(), first);
  td::random::uniform({0, 3}, 0, 1, td::float32, g);
  EXPECT_EQ(counter_of(g), 2u);
  td::random::uniform({}, 0, 1, td::float64, g);
  EXPECT_EQ(counter_of(g), 3u);
  EXPECT_ERROR(td::random::uniform({2}, 0, 1, td::float32, td::Variable(td::zeros({2}))),
               "draw_counter: variable variable is no generator: it has dtype float32 and shape (2,), not "
               "uint64 and (2,) (random_test.cpp:LINE)");
}

TEST(Random, UniformStaysInRange) {
  for (td::DType dtype : {td::float16, td::bfloat16, td::float32, td::float64}) {
    const Moments m = moments(td::random::uniform({20000}, 1, 2, dtype));
    EXPECT_GE(m.low, 1);
    EXPECT_LT(m.high, 2);
    EXPECT_NEAR(m.mean, 1.5, 0.01);
    EXPECT_NEAR(m.deviation, 1 / std::sqrt(12), 0.01);
  }
  EXPECT_EQ(td::random::uniform({2}, 3, 3).to_vector<float>(), (Floats{3, 3}));
  EXPECT_ERROR(td::random::uniform({2}, 1, 0), "philox_uniform: 1 to 0 is no range (random_test.cpp:LINE)");
  EXPECT_ERROR(td::random::uniform({2}, 0, 1, td::int32),
               "philox_uniform: dtype int32 is not floating; randint gives integers (random_test.cpp:LINE)");
}

TEST(Random, NormalHasItsMoments) {
  for (td::DType dtype : {td::float16, td::float32, td::float64}) {
    const Tensor x = td::random::normal({20000}, 3, 2, dtype);
    const Moments m = moments(x);
    EXPECT_NEAR(m.mean, 3, 0.05);
    EXPECT_NEAR(m.deviation, 2, 0.05);
    EXPECT_TRUE(std::isfinite(m.low) && std::isfinite(m.high));
  }
}

TEST(Random, Integers) {
  const std::vector<int64_t> v = td::random::randint(-2, 3, {5000}).to_vector<int64_t>();
  Longs counts(5);
  for (int64_t x : v) {
    ASSERT_TRUE(x >= -2 && x < 3);
    ++counts[static_cast<size_t>(x + 2)];
  }
  for (int64_t n : counts) EXPECT_NEAR(static_cast<double>(n), 1000, 150);
  const Moments bytes = moments(td::random::randint(0, 256, {5000}, td::uint8));
  EXPECT_EQ(bytes.low, 0);
  EXPECT_EQ(bytes.high, 255);
  EXPECT_ERROR(td::random::randint(3, 3, {1}),
               "philox_integers: there is no integer from 3 up to, not including, 3 (random_test.cpp:LINE)");
  EXPECT_ERROR(td::random::randint(0, 257, {1}, td::uint8),
               "philox_integers: integers from 0 up to, not including, 257 do not fit dtype uint8 "
               "(random_test.cpp:LINE)");
}

TEST(Random, BernoulliAndPermutation) {
  EXPECT_NEAR(moments(td::random::bernoulli(0.25, {10000})).mean, 0.25, 0.02);
  const Tensor sure = td::random::bernoulli(Tensor({0.f, 1.f}), {100, 2});
  EXPECT_EQ(moments(sure[{td::all, 0}]).high, 0);
  EXPECT_EQ(moments(sure[{td::all, 1}]).low, 1);
  Longs order = td::random::permutation(100).to_vector<int64_t>();
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  Longs expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
  EXPECT_EQ(td::random::permutation(0).shape(), (td::Shape{0}));
  const Tensor rows = td::reshape(td::arange(20), {10, 2});
  const Tensor mixed = td::random::shuffle(rows);
  EXPECT_EQ((mixed[{td::all, 1}] - mixed[{td::all, 0}]).to_vector<int64_t>(), Longs(10, 1));
  EXPECT_ERROR(td::random::permutation(-1), "draw_counter: size -1 is negative (random_test.cpp:LINE)");
}

TEST(Random, ThreadsDrawDifferentNumbers) {
  const td::Variable g = td::random::make_generator(5);
  constexpr int draws = 400;
  std::vector<Tensor> drawn(draws);
  td::runtime::parallel_for(draws, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      drawn[static_cast<size_t>(i)] = td::random::uniform({4}, 0, 1, td::float32, g);
  });
  EXPECT_EQ(counter_of(g), static_cast<uint64_t>(draws));
  std::vector<Floats> all;
  for (const Tensor& t : drawn) all.push_back(t.to_vector<float>());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
}

TEST(Random, ManyElementsAreDrawnAlikeInParts) {
  // Long enough to be cut into parts for several threads.
  const td::Variable g = td::random::make_generator(9), same = td::random::make_generator(9);
  const Floats whole = td::random::uniform({300000}, 0, 1, td::float32, g).to_vector<float>();
  Floats parts;
  for (int i = 0; i < 3; ++i) {
    const Floats part = td::random::uniform({100000}, 0, 1, td::float32, same).to_vector<float>();
    parts.insert(parts.end(), part.begin(), part.end());
  }
  EXPECT_EQ(whole, parts);
}

TEST(Random, TracedFunctionsDrawTheSameStream) {
  auto body = [](Tensor x) {
    return td::random::normal(x.shape()) + td::random::uniform({2, 1}) * x +
           td::cast(td::random::randint(0, 9, x.shape()), td::float32);
  };
  auto traced = td::function(body);
  const Tensor small = td::ones({2, 3}), large = td::ones({2, 7});
  for (const Tensor& x : {small, large, large, small}) {
    td::random::seed(3);
    const Floats eager = body(x).to_vector<float>(), next = body(x).to_vector<float>();
    td::random::seed(3);
    EXPECT_EQ(traced(x).to_vector<float>(), eager);
    EXPECT_EQ(traced(x).to_vector<float>(), next);
  }
  auto mixing = td::function([](Tensor x) { return td::random::shuffle(x); });
  const Tensor long_row = td::arange(50), longer = td::arange(60);
  for (const Tensor& x : {long_row, longer, long_row}) {
    td::random::seed(4);
    const Longs eager = td::random::shuffle(x).to_vector<int64_t>();
    td::random::seed(4);
    EXPECT_EQ(mixing(x).to_vector<int64_t>(), eager);
  }
}

TEST(Random, SeedingInsideAFunction) {
  auto f = td::function([] {
    td::random::seed(11);
    const Tensor first = td::random::uniform({3});
    return td::stack({first, td::random::uniform({3})});
  });
  td::random::seed(11);
  const Tensor first = td::random::uniform({3}), second = td::random::uniform({3});
  const Floats expected = td::stack({first, second}).to_vector<float>();
  EXPECT_EQ(f().to_vector<float>(), expected);
  EXPECT_EQ(f().to_vector<float>(), expected);
}

// ---- Dropout

TEST(Dropout, DropsAndScales) {
  const Tensor x = td::ones({1000});
  const Floats y = td::dropout(x, 0.25).to_vector<float>();
  int kept = 0;
  for (float v : y) {
    ASSERT_TRUE(v == 0 || v == 1 / 0.75f);
    kept += v != 0;
  }
  EXPECT_NEAR(kept, 750, 60);
  EXPECT_EQ(td::dropout(x, 0.25, false).to_vector<float>(), Floats(1000, 1));
  EXPECT_EQ(td::dropout(x, 0).to_vector<float>(), Floats(1000, 1));
  EXPECT_EQ(td::dropout(x, 1).to_vector<float>(), Floats(1000, 0));
  EXPECT_EQ(td::dropout(x, Tensor(0.5f), Tensor(false)).to_vector<float>(), Floats(1000, 1));
  EXPECT_ERROR(td::dropout(x, 1.5),
               "dropout: ratio 1.5 is out of range; expected 0 to 1 (random_test.cpp:LINE)");
  EXPECT_ERROR(td::dropout(Tensor({1, 2})), "dropout: dtype int32 is not floating (random_test.cpp:LINE)");
}

TEST(Dropout, GradientFollowsTheMask) {
  for (double ratio : {0.5, 1.0}) {
    const Tensor x = td::ones({100});
    td::GradientTape tape;
    tape.watch(x);
    const Tensor y = td::dropout(x, ratio);
    const Tensor dx = tape.gradient(td::sum(y), x);
    EXPECT_EQ(dx.to_vector<float>(), y.to_vector<float>());
  }
}
