// Ops that decide what gradients see.

#include "ops/custom.h"

#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/shape.h"
#include "tandem/tape.h"

namespace tandem {

namespace {

using kernel::View;

// Sizes that are unknown while tracing may turn out equal.
bool may_be_equal(const Shape& a, const Shape& b) {
  bool equal = a.rank() == b.rank();
  for (int d = 0; equal && d < a.rank(); ++d) equal = a[d] == b[d] || a[d] < 0 || b[d] < 0;
  return equal;
}

/// The first input as it is: these ops are about what comes back.
template <class A>
struct SameValue {
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static bool view(const InferContext&, const A&, const View& in, const Shape&, ViewResult& result) {
    result.strides = in.strides;
    return true;
  }
  static Tensors decomposition(std::span<const Tensor> in, const A&) { return {identity(in[0])}; }
};

struct StopGradient : NotDifferentiable, SameValue<NoAttributes> {
  static constexpr std::string_view name = "StopGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = pass_through;
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static std::vector<Sample> samples() { return {{{Tensor({1.f, -2.f})}, {}}}; }
};

struct FailedGradient : NotDifferentiable {
  static constexpr std::string_view name = "FailedGradient", domain = "ai.tandem";
  struct Attributes {
    std::exception_ptr failure;
    static constexpr auto fields() { return std::tuple{}; }
    static constexpr bool opaque = true;
    bool operator==(const Attributes&) const = default;
  };
  static constexpr uint32_t traits = effect;
  static constexpr std::array<InputDef, 1> inputs{{{"like"}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static void run_tensors(const Attributes& a, std::span<const Tensor>, std::span<Tensor>) {
    std::rethrow_exception(a.failure);
  }
  static std::vector<Sample> samples() {
    return {};
  }  // no op of the table: nothing of it can be written down
};

struct PreventGradientAttributes {
  std::string message;
  static constexpr auto fields() { return std::tuple{field("message", &PreventGradientAttributes::message)}; }
};

struct PreventGradient : SameValue<PreventGradientAttributes> {
  static constexpr std::string_view name = "PreventGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = pass_through;
  using Attributes = PreventGradientAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Error e(ErrorCode::not_differentiable, a.message);
    e.set_origin("prevent_gradient", location_of({}));
    if (g.dy().is_symbolic()) return {failed_gradient(g.x(), std::make_exception_ptr(e))};
    throw e;
  }
  static std::vector<Sample> samples() { return {{{Tensor({1.f, -2.f})}, {}, false}}; }
};

struct Fence : SameValue<NoAttributes> {
  static constexpr std::string_view name = "Fence", domain = "ai.tandem";
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"after", types::all, -1, InputDef::no_gradient}}};
  static Tensors gradient(const Gradient& g) { return {g.dy(), {}}; }
  static std::vector<Sample> samples() { return {{{Tensor({1.f, -2.f}), Tensor(3.f)}, {}}}; }
};

struct CustomGradient : SameValue<CustomGradientAttributes> {
  static constexpr std::string_view name = "CustomGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = pass_through;
  using Attributes = CustomGradientAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"value"}, {"others", types::all, -1, InputDef::variadic}}};
  // What computed the value gets nothing.
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const CustomRule& rule = *a.rule;
    const std::vector<Tensor> found = rule.gradients(g);
    const int variables = static_cast<int>(rule.variables.size());
    Tensors result{Tensor()};
    for (int i = 0; i < rule.arguments + variables; ++i) {
      const Tensor& d = found[static_cast<size_t>(i)];
      const std::string what = i < rule.arguments
                                   ? fmt::format("argument {}", i)
                                   : "variable " + rule.variables[static_cast<size_t>(i - rule.arguments)];
      TD_CHECK(!d.defined() || may_be_equal(d.shape().codes(), g.x(i + 1).shape().codes()),
               "the rule returned a gradient of shape {} for {} of shape {}", d.shape(), what,
               g.x(i + 1).shape());
      result.push_back(d);
    }
    return result;
  }
  static std::vector<Sample> samples() {
    const Attributes same{std::make_shared<const CustomRule>(
        CustomRule{1, {}, [](const Gradient& g) { return std::vector<Tensor>{g.dy()}; }})};
    const Tensor x({1.f, 2.f});
    return {{{x, x}, AttributeBox(attribute_type<Attributes>, &same), false}};
  }
};

constexpr const OpDef* custom_table[] = {&op_def<StopGradient>, &op_def<PreventGradient>, &op_def<Fence>,
                                         &op_def<CustomGradient>};

}  // namespace

std::span<const OpDef* const> custom_ops() { return custom_table; }

Tensor stop_gradient(const Operand& x) { return dispatch<StopGradient>({}, x); }

Tensor prevent_gradient(const Operand& x, std::string_view message) {
  return dispatch<PreventGradient>({std::string(message)}, x);
}

Tensor fence(const Tensor& x, const Tensor& after) { return dispatch<Fence>({}, Operand(x), Operand(after)); }

Tensor failed_gradient(const Tensor& x, std::exception_ptr failure) {
  return dispatch<FailedGradient>({std::move(failure)}, Operand(x));
}

Tensor apply_custom_gradient(std::shared_ptr<const CustomRule> rule, std::span<const Tensor> inputs) {
  const CustomGradientAttributes a{std::move(rule)};
  const std::vector<Operand> operands(inputs.begin(), inputs.end());
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  return dispatch_list<CustomGradient>(a, list);
}

}  // namespace tandem
