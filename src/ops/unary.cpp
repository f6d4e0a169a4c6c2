// Element-wise functions of one tensor.

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Value;

struct Neg : Elementwise {
  static constexpr std::string_view name = "Neg";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::is_signed;
  static constexpr uint32_t traits = involution;
  static Value expression(Value x) { return -x; }
  static Tensors gradient(const Gradient& g) { return {-g.dy()}; }
};

struct Exp : Elementwise {
  static constexpr std::string_view name = "Exp";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static Value expression(Value x) { return exp(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() * g.y()}; }
};

struct Log : Elementwise {
  static constexpr std::string_view name = "Log";
  static constexpr int since = 13;
  static constexpr TypeSet types = types::floating;
  static constexpr double low = 0.5, high = 3;
  static Value expression(Value x) { return log(x); }
  static Tensors gradient(const Gradient& g) { return {g.dy() / g.x()}; }
};

struct Cast : Elementwise {
  static constexpr std::string_view name = "Cast";
  static constexpr int since = 24;
  static constexpr TypeSet types = types::all;
  struct Attributes {
    DType to = DType::f32;
    static constexpr auto fields() { return std::tuple{field("to", &Attributes::to)}; }
  };
  static DType result(const InferContext&, const Attributes& a) { return a.to; }
  static Value expression(const Attributes& a, Value x) {
    const bool narrow = a.to == DType::f16 || a.to == DType::bf16;  // rounded when stored
    return convert(x, narrow ? DType::f32 : a.to);
  }
  static Tensors gradient(const Gradient& g) {
    return {is_floating(g.y().dtype()) ? cast(g.dy(), g.x().dtype()) : Tensor()};
  }
};

constexpr const OpDef* table[] = {&op_def<Neg>, &op_def<Exp>, &op_def<Log>, &op_def<Cast>};

}  // namespace

std::span<const OpDef* const> unary_ops() { return table; }

Tensor neg(const Operand& x) { return dispatch<Neg>({}, x); }
Tensor operator-(const Operand& x) { return dispatch<Neg>({}, x); }
Tensor exp(const Operand& x) { return dispatch<Exp>({}, x); }
Tensor log(const Operand& x) { return dispatch<Log>({}, x); }
Tensor cast(const Operand& x, DType dtype) {
  if (x.is_tensor() && x.tensor_impl()->dtype == dtype) return Tensor::share(x.tensor_impl());
  return dispatch<Cast>({dtype}, x);
}

}  // namespace tandem
