// Conversions to the dtype of another tensor, and of bits.

#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

struct CastLike : Composite {
  static constexpr std::string_view name = "CastLike";
  static constexpr int since = 25;
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"target_type", types::all, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c) { c.output(c.dtype(1), c.shape(0)); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {cast(in[0], in[1].dtype())};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.5f, -2.f}, {0.f, 3.f}});
    std::vector<Sample> all;
    for (int d = 0; d < dtype_count; ++d)
      all.push_back({{x, cast(Tensor({0, 1}), static_cast<DType>(d))}, {}});
    return all;
  }
};

struct BitCast : NotDifferentiable {
  static constexpr std::string_view name = "BitCast";
  static constexpr int since = 26;
  struct Attributes {
    DType to = DType::f32;
    static constexpr auto fields() { return std::tuple{field("to", &Attributes::to)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(size_of(c.dtype(0)) == size_of(a.to),
             "{} has elements of {} bytes and {} of {}; they must agree", c.dtype(0), size_of(c.dtype(0)),
             a.to, size_of(a.to));
    c.output(a.to, c.shape(0));
  }
  static void kernel(const KernelContext& k) {
    const auto count = static_cast<size_t>(k.outputs[0].shape.element_count());
    if (count == 0) return;
    if (k.outputs[0].dtype == DType::boolean)  // which is 0 or 1 in memory
      for (size_t i = 0; i < count; ++i) k.out<bool>(0)[i] = k.in<uint8_t>(0)[i] != 0;
    else
      std::memcpy(k.out<void>(0), k.in<void>(0), count * size_of(k.outputs[0].dtype));
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.5f, -2.f}, {0.f, 3.f}});
    std::vector<Sample> all;
    for (auto [from, to] : {std::pair{DType::f32, DType::i32},
                            {DType::i32, DType::f32},
                            {DType::u32, DType::f32},
                            {DType::f64, DType::u64},
                            {DType::u64, DType::i64},
                            {DType::i64, DType::f64},
                            {DType::f16, DType::u16},
                            {DType::u16, DType::bf16},
                            {DType::bf16, DType::i16},
                            {DType::i16, DType::f16},
                            {DType::boolean, DType::u8},
                            {DType::u8, DType::boolean},
                            {DType::i8, DType::u8}})
      all.push_back({{cast(x, from)}, boxed(Attributes{to})});
    all.push_back({{cast(Tensor(2.f), DType::f32)}, boxed(Attributes{DType::i32})});
    return all;
  }
};

constexpr const OpDef* conversion_table[] = {&op_def<CastLike>, &op_def<BitCast>};

}  // namespace

std::span<const OpDef* const> conversion_ops() { return conversion_table; }

Tensor cast_like(const Operand& x, const Operand& like) { return dispatch<CastLike>({}, x, like); }
Tensor bit_cast(const Operand& x, DType dtype) { return dispatch<BitCast>({dtype}, x); }

}  // namespace tandem
