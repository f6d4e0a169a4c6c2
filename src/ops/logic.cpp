// Comparisons, selection, and the largest of several tensors.

#include "tandem/ops/logic.h"
#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Value;

struct Equal : Elementwise, NotDifferentiable {
  static constexpr std::string_view name = "Equal";
  static constexpr int since = 19;
  static constexpr TypeSet types = types::all;
  static constexpr uint32_t traits = commutative;
  static constexpr DType result_dtype = DType::boolean;
  static Value expression(Value a, Value b) { return equal(a, b); }
};

struct Where : Elementwise {
  static constexpr std::string_view name = "Where";
  static constexpr int since = 16;
  static constexpr std::array<InputDef, 3> inputs{
      {{"condition", types::boolean, 1, InputDef::no_gradient}, {"X"}, {"Y"}}};
  static DType result(const InferContext& c, const NoAttributes&) { return c.dtype(1); }
  static Value expression(Value condition, Value a, Value b) { return select(condition, a, b); }
  static Tensors gradient(const Gradient& g) {
    const Tensor zero = zeros_like(g.dy());
    return {{},
            g.needs(1) ? where(g.x(0), g.dy(), zero) : Tensor(),
            g.needs(2) ? where(g.x(0), zero, g.dy()) : Tensor()};
  }
};

struct Max : Elementwise {
  static constexpr std::string_view name = "Max";
  static constexpr int since = 13;
  static constexpr std::array<InputDef, 1> inputs{{{"data_0", types::numeric, 0, InputDef::variadic}}};
  static Value expression(std::span<const Value> x) {
    Value m = x[0];
    for (size_t i = 1; i < x.size(); ++i) m = maximum(m, x[i]);
    return m;
  }
  // Ties share the gradient equally.
  static Tensors gradient(const Gradient& g) {
    Tensor ties = cast(equal(g.x(0), g.y()), g.y().dtype());
    for (int i = 1; i < g.input_count(); ++i) ties = ties + cast(equal(g.x(i), g.y()), g.y().dtype());
    Tensors result;
    for (int i = 0; i < g.input_count(); ++i)
      result.push_back(g.needs(i) ? g.dy() * cast(equal(g.x(i), g.y()), g.y().dtype()) / ties : Tensor());
    return result;
  }
};

constexpr const OpDef* table[] = {&op_def<Equal>, &op_def<Where>, &op_def<Max>};

}  // namespace

std::span<const OpDef* const> logic_ops() { return table; }

Tensor equal(const Operand& a, const Operand& b) { return dispatch<Equal>({}, a, b); }
Tensor where(const Operand& condition, const Operand& a, const Operand& b) {
  return dispatch<Where>({}, condition, a, b);
}
Tensor maximum(const Operand& a, const Operand& b) { return dispatch<Max>({}, a, b); }

}  // namespace tandem
