// Softmax and its logarithm: row programs.

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

/// Schema and inference that both share.
struct AlongAxis {
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
  static std::vector<Sample> samples() {
    const Attributes first{.axis = 0};
    const Tensor x({{1.f, 2.f, -1.f}, {0.5f, 0.25f, 3.f}}), cube({{{1.f, 2.f}, {-1.f, 0.5f}, {0.f, 80.f}}});
    return {{{x}, {}},
            {{x}, AttributeBox(attribute_type<Attributes>, &first)},
            {{cube}, AttributeBox(attribute_type<Attributes>, &first)},
            {{Tensor({-100.f, 0.f, 100.f})}, {}}};
  }
};

struct Softmax : AlongAxis {
  static constexpr std::string_view name = "Softmax";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0);
    const Value e = exp(x - kernel::reduce_maximum(x));
    k.output(e / kernel::reduce_sum(e), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    return {(dy - reduce_sum(dy * g.y(), {a.axis}, true)) * g.y()};
  }
};

struct LogSoftmax : AlongAxis {
  static constexpr std::string_view name = "LogSoftmax";
  static void rows(Builder& k, const Attributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0);
    const Value shifted = x - kernel::reduce_maximum(x);
    k.output(shifted - log(kernel::reduce_sum(exp(shifted))), outputs[0].dtype);
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    return {dy - exp(g.y()) * reduce_sum(dy, {a.axis}, true)};
  }
};

constexpr const OpDef* softmax_table[] = {&op_def<Softmax>, &op_def<LogSoftmax>};

}  // namespace

std::span<const OpDef* const> softmax_ops() { return softmax_table; }

Tensor softmax(const Operand& x, int64_t axis) { return dispatch<Softmax>({axis}, x); }
Tensor log_softmax(const Operand& x, int64_t axis) { return dispatch<LogSoftmax>({axis}, x); }

}  // namespace tandem
