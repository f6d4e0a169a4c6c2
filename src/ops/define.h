#pragma once
// From an op's struct to its OpDef.
//
// An op is one struct with `name`, optional `Attributes`, `inputs`, `traits`, `infer`, one lowering
// (`expression`, `rows`, `kernel`, `view`, `run_tensors` or `decomposition`), `gradient` (or the base
// NotDifferentiable) and `samples`. See docs/adding_an_op.md.

#include <array>
#include <concepts>

#include "ops/op_def.h"

namespace tandem {

/// Base of ops without a gradient: their inputs' gradient is none.
struct NotDifferentiable {};

/// Base of ops that are differentiated through the ops of their decomposition.
struct Composite {};

/// Base of element-wise ops: equal dtypes, broadcasting, samples by arity. `expression` takes one to three
/// kernel values, after the attributes where there are any.
struct Elementwise {
  static constexpr TypeSet types = types::numeric;
  /// Range of the samples' elements.
  static constexpr double low = -2, high = 2;
};

namespace detail {

template <class Op>
struct AttributesOf {
  using type = NoAttributes;
};
template <class Op>
requires requires { typename Op::Attributes; }
struct AttributesOf<Op> {
  using type = typename Op::Attributes;
};
template <class Op>
using Attributes = typename AttributesOf<Op>::type;

template <class Op>
const Attributes<Op>& as(const void* attributes) {
  return *static_cast<const Attributes<Op>*>(attributes);
}

using kernel::Value;
template <class F>
struct Arity;
template <class R, class... Args>
struct Arity<R (*)(Args...)> {
  static constexpr int values = (0 + ... + (std::is_same_v<Args, Value> ? 1 : 0));
  static constexpr bool attributes = sizeof...(Args) > static_cast<size_t>(values);
};

template <class Op>
concept HasExpression = requires {
  &Op::expression;
};
template <class Op>
concept HasVariadicExpression = requires(std::span<const Value> x) {
  Op::expression(x);
};
template <class Op>
concept HasRows = requires {
  &Op::rows;
};
template <class Op>
concept HasKernel = requires {
  &Op::kernel;
};
template <class Op>
concept HasView = requires {
  &Op::view;
};
template <class Op>
concept HasRunTensors = requires {
  &Op::run_tensors;
};
template <class Op>
concept HasDecomposition = requires {
  &Op::decomposition;
};
template <class Op>
concept HasInputs = requires {
  Op::inputs;
};
template <class Op>
concept HasInfer = requires {
  &Op::infer;
};
template <class Op>
concept HasGradient = requires {
  &Op::gradient;
};

template <int arity>
constexpr std::array<InputDef, static_cast<size_t>(arity)> elementwise_inputs(TypeSet types) {
  if constexpr (arity == 1)
    return {{{"X", types}}};
  else if constexpr (arity == 2)
    return {{{"A", types}, {"B", types}}};
  else
    return {{{"A", types}, {"B", types}, {"C", types}}};
}

template <class Op>
struct DefaultInputs {
  static constexpr auto value = elementwise_inputs<Arity<decltype(&Op::expression)>::values>(Op::types);
};
template <HasInputs Op>
struct DefaultInputs<Op> {
  static constexpr auto& value = Op::inputs;
};

template <HasVariadicExpression Op>
Value call_expression(std::span<const Value> x, const void*) {
  return Op::expression(x);
}
template <class Op>
Value call_expression(std::span<const Value> x, const void* attributes) {
  using A = Arity<decltype(&Op::expression)>;
  if constexpr (A::attributes) {
    const auto& a = as<Op>(attributes);
    if constexpr (A::values == 1) return Op::expression(a, x[0]);
    if constexpr (A::values == 2) return Op::expression(a, x[0], x[1]);
    if constexpr (A::values == 3) return Op::expression(a, x[0], x[1], x[2]);
  } else {
    if constexpr (A::values == 1) return Op::expression(x[0]);
    if constexpr (A::values == 2) return Op::expression(x[0], x[1]);
    if constexpr (A::values == 3) return Op::expression(x[0], x[1], x[2]);
  }
}

template <class Op>
kernel::ProgramRef elementwise_program(std::span<const DType> inputs, std::span<const Spec> outputs,
                                       const void* attributes) {
  kernel::Builder k(inputs);
  SmallVector<Value, 4> x;
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) x.push_back(k.input(i));
  k.output(call_expression<Op>(x, attributes), outputs[0].dtype);
  return k.finish();
}

template <class Op>
kernel::ProgramRef row_program(std::span<const DType> inputs, std::span<const Spec> outputs,
                               const void* attributes) {
  kernel::Builder k(inputs);
  Op::rows(k, as<Op>(attributes), outputs);
  return k.finish();
}

/// Output dtype of an element-wise op: `Op::result(context, attributes)`, or that of the first input.
template <class Op>
void infer_elementwise(InferContext& c, const void* attributes) {
  Shape shape = c.shape(0);
  for (int i = 1; i < c.input_count(); ++i)
    if (c.has(i)) shape = broadcast_shapes(shape, c.shape(i), &c);
  DType dtype = c.dtype(0);
  if constexpr (requires { Op::result(c, as<Op>(attributes)); })
    dtype = Op::result(c, as<Op>(attributes));
  else if constexpr (requires { Op::result_dtype; })
    dtype = Op::result_dtype;
  c.output(dtype, shape);
}

/// Sums gradients over broadcast dimensions, so that each has its input's shape. Defined in dispatch.cpp.
Tensors unbroadcast(const Gradient& g, Tensors gradients);
/// Samples for element-wise ops: random tensors in [low, high] of several shapes.
std::vector<Sample> elementwise_samples(std::span<const InputDef> inputs, const AttributeBox& attributes,
                                        double low, double high);

/// Evaluates a composite op, whatever the mode.
void run_decomposition(const OpDef& op, const void* attributes, std::span<const Tensor> inputs,
                       std::span<Tensor> outputs);

template <class Op>
inline constinit std::atomic<const kernel::Program*> program_caches[dtype_count] = {};

template <class Op>
Tensors call_gradient(const Gradient& g, const void* attributes) {
  Tensors result;
  if constexpr (requires { Op::gradient(g); })
    result = Op::gradient(g);
  else
    result = Op::gradient(g, as<Op>(attributes));
  if constexpr (std::derived_from<Op, Elementwise>)
    return unbroadcast(g, std::move(result));
  else
    return result;
}

template <class Op>
std::vector<Sample> call_samples() {
  if constexpr (requires { Op::samples(); }) {
    return Op::samples();
  } else {
    Attributes<Op> defaults;
    return elementwise_samples(DefaultInputs<Op>::value,
                               AttributeBox(attribute_type<Attributes<Op>>, &defaults), Op::low, Op::high);
  }
}

}  // namespace detail

template <class Op>
concept CompleteOp = requires {
  Op::name;
}
&&(detail::HasGradient<Op> || std::derived_from<Op, NotDifferentiable> ||
   (std::derived_from<Op, Composite> && detail::HasDecomposition<Op>)) &&
    (detail::HasExpression<Op> || detail::HasRows<Op> || detail::HasKernel<Op> || detail::HasView<Op> ||
     detail::HasRunTensors<Op> ||
     detail::HasDecomposition<Op>)&&(detail::HasInfer<Op> || std::derived_from<Op, Elementwise>);

template <CompleteOp Op>
constexpr OpDef make_op();

/// The one OpDef of an op's struct.
template <CompleteOp Op>
inline constinit const OpDef op_def = make_op<Op>();

template <CompleteOp Op>
constexpr OpDef make_op() {
  using namespace detail;
  OpDef d;
  d.name = Op::name;
  if constexpr (requires { Op::domain; }) d.domain = Op::domain;
  if constexpr (requires { Op::since; }) d.since = Op::since;
  d.inputs = DefaultInputs<Op>::value;
  if constexpr (requires { Op::outputs; }) d.output_count = Op::outputs;
  if constexpr (requires { Op::traits; }) d.traits = Op::traits;
  d.attributes = &attribute_type<Attributes<Op>>;
  if constexpr (HasInfer<Op>) {
    d.infer = [](InferContext& c, const void* a) {
      if constexpr (requires { Op::infer(c, as<Op>(a)); })
        Op::infer(c, as<Op>(a));
      else
        Op::infer(c);
    };
  } else {
    d.infer = &infer_elementwise<Op>;
  }
  if constexpr (HasExpression<Op>) {
    d.program = &elementwise_program<Op>;
    if constexpr (std::is_same_v<Attributes<Op>, NoAttributes>) d.program_cache = program_caches<Op>;
  } else if constexpr (HasRows<Op>) {
    d.program = &row_program<Op>;
    d.row_axes = [](const InferContext& c, const void* a) { return Op::row_axes(c, as<Op>(a)); };
  } else if constexpr (HasKernel<Op>) {
    d.kernel = [](const KernelContext& k, const void* a) {
      if constexpr (requires { Op::kernel(k, as<Op>(a)); })
        Op::kernel(k, as<Op>(a));
      else
        Op::kernel(k);
    };
  } else if constexpr (HasView<Op>) {
    d.view = [](const InferContext& c, const void* a, const kernel::View& in, const Shape& out,
                ViewResult& result) { return Op::view(c, as<Op>(a), in, out, result); };
  } else if constexpr (HasRunTensors<Op>) {
    d.run_tensors = [](const void* a, std::span<const Tensor> in, std::span<Tensor> out) {
      Op::run_tensors(as<Op>(a), in, out);
    };
  }
  if constexpr (HasDecomposition<Op>)
    d.decomposition = [](std::span<const Tensor> in, const void* a) {
      return Op::decomposition(in, as<Op>(a));
    };
  if constexpr (HasDecomposition<Op> && !HasExpression<Op> && !HasRows<Op> && !HasKernel<Op> &&
                !HasView<Op> && !HasRunTensors<Op>) {
    d.traits |= composite;
    d.run_tensors = [](const void* a, std::span<const Tensor> in, std::span<Tensor> out) {
      run_decomposition(op_def<Op>, a, in, out);
    };
  }
  if constexpr (requires { &Op::operations; }) d.operations = &Op::operations;
  if constexpr (HasGradient<Op>) d.gradient = &call_gradient<Op>;
  if constexpr (requires { Op::not_differentiable; }) d.not_differentiable = Op::not_differentiable;
  d.samples = &call_samples<Op>;
  return d;
}

}  // namespace tandem
