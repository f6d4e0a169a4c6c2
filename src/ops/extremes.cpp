// Of any number of tensors: the largest, the smallest, the sum and the mean; and Clip, which is made of two.

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "ops/variable_impl.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Value;

struct Several : Elementwise {
  static constexpr std::array<InputDef, 1> inputs{{{"data_0", types::numeric, 0, InputDef::variadic}}};
};

struct Extreme : Several {
  static constexpr int since = 13;
  static constexpr uint32_t traits = commutative | associative;
  // Ties share the gradient equally.
  static Tensors gradient(const Gradient& g) {
    SmallVector<Tensor, 4> is_chosen;
    Tensor ties;
    for (int i = 0; i < g.input_count(); ++i) {
      is_chosen.push_back(cast(equal(g.x(i), g.y()), g.y().dtype()));
      ties = i == 0 ? is_chosen[0] : ties + is_chosen[i];
    }
    const Tensor share = g.dy() / ties;
    Tensors result;
    for (int i = 0; i < g.input_count(); ++i) result.push_back(g.needs(i) ? share * is_chosen[i] : Tensor());
    return result;
  }
};

struct Max : Extreme {
  static constexpr std::string_view name = "Max";
  static Value expression(std::span<const Value> x) {
    Value m = x[0];
    for (size_t i = 1; i < x.size(); ++i) m = kernel::maximum(m, x[i]);
    return m;
  }
};

struct Min : Extreme {
  static constexpr std::string_view name = "Min";
  static Value expression(std::span<const Value> x) {
    Value m = x[0];
    for (size_t i = 1; i < x.size(); ++i) m = kernel::minimum(m, x[i]);
    return m;
  }
};

struct Sum : Elementwise {
  static constexpr std::string_view name = "Sum";
  static constexpr int since = 13;
  static constexpr std::array<InputDef, 1> inputs{{{"data_0", types::floating, 0, InputDef::variadic}}};
  static Value expression(std::span<const Value> x) {
    Value s = x[0];
    for (size_t i = 1; i < x.size(); ++i) s = s + x[i];
    return s;
  }
  static Tensors gradient(const Gradient& g) {
    Tensors result;
    const Tensor dy = g.dy();
    for (int i = 0; i < g.input_count(); ++i) result.push_back(dy);
    return result;
  }
};

struct Mean : Elementwise {
  static constexpr std::string_view name = "Mean";
  static constexpr int since = 13;
  static constexpr auto& inputs = Sum::inputs;
  static Value expression(std::span<const Value> x) {
    return Sum::expression(x) / static_cast<double>(x.size());
  }
  static Tensors gradient(const Gradient& g) {
    Tensors result;
    const Tensor share = g.dy() / g.input_count();
    for (int i = 0; i < g.input_count(); ++i) result.push_back(share);
    return result;
  }
};

struct Clip {
  static constexpr std::string_view name = "Clip";
  static constexpr int since = 13;
  static constexpr uint32_t traits = idempotent;
  static constexpr std::array<InputDef, 3> inputs{{{"input", types::numeric},
                                                   {"min", types::numeric, 0, InputDef::optional},
                                                   {"max", types::numeric, 0, InputDef::optional}}};
  static void infer(InferContext& c) {
    for (int i : {1, 2})
      TD_CHECK(!c.has(i) || c.rank(i) == 0, "{} has shape {}; a scalar is needed", inputs[i].name,
               c.shape(i));
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const bool low = in.size() > 1 && in[1].defined(), high = in.size() > 2 && in[2].defined();
    const Tensor raised = low ? maximum(in[0], in[1]) : in[0];
    if (high) return {minimum(raised, in[2])};
    return {low ? raised : identity(in[0])};  // never the argument itself
  }
  static Tensors gradient(const Gradient& g) {
    const bool low = g.has(1), high = g.has(2);
    const Tensor dy = g.dy();
    Tensors result{dy, {}, {}};
    if (g.needs(0) && low) result[0] = where(g.x() >= g.x(1), result[0], 0);
    if (g.needs(0) && high) result[0] = where(g.x() <= g.x(2), result[0], 0);
    if (g.needs(1)) {
      Tensor below = where(g.x() < g.x(1), dy, 0);
      if (high) below = where(g.x(1) <= g.x(2), below, 0);
      result[1] = sum_to(below, g.x(1).shape());
    }
    if (g.needs(2)) {
      Tensor above = g.x() > g.x(2);
      if (low) above = above | (g.x(1) > g.x(2));
      result[2] = sum_to(where(above, dy, 0), g.x(2).shape());
    }
    result.resize(g.input_count());
    return result;
  }
  static std::vector<Sample> samples() {
    const Tensor x({{-2.f, 0.25f, 3.f}, {1.f, 7.f, -0.5f}}), low(-1.f), high(2.f);
    return {{{x, low, high}, {}}, {{x, {}, high}, {}}, {{x, low}, {}}, {{x}, {}}, {{x, high, low}, {}}};
  }
};

constexpr const OpDef* extreme_table[] = {&op_def<Max>, &op_def<Min>, &op_def<Sum>, &op_def<Mean>,
                                          &op_def<Clip>};

template <class Op>
Tensor of_several(const std::vector<Tensor>& tensors, Location where) {
  std::vector<Operand> operands;
  operands.reserve(tensors.size());
  for (const Tensor& t : tensors) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  return dispatch_list<Op>({}, list);
}

bool is_scalar(const Operand& o) {
  if (o.is_tensor()) return o.tensor_impl()->shape.rank() == 0;
  return o.kind() != Operand::Kind::variable || o.variable_impl()->spec.shape.rank() == 0;
}

}  // namespace

std::span<const OpDef* const> extreme_ops() { return extreme_table; }

Tensor maximum(const Operand& a, const Operand& b) { return dispatch<Max>({}, a, b); }
Tensor minimum(const Operand& a, const Operand& b) { return dispatch<Min>({}, a, b); }
Tensor maximum(const std::vector<Tensor>& tensors, Location where) { return of_several<Max>(tensors, where); }
Tensor minimum(const std::vector<Tensor>& tensors, Location where) { return of_several<Min>(tensors, where); }
Tensor add_n(const std::vector<Tensor>& tensors, Location where) { return of_several<Sum>(tensors, where); }
Tensor mean_n(const std::vector<Tensor>& tensors, Location where) { return of_several<Mean>(tensors, where); }
Tensor clip(const Operand& x, const Operand& low, const Operand& high) {
  if (is_scalar(low) && is_scalar(high)) return dispatch<Clip>({}, x, low, high);
  // ONNX's Clip knows scalar bounds only.
  const CallSite site(x);
  Tensor y = to_tensor(x);
  if (low.present()) y = maximum(y, low);
  return high.present() ? minimum(y, high) : y;
}

}  // namespace tandem
