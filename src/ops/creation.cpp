// New tensors, and the ops that stand for constants and arguments in graphs.

#include <cstring>

#include "ops/dispatch.h"
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
  static void infer(InferContext& c, const Attributes& a) { c.output(a.value.dtype(), a.value.shape()); }
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
  static void infer(InferContext& c, const Attributes& a) {
    Integers sizes;
    Shape shape;
    if (c.constant(0, sizes)) {
      for (int64_t d : sizes) {
        TD_CHECK(d >= 0 || is_symbol(d), "size {} is negative", d);
        shape.push_back(d);
      }
    } else {
      TD_CHECK(c.shape(0).rank() == 1 && c.shape(0)[0] >= 0,
               "the shape's length must be known while tracing");
      for (int64_t i = 0; i < c.shape(0)[0]; ++i) shape.push_back(c.fresh_symbol());
    }
    c.output(a.dtype, shape);
  }
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

constexpr const OpDef* table[] = {&op_def<Constant>, &op_def<Input>, &op_def<ConstantOfShape>};

int64_t bits_of(const Operand& number, DType dtype) {
  const Tensor t = to_tensor(number, dtype);
  int64_t bits = 0;
  std::memcpy(&bits, t.impl()->data, size_of(dtype));
  return bits;
}

}  // namespace

std::span<const OpDef* const> graph_ops() { return table; }
const OpDef& constant_op() { return op_def<Constant>; }
const OpDef& input_op() { return op_def<Input>; }

Tensor full(const Operand& shape, const Operand& value, DType dtype) {
  if (value.is_number()) return dispatch<ConstantOfShape>({dtype, bits_of(value, dtype)}, shape);
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

}  // namespace tandem
