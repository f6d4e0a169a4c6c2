// The optimizers of ONNX's training domain: one step for any number of tensors, written with other ops.

#include "tandem/ops/training.h"

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

constexpr TypeSet real_types = type_bit(DType::f32) | type_bit(DType::f64);

/// Inputs: the learning rate, the number of steps before this one, then for n tensors n values, n gradients
/// and n of each kind of state. Outputs: the new values, then the new states.
struct OptimizerStep : Composite {
  static constexpr std::string_view domain = "ai.onnx.preview.training";
  static constexpr int since = 1, outputs = -1;
  static constexpr std::array<InputDef, 3> inputs{{{"R", real_types, 1},
                                                   {"T", types::i64, 2, InputDef::no_gradient},
                                                   {"inputs", real_types, -1, InputDef::variadic}}};
  static constexpr int first = 2;

  static void infer_step(InferContext& c, int states) {
    for (int i = 0; i < first; ++i)
      TD_CHECK(c.rank(i) == 0, "{} has shape {}; one number is needed",
               c.op().inputs[static_cast<size_t>(i)].name, c.shape(i));
    const int given = c.input_count() - first, kinds = 2 + states;
    TD_CHECK(given > 0 && given % kinds == 0,
             "{} tensors are given after R and T; a multiple of {} is needed: values, gradients, {}", given,
             kinds, states == 1 ? "states" : "both kinds of states");
    const int count = given / kinds;
    for (int i = 0; i < count; ++i)
      for (int k = 1; k < kinds; ++k) {
        const int at = first + k * count + i;
        TD_CHECK(c.dtype(at) == c.dtype(first + i), "tensor {} is {}, but its value is {}", at - first,
                 c.dtype(at), c.dtype(first + i));
        bool fits = c.rank(at) == c.rank(first + i);
        for (int d = 0; fits && d < c.rank(at); ++d) {
          const int64_t a = c.shape(at)[d], b = c.shape(first + i)[d];
          fits = a == b || a < 0 || b < 0;
        }
        TD_CHECK(fits, "tensor {} has shape {}, but its value has shape {}", at - first, c.shape(at),
                 c.shape(first + i));
      }
    for (int k = 0; k < kinds; ++k)
      for (int i = 0; k != 1 && i < count; ++i)
        c.output(c.dtype(first + k * count + i), c.shape(first + k * count + i));
  }

  /// `update` gets R and T in a tensor's dtype, its value, its gradient and states, and returns the new ones.
  template <class Update>
  static Tensors each(std::span<const Tensor> in, int states, const Update& update) {
    const int count = (static_cast<int>(in.size()) - first) / (2 + states);
    const auto at = [&](int kind, int i) { return in[static_cast<size_t>(first + kind * count + i)]; };
    Tensors all;
    all.resize(count * (1 + states));
    for (int i = 0; i < count; ++i) {
      const Tensor value = at(0, i);
      Tensors state;
      for (int k = 0; k < states; ++k) state.push_back(at(2 + k, i));
      const Tensors next =
          update(cast(in[0], value.dtype()), cast(in[1], value.dtype()), value, at(1, i), state);
      for (int k = 0; k <= states; ++k) all[k * count + i] = next[k];
    }
    return all;
  }

  /// Two tensors, the first step and a later one.
  template <class A>
  static std::vector<Sample> samples_of(int states, const std::vector<A>& variants) {
    std::vector<Sample> all;
    for (int64_t step : {0, 3})
      for (const A& a : variants) {
        Sample s{{Tensor(0.5f), Tensor(step, DType::i64)}, boxed(a)};
        for (int kind = 0; kind < 2 + states; ++kind) {
          const float shift = 0.25f * static_cast<float>(kind);
          s.inputs.push_back(Tensor({0.5f + shift, 1.25f, 2.f - shift}));
          s.inputs.push_back(cast(Tensor({{0.75f}, {1.f + shift}}), DType::f64));
        }
        all.push_back(std::move(s));
      }
    return all;
  }
};

/// The gradient with that of a penalty on the value's square.
Tensor regularized(const Tensor& gradient, const Tensor& value, float coefficient) {
  return gradient + value * coefficient;
}

struct Adagrad : OptimizerStep {
  static constexpr std::string_view name = "Adagrad";
  struct Attributes {
    float decay_factor = 0, epsilon = 1e-6f, norm_coefficient = 0;
    static constexpr auto fields() {
      return std::tuple{field("decay_factor", &Attributes::decay_factor),
                        field("epsilon", &Attributes::epsilon),
                        field("norm_coefficient", &Attributes::norm_coefficient)};
    }
  };
  static void infer(InferContext& c) { infer_step(c, 1); }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return each(in, 1,
                [&a](const Tensor& rate, const Tensor& step, const Tensor& x, const Tensor& g,
                     const Tensors& state) -> Tensors {
                  const Tensor gradient = regularized(g, x, a.norm_coefficient);
                  const Tensor squares = state[0] + gradient * gradient;
                  const Tensor decayed = rate / (step * a.decay_factor + 1);
                  return {x - decayed * gradient / (sqrt(squares) + a.epsilon), squares};
                });
  }
  static std::vector<Sample> samples() {
    return samples_of<Attributes>(1,
                                  {{}, {.decay_factor = 0.5f, .epsilon = 0.25f, .norm_coefficient = 0.5f}});
  }
};

struct Momentum : OptimizerStep {
  static constexpr std::string_view name = "Momentum";
  struct Attributes {
    float alpha = 0.9f, beta = 1;
    Word mode = "standard";
    float norm_coefficient = 0;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("beta", &Attributes::beta),
                        field("mode", &Attributes::mode),
                        field("norm_coefficient", &Attributes::norm_coefficient)};
    }
  };
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(a.mode == "standard" || a.mode == "nesterov",
             "mode \"{}\" is unknown; allowed are \"standard\" and \"nesterov\"", std::string_view(a.mode));
    infer_step(c, 1);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return each(in, 1,
                [&a](const Tensor& rate, const Tensor& step, const Tensor& x, const Tensor& g,
                     const Tensors& state) -> Tensors {
                  const Tensor gradient = regularized(g, x, a.norm_coefficient);
                  const Tensor beta = where(step > 0, full_like(step, a.beta), 1);
                  const Tensor velocity = state[0] * a.alpha + beta * gradient;
                  const Tensor way = a.mode == "nesterov" ? gradient + velocity * a.alpha : velocity;
                  return {x - rate * way, velocity};
                });
  }
  static std::vector<Sample> samples() {
    return samples_of<Attributes>(
        1, {{}, {.alpha = 0.5f, .beta = 0.25f, .mode = "nesterov", .norm_coefficient = 0.5f}});
  }
};

struct Adam : OptimizerStep {
  static constexpr std::string_view name = "Adam";
  struct Attributes {
    float alpha = 0.9f, beta = 0.999f, epsilon = 1e-6f, norm_coefficient = 0, norm_coefficient_post = 0;
    static constexpr auto fields() {
      return std::tuple{field("alpha", &Attributes::alpha), field("beta", &Attributes::beta),
                        field("epsilon", &Attributes::epsilon),
                        field("norm_coefficient", &Attributes::norm_coefficient),
                        field("norm_coefficient_post", &Attributes::norm_coefficient_post)};
    }
  };
  static void infer(InferContext& c) { infer_step(c, 2); }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return each(in, 2,
                [&a](const Tensor& rate, const Tensor& step, const Tensor& x, const Tensor& g,
                     const Tensors& state) -> Tensors {
                  const Tensor gradient = regularized(g, x, a.norm_coefficient);
                  const Tensor mean = state[0] * a.alpha + gradient * (1 - a.alpha);
                  const Tensor squares = state[1] * a.beta + gradient * gradient * (1 - a.beta);
                  // Both start from zero, which makes them too small at first; step 0 is left as it is.
                  const Tensor some = step > 0, safe = where(some, step, 1);
                  const Tensor corrected = rate * sqrt(1 - pow(full_like(step, a.beta), safe)) /
                                           (1 - pow(full_like(step, a.alpha), safe));
                  const Tensor moved = x - where(some, corrected, rate) * mean / (sqrt(squares) + a.epsilon);
                  return {moved * (1 - a.norm_coefficient_post), mean, squares};
                });
  }
  static std::vector<Sample> samples() {
    return samples_of<Attributes>(2, {{},
                                      {.alpha = 0.5f,
                                       .beta = 0.25f,
                                       .epsilon = 0.125f,
                                       .norm_coefficient = 0.5f,
                                       .norm_coefficient_post = 0.25f}});
  }
};

constexpr const OpDef* training_table[] = {&op_def<Adagrad>, &op_def<Adam>, &op_def<Momentum>};

/// One call for lists of tensors: the new values, then the new states of each kind.
template <class Op>
std::vector<std::vector<Tensor>> step_of(const typename Op::Attributes& a, const Operand& rate,
                                         const Operand& count,
                                         std::initializer_list<const std::vector<Tensor>*> kinds) {
  const size_t tensors = (*kinds.begin())->size();
  std::vector<Operand> operands{rate, count};
  for (const std::vector<Tensor>* kind : kinds) {
    TD_CHECK(kind->size() == tensors, "{}: {} values come with a list of {} tensors",
             op_def<Op>.display_name(), tensors, kind->size());
    for (const Tensor& t : *kind) operands.emplace_back(t, rate.location());
  }
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  apply(op_def<Op>, &a, list, outputs);
  std::vector<std::vector<Tensor>> result;
  for (int i = 0; i < outputs.size(); i += static_cast<int>(tensors))
    result.emplace_back(outputs.begin() + i, outputs.begin() + i + static_cast<int>(tensors));
  return result;
}

}  // namespace

std::span<const OpDef* const> training_ops() { return training_table; }

AdagradResult adagrad_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                           const std::vector<Tensor>& gradients, const std::vector<Tensor>& squares,
                           const AdagradOptions& options) {
  auto r = step_of<Adagrad>({options.decay_factor, options.epsilon, options.norm_coefficient}, rate, count,
                            {&values, &gradients, &squares});
  return {std::move(r[0]), std::move(r[1])};
}
MomentumResult momentum_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                             const std::vector<Tensor>& gradients, const std::vector<Tensor>& velocities,
                             const MomentumOptions& options) {
  auto r = step_of<Momentum>({options.alpha, options.beta, options.mode, options.norm_coefficient}, rate,
                             count, {&values, &gradients, &velocities});
  return {std::move(r[0]), std::move(r[1])};
}
AdamResult adam_step(const Operand& rate, const Operand& count, const std::vector<Tensor>& values,
                     const std::vector<Tensor>& gradients, const std::vector<Tensor>& means,
                     const std::vector<Tensor>& squares, const AdamOptions& options) {
  auto r = step_of<Adam>(
      {options.alpha, options.beta, options.epsilon, options.norm_coefficient, options.norm_coefficient_post},
      rate, count, {&values, &gradients, &means, &squares});
  return {std::move(r[0]), std::move(r[1]), std::move(r[2])};
}

}  // namespace tandem
