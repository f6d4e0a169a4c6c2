// New tensors, and the ops that stand for constants and arguments in graphs.

#include <cmath>
#include <cstring>

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/graph_ops.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

struct Constant : NotDifferentiable {
  static constexpr std::string_view name = "Constant";
  static constexpr int since = 25;
  using Attributes = ConstantAttributes;
  static constexpr std::array<InputDef, 0> inputs{};
  static constexpr uint32_t traits = is_constant;
  static void infer(InferContext& c, const Attributes& a) {
    c.output(a.value.dtype(), a.value.shape().codes());
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor>, std::span<Tensor> out) {
    out[0] = a.value;
  }
  static std::vector<Sample> samples() {
    const Attributes a{Tensor({1.f, 2.f})};
    return {{{}, AttributeBox(attribute_type<Attributes>, &a)}};
  }
};

struct Input : NotDifferentiable {
  static constexpr std::string_view name = "Input", domain = "ai.tandem";
  using Attributes = InputAttributes;
  static constexpr std::array<InputDef, 0> inputs{};
  static constexpr uint32_t traits = is_input;
  static void infer(InferContext& c, const Attributes& a) { c.output(a.dtype, a.shape); }
  static void run_tensors(const Attributes& a, std::span<const Tensor>, std::span<Tensor>) {
    fail("the input \"{}\" of a graph has no value", a.name);
  }
  static std::vector<Sample> samples() { return {}; }  // only graphs give it a value
};

struct ConstantOfShape : NotDifferentiable {
  static constexpr std::string_view name = "ConstantOfShape";
  static constexpr int since = 25;
  struct Attributes {
    DType dtype = DType::f32;
    int64_t bits = 0;  // the value, in the dtype's own representation
    static constexpr auto fields() {
      return std::tuple{field("dtype", &Attributes::dtype), field("bits", &Attributes::bits)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) { c.output(a.dtype, shape_parameter(c, 0)); }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const int64_t n = k.outputs[0].shape.element_count();
    auto fill = [&]<class T>(T) {
      T value;
      std::memcpy(&value, &a.bits, sizeof(T));
      std::fill_n(k.out<T>(0), n, value);
    };
    switch (size_of(a.dtype)) {
      case 1:
        return fill(uint8_t{});
      case 2:
        return fill(uint16_t{});
      case 4:
        return fill(uint32_t{});
      default:
        return fill(uint64_t{});
    }
  }
  static std::vector<Sample> samples() { return {{{Tensor({2, 3}, DType::i64)}, {}}}; }
};

struct Range : NotDifferentiable {
  static constexpr std::string_view name = "Range";
  static constexpr int since = 27;
  static constexpr std::array<InputDef, 3> inputs{{{"start", types::numeric, 0, InputDef::parameter},
                                                   {"limit", types::numeric, 0, InputDef::parameter},
                                                   {"delta", types::numeric, 0, InputDef::parameter}}};
  static void infer(InferContext& c) {
    for (int i = 0; i < 3; ++i)
      TD_CHECK(c.shape(i).element_count() == 1, "{} has shape {}; it must be one number",
               c.op().inputs[static_cast<size_t>(i)].name, c.shape(i));
    c.output(c.dtype(0), {length(c)});
  }
  static int64_t length(const InferContext& c) {
    if (is_floating(c.dtype(0))) {
      double start, limit, delta;
      if (!c.constant_number(0, start) || !c.constant_number(1, limit) || !c.constant_number(2, delta))
        return c.fresh_symbol();
      TD_CHECK(delta != 0, "the step is 0");
      const double count = std::ceil((limit - start) / delta);
      TD_CHECK(count < 0x1p62, "from {} to {} in steps of {} would take too many elements", start, limit,
               delta);
      return count > 0 ? static_cast<int64_t>(count) : 0;
    }
    Integers start, limit, delta;
    if (!c.constant(0, start) || !c.constant(1, limit) || !c.constant(2, delta)) return c.fresh_symbol();
    TD_CHECK(delta[0] != 0, "the step is 0");
    if (is_symbol(limit[0]) && start[0] == 0 && delta[0] == 1) return limit[0];
    if (is_symbol(start[0]) || is_symbol(limit[0]) || is_symbol(delta[0])) return c.fresh_symbol();
    int64_t distance;
    TD_CHECK(!__builtin_sub_overflow(limit[0], start[0], &distance),
             "from {} to {} in steps of {} would take too many elements", start[0], limit[0], delta[0]);
    if (distance == 0 || (distance > 0) != (delta[0] > 0)) return 0;
    return distance / delta[0] + (distance % delta[0] != 0 ? 1 : 0);
  }
  static void kernel(const KernelContext& k) {
    const int64_t count = k.outputs[0].shape.element_count();
    with_element(k.outputs[0].dtype, [&]<class T>(T) {
      using C = Computed<T>;
      const auto start = static_cast<C>(*k.in<T>(0)), delta = static_cast<C>(*k.in<T>(2));
      for (int64_t i = 0; i < count; ++i) {
        if constexpr (std::is_floating_point_v<C>) {
          k.out<T>(0)[i] = T(start + static_cast<C>(i) * delta);
        } else if constexpr (!std::is_same_v<T, bool>) {
          const uint64_t at =
              static_cast<uint64_t>(start) + static_cast<uint64_t>(i) * static_cast<uint64_t>(delta);
          k.out<T>(0)[i] = static_cast<T>(at);
        }
      }
    });
  }
  static std::vector<Sample> samples() {
    return {{{Tensor(1.f), Tensor(2.f), Tensor(0.25f)}, {}},
            {{Tensor(5), Tensor(-4), Tensor(-3)}, {}},
            {{Tensor(0, DType::i64), Tensor(4, DType::i64), Tensor(1, DType::i64)}, {}},
            {{Tensor(3), Tensor(3), Tensor(1)}, {}},
            {{Tensor(1, DType::u8), Tensor(7, DType::u8), Tensor(2, DType::u8)}, {}},
            {{Tensor(-1, DType::i8), Tensor(7, DType::i8), Tensor(2, DType::i8)}, {}},
            {{Tensor(1, DType::u16), Tensor(7, DType::u16), Tensor(2, DType::u16)}, {}},
            {{Tensor(7, DType::i16), Tensor(1, DType::i16), Tensor(-2, DType::i16)}, {}},
            {{Tensor(1, DType::u32), Tensor(7, DType::u32), Tensor(2, DType::u32)}, {}},
            {{Tensor(1, DType::u64), Tensor(7, DType::u64), Tensor(2, DType::u64)}, {}},
            {{Tensor(1., DType::f16), Tensor(2., DType::f16), Tensor(0.5, DType::f16)}, {}},
            {{Tensor(1., DType::bf16), Tensor(2., DType::bf16), Tensor(0.5, DType::bf16)}, {}},
            {{Tensor(1., DType::f64), Tensor(-2., DType::f64), Tensor(-0.7, DType::f64)}, {}}};
  }
};

struct EyeLike : NotDifferentiable {
  static constexpr std::string_view name = "EyeLike";
  static constexpr int since = 22;
  static constexpr uint32_t traits = strided | shape_only;
  struct Attributes {
    std::optional<DType> dtype;
    int64_t k = 0;
    static constexpr auto fields() {
      return std::tuple{field("dtype", &Attributes::dtype), field("k", &Attributes::k)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(c.rank(0) == 2, "shape {} is not a matrix's", c.shape(0));
    c.output(a.dtype.value_or(c.dtype(0)), c.shape(0));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& shape = k.outputs[0].shape;
    with_element(k.outputs[0].dtype, [&]<class T>(T) {
      std::fill_n(k.out<T>(0), shape.element_count(), T{});
      if (a.k >= shape[1] || a.k <= -shape[0]) return;
      for (int64_t row = std::max<int64_t>(0, -a.k); row < shape[0] && row + a.k < shape[1]; ++row)
        k.out<T>(0)[row * shape[1] + row + a.k] = T(static_cast<Computed<T>>(1));
    });
  }
  static std::vector<Sample> samples() {
    const Attributes above{.k = 1}, whole{.dtype = DType::i32, .k = -1};
    const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
    return {{{x}, {}},
            {{transpose(x)}, boxed(above)},
            {{x}, boxed(whole)},
            {{Tensor({{1, 2}})}, {}},
            {{Tensor({{true, true}})}, {}},
            {{Tensor({{1., 2.}}, DType::f16)}, boxed(Attributes{.k = INT64_MIN})}};
  }
};

constexpr const OpDef* graph_table[] = {&op_def<Constant>, &op_def<Input>, &op_def<ConstantOfShape>,
                                        &op_def<Range>, &op_def<EyeLike>};

int64_t bits_of(const Operand& number, DType dtype) {
  const Tensor t = to_tensor(number, dtype);
  int64_t bits = 0;
  std::memcpy(&bits, t.impl()->data, size_of(dtype));
  return bits;
}

}  // namespace

std::span<const OpDef* const> graph_ops() { return graph_table; }
const OpDef& constant_op() { return op_def<Constant>; }
const OpDef& input_op() { return op_def<Input>; }

Tensor full(const Operand& given, const Operand& value, DType dtype) {
  // Empty braces make no list, but mean one.
  const Operand shape = given.present() ? given : Operand(Dims(), given.location());
  if (value.is_number()) {
    const int64_t bits = detail::named("full", shape.location(), [&] { return bits_of(value, dtype); });
    return dispatch<ConstantOfShape>({dtype, bits}, shape);
  }
  return expand(cast(value, dtype), shape);
}
Tensor zeros(const Operand& shape, DType dtype) { return full(shape, Operand(0, shape.location()), dtype); }
Tensor ones(const Operand& shape, DType dtype) { return full(shape, Operand(1, shape.location()), dtype); }
Tensor zeros_like(const Operand& x) {
  const Tensor t = to_tensor(x);
  return zeros(Operand(t.shape(), x.location()), t.dtype());
}
Tensor ones_like(const Operand& x) {
  const Tensor t = to_tensor(x);
  return ones(Operand(t.shape(), x.location()), t.dtype());
}

Tensor full_like(const Operand& x, const Operand& value) {
  const Tensor t = to_tensor(x);
  return full(Operand(t.shape(), x.location()), value, t.dtype());
}

Tensor arange(const Operand& start, const Operand& stop, const Operand& step, std::optional<DType> dtype) {
  const Operand* operands[] = {&start, &stop, &step};
  Tensor fixed[3];
  if (!dtype) {
    dtype = DType::i64;
    for (const Operand* o : operands)
      if (o->kind() == Operand::Kind::floating) dtype = DType::f32;
    for (const Operand* o : operands)
      if (o->is_tensor()) dtype = o->tensor_impl()->dtype;
  }
  // One argument as a tensor says the dtype; the others follow as numbers and may be symbolic.
  const bool any_tensor = start.is_tensor() || stop.is_tensor() || step.is_tensor();
  Operand given[] = {start, stop, step};
  for (int i = 0; i < 3; ++i) {
    if (given[i].is_tensor())
      fixed[i] = cast(given[i], *dtype);
    else if (i == 2 && !any_tensor)
      fixed[i] = to_tensor(given[i], *dtype);
    if (fixed[i].defined()) given[i] = Operand(fixed[i], start.location());
  }
  return dispatch<Range>({}, given[0], given[1], given[2]);
}
Tensor arange(const Operand& stop, std::optional<DType> dtype) {
  return arange(Operand(0, stop.location()), stop, Operand(1, stop.location()), dtype);
}

Tensor linspace(double start, double stop, int64_t count, DType dtype, Location where) {
  const CallSite site(where);
  if (count < 0) {
    Error e(ErrorCode::invalid_argument, fmt::format("the count {} is negative", count));
    e.set_origin("linspace", where);
    throw e;
  }
  std::vector<double> values(static_cast<size_t>(count));
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = start + static_cast<double>(i) * step;
  if (count > 1) values.back() = stop;
  return cast(from_vector(std::move(values), {count}), dtype);
}

Tensor eye(const Operand& rows, const Operand& columns, int64_t k, DType dtype) {
  const Operand& second = columns.present() ? columns : rows;
  if (!rows.is_number() || !second.is_number()) {
    Error e(ErrorCode::invalid_argument, "the sizes must be numbers");
    e.set_origin("eye", rows.location());
    throw e;
  }
  const CallSite site(rows);
  return eye_like(zeros(Dims{rows.integer(), second.integer()}, dtype), k);
}
Tensor eye_like(const Operand& x, int64_t k, std::optional<DType> dtype) {
  return dispatch<EyeLike>({dtype, k}, x);
}

}  // namespace tandem
