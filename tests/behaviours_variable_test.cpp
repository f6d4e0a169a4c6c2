// Behaviours that users of TensorFlow know, by their number in docs/behaviours.md: what variables are called,
// what restrains them, and how rows of them change.

#include <sstream>

#include "function/function_core.h"
#include "runtime/parallel.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = tandem::nn;

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;

namespace {

/// How often an op stands in a function's first trace, after optimization.
template <class F>
int count_nodes(const F& f, std::string_view op) {
  int count = 0;
  for (const td::Node& n : f.core().traces()[0]->compiled.graph().nodes) count += n.op->name == op ? 1 : 0;
  return count;
}

}  // namespace

TEST(Behaviour, V_03_ReadsWithoutAWriteBetweenAreOne) {
  const td::Variable v(1.f), other(2.f);
  auto twice = td::function([&] { return v * 2.f + v.value() * other; });
  EXPECT_EQ(twice().item<float>(), 4);
  EXPECT_EQ(count_nodes(twice, "ReadVariable"), 2);  // one of each
  // A write of another variable does not keep them apart, one of the same does.
  auto around = td::function([&] {
    const td::Tensor before = v * 2.f;
    other.assign_add(1.f);
    const td::Tensor between = v * 3.f;
    v.assign_add(10.f);
    return before + between + v;
  });
  EXPECT_EQ(around().item<float>(), 2 + 3 + 11);
  EXPECT_EQ(count_nodes(around, "ReadVariable"), 3);
  EXPECT_EQ(other.value().item<float>(), 3);
}

TEST(Behaviour, V_04_UnusedReadsCostNothing) {
  const td::Variable v(1.f), w(2.f);
  auto write = td::function([&](td::Tensor x) { v.assign(x); });
  write(5.f);
  EXPECT_EQ(count_nodes(write, "ReadVariable"), 0);
  EXPECT_EQ(count_nodes(write, "AssignVariable"), 1);
  auto unused = td::function([&](td::Tensor x) {
    const td::Tensor never = td::exp(w.value()) + v;
    return x * 2;
  });
  EXPECT_EQ(unused(5.f).item<float>(), 10);
  EXPECT_EQ(count_nodes(unused, "ReadVariable"), 0);
  EXPECT_EQ(count_nodes(unused, "Exp"), 0);
}

TEST(Behaviour, V_16_ScatterUpdates) {
  const auto changed = [](auto change) {
    auto run = [&](bool traced) {
      const td::Variable v({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}});
      if (traced) {
        auto f = td::function([&] { change(v); });
        f();
      } else {
        change(v);
      }
      return v.value().to_vector<float>();
    };
    EXPECT_EQ(run(true), run(false));
    return run(false);
  };
  const td::Tensor rows = {2, 0, 2}, updates = {{1.f, 10.f}, {2.f, 20.f}, {4.f, 40.f}};
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_update(rows, updates); }),
            (Floats{2, 20, 3, 4, 4, 40}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_add(rows, updates); }),
            (Floats{3, 22, 3, 4, 10, 56}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_sub(rows, updates); }),
            (Floats{-1, -18, 3, 4, 0, -44}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_mul(rows, updates); }),
            (Floats{2, 40, 3, 4, 20, 2400}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_div(rows, updates); }),
            (Floats{0.5f, 0.1f, 3, 4, 1.25f, 0.015f}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_max(rows, updates); }),
            (Floats{2, 20, 3, 4, 5, 40}));
  EXPECT_EQ(changed([&](const td::Variable& v) { v.scatter_min(rows, updates); }),
            (Floats{1, 2, 3, 4, 1, 6}));
  // One number for all; negative indices; indices of any shape; a row by itself; calls chain.
  EXPECT_EQ(changed([&](const td::Variable& v) {
              v.scatter_add({-1, 0}, 1.f)
                  .scatter_add(td::Tensor({{0}, {0}}), 1.f)
                  .scatter_update(1, td::Tensor({7.f, 8.f}));
            }),
            (Floats{4, 5, 7, 8, 6, 7}));
  const td::Variable v(td::zeros({2, 2})), bytes(td::Tensor({5, 5}, td::uint8)),
      flags(td::Tensor({false, false}));
  EXPECT_ERROR(v.scatter_add({0, 2}, 1.f),
               "scatter_nd: index 2 is out of range for size 2 of axis 0; expected -2 to 1 "
               "(behaviours_variable_test.cpp:LINE)");
  EXPECT_ERROR(
      v.scatter_add(td::Tensor({0.5f}), 1.f),
      "scatter_add: indices have dtype float32; integers are needed (behaviours_variable_test.cpp:LINE)");
  EXPECT_EQ(bytes.scatter_sub({1, 1}, 1).value().to_vector<uint8_t>(), (std::vector<uint8_t>{5, 3}));
  EXPECT_TRUE(td::reduce_all(flags.scatter_update({0, 1}, true)).item<bool>());
}

TEST(Behaviour, V_17_GatherFromVariables) {
  const td::Variable table(td::reshape(td::arange(0.f, 400000.f), {100000, 4}));
  const td::Tensor rows = {3, -1};
  td::reset_peak_memory();
  const int64_t before = td::memory_statistics().peak_bytes;
  EXPECT_EQ(td::gather(table, rows).to_vector<float>(),
            (Floats{12, 13, 14, 15, 399996, 399997, 399998, 399999}));
  EXPECT_LT(td::memory_statistics().peak_bytes - before, 4096);  // a read shares the value
  const td::Variable batches(td::Tensor({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}, td::int8));
  EXPECT_EQ(td::gather(batches, td::Tensor({1, 0}), -1).to_vector<int8_t>(),
            (std::vector<int8_t>{2, 1, 4, 3, 6, 5, 8, 7}));
  EXPECT_EQ(td::gather_nd(batches, td::Tensor({{1}, {0}}), 1).to_vector<int8_t>(),
            (std::vector<int8_t>{3, 4, 5, 6}));
  const td::Variable flags(td::Tensor({true, false, true}));
  EXPECT_FALSE(td::gather(flags, 1).item<bool>());
}

TEST(Behaviour, V_18_TrainableVariables) {
  nn::Sequential model({nn::Dense(2), nn::Dense(1)});
  model(td::ones({1, 3}));
  std::vector<td::Shape> shapes;
  for (const td::Variable& v : model.trainable_variables()) shapes.push_back(v.shape());
  EXPECT_EQ(shapes, (std::vector<td::Shape>{{3, 2}, {2}, {2, 1}, {1}}));  // in order of creation
  const td::Variable whole(td::Tensor({1, 2}), {.trainable = true}), fixed(2.f, {.trainable = false});
  td::GradientTape tape;
  const td::Tensor y = td::cast(whole, td::float32) * fixed;
  EXPECT_TRUE(tape.watched_variables().empty());
  EXPECT_FALSE(tape.gradient(td::sum(y), whole).defined());
}

TEST(Behaviour, V_19_Constraints) {
  const auto positive = [](const td::Tensor& w) { return td::relu(w); };
  const auto trained = [&](bool traced) {
    const td::Variable w({1.f, 1.f}, {.constraint = positive}), free({1.f, 1.f});
    nn::SGD optimizer(1.0);
    const td::Tensor gradient = {0.5f, 3.f};
    auto step = [&] { optimizer.apply_gradients({gradient, gradient}, {w, free}); };
    if (traced)
      td::function(step)();
    else
      step();
    EXPECT_EQ(free.value().to_vector<float>(), (Floats{0.5f, -2}));
    // Plain assignments are free.
    const Floats after = w.value().to_vector<float>();
    w.assign(td::Tensor({-1.f, 2.f}));
    EXPECT_EQ(w.value().to_vector<float>(), (Floats{-1, 2}));
    w.apply_constraint();
    EXPECT_EQ(w.value().to_vector<float>(), (Floats{0, 2}));
    return after;
  };
  EXPECT_EQ(trained(false), (Floats{0.5f, 0}));
  EXPECT_EQ(trained(true), (Floats{0.5f, 0}));
}

TEST(Behaviour, V_20_NamesAreUnique) {
  const td::Variable a(1.f, {.name = "w"}), b(1.f, {.name = "w"});
  EXPECT_EQ(a.name(), "w");
  EXPECT_EQ(b.name(), "w_1");
  {
    const td::NameScope encoder("encoder");
    const td::Variable c(1.f, {.name = "w"});
    const td::NameScope layer("layer");
    const td::Variable d({1.f, 2.f}, {.name = "w"});
    EXPECT_EQ(c.name(), "encoder/w");
    EXPECT_EQ(d.name(), "encoder/layer/w");
    std::ostringstream text;
    text << d;
    EXPECT_EQ(text.str(),
              "Variable(\"encoder/layer/w\", shape=(2,), dtype=float32, value=Tensor([1. 2.], shape=(2,), "
              "dtype=float32))");
  }
  // A name taken by hand is passed over; one whose variable is gone is free.
  const td::Variable taken(1.f, {.name = "w_2"});
  EXPECT_EQ(td::Variable(1.f, {.name = "w"}).name(), "w_3");
  { const td::Variable x(1.f, {.name = "short-lived"}); }
  EXPECT_EQ(td::Variable(1.f, {.name = "short-lived"}).name(), "short-lived");
  EXPECT_EQ(td::Variable(1.f, {.name = "w", .unique_name = false}).name(), "w");
  EXPECT_ERROR(td::NameScope(""), "a name scope needs a name");
  // In a function too, and for its operations.
  td::Variable made;
  auto f = td::function([&](td::Tensor x) {
    const td::NameScope scope("block");
    if (!made.defined()) made = td::Variable([] { return td::Tensor(3.f); }, {.name = "w"});
    return td::exp(x) * made;
  });
  f(1.f);
  EXPECT_EQ(made.name(), "block/w");
  std::string names;
  for (const td::Node& n : f.core().traces()[0]->recorded.nodes) names += n.name + ' ';
  EXPECT_NE(names.find("block/exp "), std::string::npos) << names;
}

TEST(Behaviour, V_23_RandomState) {
  auto body = [](td::Tensor n) { return std::pair(td::random::uniform({3}) * n, td::random::normal({2})); };
  auto f = td::function(body);
  const auto sequence = [&](auto draw) {
    td::random::seed(11);
    std::vector<Floats> all;
    for (int i = 0; i < 3; ++i) {
      const auto [u, n] = draw(td::Tensor(1.f));
      all.push_back(u.template to_vector<float>());
      all.push_back(n.template to_vector<float>());
    }
    return all;
  };
  const std::vector<Floats> traced = sequence(f), eager = sequence(body);
  EXPECT_EQ(traced, eager);
  EXPECT_EQ(sequence(f), traced);
  EXPECT_NE(traced[0], traced[2]);  // two calls differ
  auto two = td::function([] { return std::pair(td::random::uniform({4}), td::random::uniform({4})); });
  const auto [first, second] = two();
  EXPECT_NE(first.to_vector<float>(), second.to_vector<float>());
}
