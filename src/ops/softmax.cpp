// Softmax: one row program.

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/activation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"

namespace tandem {

namespace {

using kernel::Builder;
using kernel::Value;

struct AxisAttributes {
  int64_t axis = -1;
  static constexpr auto fields() { return std::tuple{field("axis", &AxisAttributes::axis)}; }
};

struct Softmax {
  static constexpr std::string_view name = "Softmax";
  static constexpr int since = 13;
  using Attributes = AxisAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"input", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    InferContext::normalize_axis(a.axis, c.rank(0));
    c.output(c.dtype(0), c.shape(0));
  }
  static Dims row_axes(const InferContext& c, const Attributes& a) {
    return {InferContext::normalize_axis(a.axis, c.rank(0))};
  }
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0);
    const Value e = exp(x - kernel::reduce_maximum(x));
    k.output(e / kernel::reduce_sum(e), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    return {(dy - reduce_sum(dy * g.y(), {a.axis}, true)) * g.y()};
  }
  static std::vector<Sample> samples() {
    const Attributes first{.axis = 0};
    return {
        {{Tensor({{1.f, 2.f, -1.f}, {0.5f, 0.25f, 3.f}})}, {}},
        {{Tensor({{1.f, 2.f, -1.f}, {0.5f, 0.25f, 3.f}})}, AttributeBox(attribute_type<Attributes>, &first)}};
  }
};

constexpr const OpDef* table[] = {&op_def<Softmax>};

}  // namespace

std::span<const OpDef* const> softmax_ops() { return table; }

Tensor softmax(const Operand& x, int64_t axis) { return dispatch<Softmax>({axis}, x); }

}  // namespace tandem
