// Variables and the two ops that touch them.

#include <ostream>

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "ops/variable_impl.h"
#include "ops/variable_names.h"
#include "tandem/name_scope.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

using detail::VariableImpl;

namespace {

struct ReadVariable {
  static constexpr std::string_view name = "ReadVariable", domain = "ai.tandem";
  using Attributes = VariableAttributes;
  static constexpr std::array<InputDef, 0> inputs{};
  static constexpr uint32_t traits = reads_variable;
  static void infer(InferContext& c, const Attributes& a) {
    Shape shape = a.variable->spec.shape;
    if (!shape.is_static()) {
      const Mode* mode = current_mode();
      if (mode && mode->is_tracing()) {
        for (int64_t& d : shape) d = d < 0 ? c.fresh_symbol() : d;
      } else if (const Tensor value = a.variable->load(); value.defined()) {
        shape = value.shape().codes();
      }
    }
    c.output(a.variable->spec.dtype, shape);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor>, std::span<Tensor> out) {
    out[0] = a.variable->load();
    TD_CHECK(out[0].defined(), "variable {} is read before it has a value", a.variable->name);
  }
  // The tape ties the result to the variable itself; there is no input to send a gradient to.
  static Tensors gradient(const Gradient&) { return {}; }
  static std::vector<Sample> samples() {
    static const Variable v(Tensor({1.f, 2.f, 3.f}), {.name = "sample"});
    const Attributes a(v.impl());
    return {{{}, AttributeBox(attribute_type<Attributes>, &a), false}};
  }
};

struct AssignVariable : NotDifferentiable {
  static constexpr std::string_view name = "AssignVariable", domain = "ai.tandem";
  using Attributes = VariableAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"value"}}};
  static constexpr int outputs = 0;
  static constexpr uint32_t traits = effect | writes_variable;
  static void infer(InferContext& c, const Attributes& a) {
    const Spec& spec = a.variable->spec;
    TD_CHECK(c.dtype(0) == spec.dtype,
             "variable {} has dtype {} and cannot hold {}; convert with td::cast(x, td::{})",
             a.variable->name, spec.dtype, c.dtype(0), spec.dtype);
    const Shape& shape = c.shape(0);
    bool fits = shape.rank() == spec.shape.rank();
    for (int i = 0; fits && i < shape.rank(); ++i)
      fits = shape[i] < 0 || spec.shape[i] < 0 || shape[i] == spec.shape[i];
    TD_CHECK(fits, "variable {} has shape {} and cannot hold {}", a.variable->name, spec.shape, shape);
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor>) {
    a.variable->store(in[0].contiguous());
  }
  static std::vector<Sample> samples() {
    static const Variable v(Tensor({1.f, 2.f, 3.f}), {.name = "sample"});
    const Attributes a(v.impl());
    return {{{Tensor({4.f, 5.f, 6.f})}, AttributeBox(attribute_type<Attributes>, &a), false}};
  }
};

constexpr const OpDef* variable_table[] = {&op_def<ReadVariable>, &op_def<AssignVariable>};

std::shared_ptr<VariableImpl> make_impl(const Tensor& initial, VariableOptions& options, Location where) {
  static std::atomic<uint64_t> serial{0};
  auto impl = std::make_shared<VariableImpl>();
  impl->name = detail::NameLevel::full_name(options.name);
  if (options.unique_name) impl->name_registration = register_variable_name(impl->name);
  impl->constraint = std::move(options.constraint);
  impl->trainable = options.trainable;
  impl->serial = serial++;
  impl->where = where;
  impl->spec = detail::coded_spec(initial);
  if (options.shape) {
    impl->spec.shape = *options.shape;
    for (int64_t& d : impl->spec.shape) d = d < 0 ? -1 : d;
  }
  return impl;
}

}  // namespace

std::span<const OpDef* const> variable_ops() { return variable_table; }

Tensor read_variable(VariableImpl& variable, Location where) {
  const VariableAttributes a(variable.shared_from_this());
  const CallSite site(where);
  return dispatch<ReadVariable>(a);
}

void assign_variable(VariableImpl& variable, const Operand& value) {
  const VariableAttributes a(variable.shared_from_this());
  const Tensor tensor = to_tensor(value, variable.spec.dtype);
  const Operand operand(tensor, value.location());
  dispatch_all<AssignVariable>(a, operand);
}

Variable::Variable(const Tensor& initial, VariableOptions options, Location where) {
  TD_CHECK(initial.defined(), "a variable's initial value is an empty tensor handle");
  if (Mode* mode = current_mode(); mode && mode->is_tracing()) {
    impl_ = mode->create_variable(initial, where, [&] { return make_impl(initial, options, where); });
    return;
  }
  impl_ = make_impl(initial, options, where);
  impl_->store(initial.contiguous());
}

Variable::Variable(const std::function<Tensor()>& initializer, VariableOptions options, Location where) {
  auto make = [&] {
    const ModeScope eager(nullptr);
    const Tensor initial = initializer();
    auto impl = make_impl(initial, options, where);
    impl->store(initial.contiguous());
    return impl;
  };
  if (Mode* mode = current_mode(); mode && mode->is_tracing())
    impl_ = mode->create_variable({}, where, make);
  else
    impl_ = make();
}

Variable Variable::from_impl(std::shared_ptr<VariableImpl> impl) {
  Variable v;
  v.impl_ = std::move(impl);
  return v;
}

namespace {
VariableImpl& checked(const std::shared_ptr<VariableImpl>& impl) {
  TD_CHECK(impl != nullptr, "an empty variable handle was used; it was never given a cell");
  return *impl;
}
}  // namespace

Tensor Variable::value(Location where) const { return read_variable(checked(impl_), where); }

const Variable& Variable::assign(const Operand& value) const {
  assign_variable(checked(impl_), value);
  return *this;
}

// The sum has the variable's own shape or the assignment fails: nothing broadcasts.
namespace {
void check_delta(const VariableImpl& v, const Tensor& delta, const Operand& operand, const char* op) {
  if (delta.shape() == v.spec.shape || !v.spec.shape.is_static()) return;
  Error e(ErrorCode::invalid_argument,
          fmt::format("variable {} has shape {} and cannot take a value of shape {}", v.name, v.spec.shape,
                      delta.shape()));
  e.set_origin(op, operand.location());
  throw e;
}
}  // namespace

const Variable& Variable::assign_add(const Operand& delta) const {
  VariableImpl& v = checked(impl_);
  const Tensor d = to_tensor(delta, v.spec.dtype);
  check_delta(v, d, delta, "assign_add");
  const CallSite site(delta);
  assign_variable(v, read_variable(v, delta.location()) + d);
  return *this;
}

const Variable& Variable::assign_sub(const Operand& delta) const {
  VariableImpl& v = checked(impl_);
  const Tensor d = to_tensor(delta, v.spec.dtype);
  check_delta(v, d, delta, "assign_sub");
  const CallSite site(delta);
  assign_variable(v, read_variable(v, delta.location()) - d);
  return *this;
}

namespace {

/// The variable's value with rows replaced or changed. `prepare` makes the updates fit the reduction.
template <class Prepare>
void scatter(VariableImpl& v, const char* op, const Operand& indices, const Operand& updates,
             std::string_view reduction, Prepare&& prepare) {
  const CallSite site(indices);
  tandem::detail::named(op, indices.location(), [&] {
    const Tensor value = read_variable(v, indices.location()), rows = to_tensor(indices);
    TD_CHECK(value.rank() > 0, "variable {} is a scalar and has no rows", v.name);
    TD_CHECK(!is_floating(rows.dtype()) && rows.dtype() != DType::boolean,
             "indices have dtype {}; integers are needed", rows.dtype());
    Tensor changes = to_tensor(updates, v.spec.dtype);
    if (changes.rank() == 0) {
      Shape shape = rows.shape().codes();
      for (int i = 1; i < value.rank(); ++i) shape.push_back(value.shape().codes()[i]);
      changes = expand(changes, shape);
    }
    assign_variable(v, prepare(value, unsqueeze(rows, {-1}), changes, reduction));
  });
}

Tensor scatter_rows(const Tensor& value, const Tensor& rows, const Tensor& changes,
                    std::string_view reduction) {
  return scatter_nd(value, rows, changes, reduction);
}

}  // namespace

const Variable& Variable::scatter_update(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_update", indices, updates, "none", scatter_rows);
  return *this;
}
const Variable& Variable::scatter_add(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_add", indices, updates, "add", scatter_rows);
  return *this;
}
const Variable& Variable::scatter_sub(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_sub", indices, updates, "add",
          [](const Tensor& value, const Tensor& rows, const Tensor& changes, std::string_view reduction) {
            // Subtracting is adding the negative; unsigned integers wrap around.
            return scatter_nd(value, rows, is_signed(changes.dtype()) ? -changes : 0 - changes, reduction);
          });
  return *this;
}
const Variable& Variable::scatter_mul(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_mul", indices, updates, "mul", scatter_rows);
  return *this;
}
const Variable& Variable::scatter_div(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_div", indices, updates, "mul",
          [](const Tensor& value, const Tensor& rows, const Tensor& changes, std::string_view reduction) {
            return value / scatter_nd(ones_like(value), rows, changes, reduction);
          });
  return *this;
}
const Variable& Variable::scatter_max(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_max", indices, updates, "max", scatter_rows);
  return *this;
}
const Variable& Variable::scatter_min(const Operand& indices, const Operand& updates) const {
  scatter(checked(impl_), "scatter_min", indices, updates, "min", scatter_rows);
  return *this;
}

void Variable::apply_constraint(Location where) const {
  VariableImpl& v = checked(impl_);
  if (!v.constraint) return;
  const CallSite site(where);
  assign_variable(v, v.constraint(read_variable(v, where)));
}

const std::string& Variable::name() const { return checked(impl_).name; }
DType Variable::dtype() const { return checked(impl_).spec.dtype; }
const Shape& Variable::shape() const { return checked(impl_).spec.shape; }
bool Variable::trainable() const { return checked(impl_).trainable; }

Operand::Operand(const Variable& v, Location where) : kind_(Kind::variable), where_(where) {
  value_.variable = &checked(v.impl());
}

std::ostream& operator<<(std::ostream& out, const Variable& variable) {
  const VariableImpl& v = checked(variable.impl());
  out << "Variable(\"" << v.name << "\", shape=" << v.spec.shape << ", dtype=" << name_of(v.spec.dtype);
  if (Mode* mode = current_mode(); !(mode && mode->is_tracing())) out << ", value=" << v.load();
  return out << ')';
}

}  // namespace tandem
