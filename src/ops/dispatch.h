#pragma once
// The eager path, and the Mode interface that the tape and tracing implement.

#include "ops/define.h"

namespace tandem {

class TraceMode;

/// What operations do instead of evaluating at once, while one is active on this thread. Modes stack; a mode
/// hands on to the one below by making it current for the time.
class Mode {
 public:
  virtual ~Mode() = default;
  virtual void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
                     Tensors& outputs) = 0;
  /// Answers for shape inference; null when this mode evaluates at once.
  virtual KnownValues* known_values() { return below_ ? below_->known_values() : nullptr; }
  /// A variable made while this mode traces; `make` builds the cell. Throws unless creation is allowed now.
  virtual std::shared_ptr<detail::VariableImpl> create_variable(
      const Tensor& initial, Location where,
      const std::function<std::shared_ptr<detail::VariableImpl>()>& make);
  /// The size behind a symbolic dimension was asked for as a number.
  virtual int64_t pin(int64_t symbol, Location where);
  /// Whether a number is the code of a symbolic dimension here: `x.shape()[0]` of an unknown size is one.
  virtual bool knows_size(int64_t number) const { return below_ && below_->knows_size(number); }
  /// True when operations become nodes of a graph.
  virtual bool is_tracing() const { return below_ && below_->is_tracing(); }

  /// True when a Function's body must run op by op, because this mode follows what happens inside.
  virtual bool opens_functions() const { return below_ && below_->opens_functions(); }

  /// The trace that records for this mode; null when it evaluates at once.
  virtual TraceMode* innermost_trace() { return below_ ? below_->innermost_trace() : nullptr; }

  Mode* below() const { return below_; }
  void set_below(Mode* below) { below_ = below; }

 protected:
  Mode* below_ = nullptr;
};

namespace detail {
extern constinit thread_local Mode* current_mode [[gnu::tls_model("initial-exec")]];
extern constinit thread_local const Location* current_call_site [[gnu::tls_model("initial-exec")]];
}  // namespace detail

inline Mode* current_mode() { return detail::current_mode; }

/// Makes another mode current for a scope.
class ModeScope {
 public:
  explicit ModeScope(Mode* mode) : saved_(detail::current_mode) { detail::current_mode = mode; }
  ~ModeScope() { detail::current_mode = saved_; }
  ModeScope(const ModeScope&) = delete;
  ModeScope& operator=(const ModeScope&) = delete;

 private:
  Mode* saved_;
};

/// Replaces the call site for a scope, also an outer one: gradient nodes carry their forward op's line.
class CallSiteOverride {
 public:
  explicit CallSiteOverride(Location where) : where_(where), saved_(detail::current_call_site) {
    detail::current_call_site = &where_;
  }
  ~CallSiteOverride() { detail::current_call_site = saved_; }
  CallSiteOverride(const CallSiteOverride&) = delete;
  CallSiteOverride& operator=(const CallSiteOverride&) = delete;

 private:
  Location where_;
  const Location* saved_;
};

/// The user's line of an operation: the outermost call site, else the first operand's.
Location location_of(Operands operands);

/// Applies an op: at once, or as the current mode says.
void apply(const OpDef& op, const void* attributes, Operands operands, Tensors& outputs);
/// Evaluates at once, whatever the mode. `where` is for errors.
void evaluate(const OpDef& op, const void* attributes, Operands operands, Location where, Tensors& outputs);

/// Resolves operands against the op's schema: dtypes, weak numbers. Throws the user's mistakes.
void resolve(const OpDef& op, Operands operands, SmallVector<Argument, 8>& arguments);
/// Throws that a symbolic tensor has left its trace.
[[noreturn]] void fail_leaked(const detail::TensorImpl* tensor);
/// Runs inference, naming op and line in errors.
void infer(InferContext& context, const void* attributes);

/// A number or an integer list as a tensor of the dtype the op would give it. Undefined for absent.
Tensor materialize(const Argument& argument);
/// A tensor for an operand of a composite function (reads variables, makes numbers tensors).
Tensor to_tensor(const Operand& operand, std::optional<DType> dtype = {});

namespace detail {
Tensor apply_one(const OpDef& op, const void* attributes, Operands operands);
bool evaluate_flat(const OpDef& op, Operands operands, Tensor& output);
}  // namespace detail

/// The usual way from a public function to its op: `return dispatch<Tanh>({}, x);`
template <class Op, class... Xs>
Tensor dispatch(const detail::Attributes<Op>& attributes, const Xs&... operands) {
  const std::array<const Operand*, sizeof...(Xs)> list{&operands...};
  return detail::apply_one(op_def<Op>, &attributes, list);
}
template <class Op>
Tensor dispatch_list(const detail::Attributes<Op>& attributes, Operands operands) {
  return detail::apply_one(op_def<Op>, &attributes, operands);
}
/// For ops with several outputs.
template <class Op, class... Xs>
Tensors dispatch_all(const detail::Attributes<Op>& attributes, const Xs&... operands) {
  const std::array<const Operand*, sizeof...(Xs)> list{&operands...};
  Tensors outputs;
  apply(op_def<Op>, &attributes, list, outputs);
  return outputs;
}

}  // namespace tandem
