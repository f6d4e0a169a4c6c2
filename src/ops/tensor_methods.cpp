// Members of Tensor that compute.

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/executable.h"
#include "ops/families.h"
#include "tandem/ops/shape.h"

namespace tandem {

using detail::TensorImpl;

void copy_elements(const kernel::View& from, void* to) { kernel::copy_strided(from, to); }

namespace {

struct Contiguous {
  static constexpr std::string_view name = "Contiguous", domain = "ai.tandem";
  static constexpr uint32_t traits = strided | pass_through;
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static void kernel(const KernelContext& k) { copy_elements(k.inputs[0], k.outputs[0].data); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) { return {identity(in[0])}; }
  static Tensors gradient(const Gradient& g) { return {g.dy()}; }
  static std::vector<Sample> samples() { return {{{transpose(Tensor({{1.f, 2.f}, {3.f, 4.f}}))}, {}}}; }
};

constexpr const OpDef* copy_table[] = {&op_def<Contiguous>};

}  // namespace

std::span<const OpDef* const> copy_ops() { return copy_table; }
const OpDef& contiguous_op() { return op_def<Contiguous>; }

Tensor Tensor::contiguous(Location) const {
  if (is_contiguous() || is_symbolic()) return *this;
  Tensor copy = detail::empty_tensor(dtype(), shape().codes());
  copy_elements({impl_->data, impl_->dtype, impl_->shape, impl_->strides}, copy.impl()->data);
  return copy;
}

Tensor Tensor::to(DType dtype, Location where) const { return cast(Operand(*this, where), dtype); }

Tensor Tensor::to(Device device, Location where) const {
  if (device == this->device()) return *this;
  Error e(ErrorCode::invalid_argument,
          fmt::format("device {} does not exist; this build has cpu:0", to_string(device)));
  e.set_origin("to", where);
  throw e;
}

Dim Tensor::dim(int i, Location where) const {
  const int axis = detail::named("dim", where, [&] { return InferContext::normalize_axis(i, rank()); });
  return {impl_->shape[axis], where};
}

Dim::operator int64_t() const {
  if (!is_symbolic()) return value_;
  if (Mode* mode = current_mode()) return mode->pin(value_, where_);
  throw Error(ErrorCode::symbolic_value, "a symbolic dimension has no number outside the trace that made it");
}

std::ostream& operator<<(std::ostream& out, const Dim& dim) {
  return dim.is_symbolic() ? out << '?' : out << dim.code();
}

std::vector<int64_t> TensorShape::to_vector(Location where) const {
  std::vector<int64_t> sizes;
  for (int64_t code : codes_) sizes.push_back(Dim(code, where));
  return sizes;
}

TensorShape::operator Shape() const { return is_static() ? codes_ : Shape(to_vector(where_)); }
int64_t TensorShape::element_count(Location where) const { return Shape(to_vector(where)).element_count(); }

Spec Tensor::spec(Location where) const { return {dtype(), shape(where), device()}; }

std::string to_string(const TensorShape& shape) { return to_string(shape.codes()); }
std::ostream& operator<<(std::ostream& out, const TensorShape& shape) { return out << shape.codes(); }

void Operand::list_too_long() {
  fail("a list of more than {} integers was given; pass a tensor instead", max_list);
}

std::shared_ptr<detail::VariableImpl> Mode::create_variable(
    const Tensor& initial, Location where,
    const std::function<std::shared_ptr<detail::VariableImpl>()>& make) {
  TD_ASSERT(below_ != nullptr);
  return below_->create_variable(initial, where, make);
}

int64_t Mode::pin(int64_t symbol, Location where) {
  if (below_) return below_->pin(symbol, where);
  throw Error(ErrorCode::symbolic_value, "a symbolic dimension has no number outside the trace that made it");
}

}  // namespace tandem
