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

struct StopGradient : NotDifferentiable {
  static constexpr std::string_view name = "StopGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = pass_through;
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static bool view(const InferContext&, const NoAttributes&, const View& in, const Shape&,
                   ViewResult& result) {
    result.strides = in.strides;
    return true;
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) { return {identity(in[0])}; }
  static std::vector<Sample> samples() { return {{{Tensor({1.f, -2.f})}, {}}}; }
};

struct CustomGradient {
  static constexpr std::string_view name = "CustomGradient", domain = "ai.tandem";
  static constexpr uint32_t traits = pass_through;
  using Attributes = CustomGradientAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"value"}, {"arguments", types::all, -1, InputDef::variadic}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static bool view(const InferContext&, const Attributes&, const View& in, const Shape&, ViewResult& result) {
    result.strides = in.strides;
    return true;
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes&) { return {identity(in[0])}; }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const std::vector<Tensor> found = (*a.rule)(g.dy());
    const int arguments = g.input_count() - 1;
    TD_CHECK(static_cast<int>(found.size()) == arguments, "the rule returned {} gradients for {} arguments",
             found.size(), arguments);
    Tensors result{Tensor()};
    for (int i = 0; i < arguments; ++i) {
      const Tensor& d = found[static_cast<size_t>(i)];
      TD_CHECK(!d.defined() || may_be_equal(d.shape(), g.x(i + 1).shape()),
               "the rule returned a gradient of shape {} for argument {} of shape {}", d.shape(), i,
               g.x(i + 1).shape());
      result.push_back(d);
    }
    return result;
  }
  static std::vector<Sample> samples() {
    const Attributes twice{std::make_shared<const std::function<std::vector<Tensor>(const Tensor&)>>(
        [](const Tensor& dy) { return std::vector<Tensor>{dy}; })};
    const Tensor x({1.f, 2.f});
    return {{{x, x}, AttributeBox(attribute_type<Attributes>, &twice), false}};
  }
};

constexpr const OpDef* table[] = {&op_def<StopGradient>, &op_def<CustomGradient>};

}  // namespace

std::span<const OpDef* const> custom_ops() { return table; }

Tensor stop_gradient(const Operand& x) { return dispatch<StopGradient>({}, x); }

Tensor custom_gradient(const std::function<CustomGradientResult(std::vector<Tensor>)>& body,
                       const std::vector<Tensor>& arguments, Location where) {
  const CallSite site(where);
  // The body is recorded although only its rule counts: what the rule captures is differentiated a second
  // time.
  CustomGradientResult result = body(arguments);
  const CustomGradientAttributes a{
      std::make_shared<const std::function<std::vector<Tensor>(const Tensor&)>>(std::move(result.backward))};
  // The value is cut from what computed it, arguments and captured tensors alike.
  const Tensor value = stop_gradient(result.value);
  std::vector<Operand> operands{value};
  for (const Tensor& x : arguments) operands.emplace_back(x);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  return dispatch_list<CustomGradient>(a, list);
}

}  // namespace tandem
