// Random programs over the op table: eager, traced without passes and optimized give the same bits, values
// and gradients, with NaN, infinities, signed zeros, zero sizes and broadcasting among the inputs.

#include <cmath>
#include <cstring>
#include <iostream>
#include <random>
#include <set>

#include "compiler/pass.h"
#include "ops/dispatch.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using Tensors = std::vector<td::Tensor>;

bool same_bits(const td::Tensor& a, const td::Tensor& b) {
  if (a.defined() != b.defined()) return false;
  if (!a.defined()) return true;
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  const td::Tensor x = a.contiguous(), y = b.contiguous();
  if (a.dtype() != td::float32)
    return std::memcmp(x.impl()->data, y.impl()->data,
                       static_cast<size_t>(x.size()) * td::size_of(a.dtype())) == 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    const float p = x.data<float>()[i], q = y.data<float>()[i];
    if (std::isnan(p) && std::isnan(q)) continue;  // payloads aside
    if (std::memcmp(&p, &q, sizeof(p)) != 0) return false;
  }
  return true;
}

td::Tensor apply_default(const td::OpDef& op, const td::Tensor& a, const td::Tensor& b) {
  std::vector<std::byte> attributes(op.attributes->size);
  op.attributes->construct(attributes.data());
  const td::Operand x(a), y(b);
  const td::Operand* list[] = {&x, &y};
  const bool one = op.inputs.size() == 1 && !(op.inputs[0].flags & td::InputDef::variadic);
  td::Tensors outputs;
  td::apply(op, attributes.data(), td::Operands(list, one ? 1 : 2), outputs);
  op.attributes->destroy(attributes.data());
  return outputs[0].dtype() == td::float32 ? outputs[0] : td::cast(outputs[0], td::float32);
}

// Element-wise ops of the table that take float32 under default attributes.
std::vector<const td::OpDef*> float_ops() {
  std::vector<const td::OpDef*> ops;
  for (const td::OpDef* op : td::all_ops()) {
    if (!op->is_elementwise() || op->inputs.size() > 2 || op->has(td::converts)) continue;
    bool fits = true;
    for (const td::InputDef& d : op->inputs)
      fits = fits && (d.types & td::type_bit(td::float32)) && d.group == 0 &&
             !(d.flags & td::InputDef::parameter);
    if (!fits) continue;
    try {
      apply_default(*op, td::Tensor(1.f), td::Tensor(2.f));
      ops.push_back(op);
    } catch (const td::Error&) {
      // Its default attributes are for integers.
    }
  }
  return ops;
}

struct Step {
  int op = 0;  // into float_ops(), or one of the moves and reductions beyond
  int a = 0, b = 0;
};

struct Program {
  std::vector<Step> steps;

  // Every value that came out as float32, in order; a step whose shapes do not fit repeats its operand.
  Tensors run(const Tensors& inputs) const {
    static const std::vector<const td::OpDef*> ops = float_ops();
    Tensors values = inputs;
    for (const Step& s : steps) {
      const td::Tensor &a = values[static_cast<size_t>(s.a)], &b = values[static_cast<size_t>(s.b)];
      td::Tensor result;
      const int extra = s.op - static_cast<int>(ops.size());
      if (extra < 0) {
        result = apply_default(*ops[static_cast<size_t>(s.op)], a, b);
      } else if (extra == 0) {
        result = td::transpose(a);
      } else if (extra == 1) {
        result = a.rank() > 0 ? td::softmax(a) : a * 2;
      } else if (extra == 2) {
        result = td::sum(a, nullptr, false) + b;
      } else if (extra == 3) {
        result = a.rank() == 2 ? td::matmul(a, td::transpose(a)) : td::reshape(a, {int64_t{-1}});
      } else if (extra == 4) {
        result = td::where(a > 0, a, b);
      } else {
        result = a.rank() > 0 ? td::sum(a, {0}, true) * b : -a;
      }
      values.push_back(result);
    }
    return values;
  }
};

constexpr int extra_steps = 6;

// Values all broadcast against one another: products of square matrices keep the shape.
Tensors random_inputs(std::mt19937& random, bool zero_size) {
  const int64_t n = zero_size ? 0 : 4;
  const td::Shape shapes[] = {{n, n}, {n, n}, {n}, {1, n}, {}};
  const float special[] = {0.f, -0.f, INFINITY, -INFINITY, NAN, 1e-42f, 3e38f, 1.f, -1.f};
  Tensors inputs;
  for (const td::Shape& shape : shapes) {
    std::vector<float> v(static_cast<size_t>(shape.element_count()));
    for (float& x : v)
      x = random() % 8 == 0 ? special[random() % std::size(special)]
                            : std::uniform_real_distribution<float>(-3, 3)(random);
    inputs.push_back(td::from_vector(std::move(v), shape));
  }
  return inputs;
}

Program random_program(std::mt19937& random, int op_count) {
  Program p;
  for (int i = 0; i < 12; ++i) {
    const int values = 5 + i;
    p.steps.push_back({static_cast<int>(random() % static_cast<unsigned>(op_count + extra_steps)),
                       static_cast<int>(random() % static_cast<unsigned>(values)),
                       static_cast<int>(random() % static_cast<unsigned>(values))});
  }
  return p;
}

}  // namespace

TEST(Fuzz, EagerTracedAndOptimizedAgree) {
  const int op_count = static_cast<int>(float_ops().size());
  std::mt19937 random(20260101);
  std::vector<std::string> all_passes;
  for (const td::Pass& pass : td::default_pipeline()) all_passes.emplace_back(pass.name);
  std::set<int> covered;
  int compared = 0;
  for (int round = 0; round < 1500; ++round) {
    const Program p = random_program(random, op_count);
    const Tensors inputs = random_inputs(random, round % 10 == 9);
    auto body = [&](Tensors in) { return p.run(in); };
    Tensors eager;
    try {
      eager = body(inputs);
    } catch (const td::Error& e) {
      // Shapes that met and do not broadcast: the traced program says the same.
      auto f = td::function(std::function<Tensors(Tensors)>(body));
      EXPECT_EQ(tandem::testing::message_of([&] { f(inputs); }), e.what()) << "round " << round;
      continue;
    }
    for (const Step& s : p.steps) covered.insert(s.op);
    const td::FunctionOptions plain{.disabled_passes = all_passes};
    for (const td::FunctionOptions& options : {td::FunctionOptions(), plain}) {
      auto f = td::function(std::function<Tensors(Tensors)>(body), options);
      const Tensors graph = f(inputs);
      ASSERT_EQ(graph.size(), eager.size());
      for (size_t i = 0; i < eager.size(); ++i)
        EXPECT_TRUE(same_bits(eager[i], graph[i])) << "round " << round << ", value " << i;
      // A tape outside, the Function inside.
      auto gradients = [&](auto&& g) {
        td::GradientTape tape;
        for (const td::Tensor& t : inputs) tape.watch(t);
        return tape.gradient(g(inputs).back(), inputs);
      };
      const Tensors wanted = gradients(body), got = gradients(f);
      for (size_t i = 0; i < wanted.size(); ++i) {
        // A graph may give zeros where eager code has nothing to give.
        if (!wanted[i].defined()) continue;
        EXPECT_TRUE(same_bits(wanted[i], got[i])) << "round " << round << ", gradient " << i;
      }
    }
    ++compared;
  }
  RecordProperty("programs", compared);
  std::cout << compared << " programs compared; " << covered.size() << " of " << op_count + extra_steps
            << " kinds of step covered\n";
  EXPECT_GT(compared, 1000);
  for (int i = 0; i < op_count; ++i)
    EXPECT_TRUE(covered.contains(i)) << float_ops()[static_cast<size_t>(i)]->name
                                     << " was never part of a program";
}
