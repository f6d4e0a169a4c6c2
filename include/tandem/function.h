#pragma once
// td::function: the same code as an optimized graph.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/error.h"
#include "tandem/structure.h"
#include "tandem/tensor.h"

namespace tandem {

/// How a Function traces.
struct FunctionOptions {
  std::string name = {};  ///< for explain() and messages
  /// Names of the tensors among the arguments, for signatures; C++ does not tell them.
  std::vector<std::string> parameters = {};
  /// More traces than this are an error; 0: no limit.
  int max_traces = 0;
  /// Fixes the tensors' specs (-1: any size): one trace for all calls that fit, an error for others.
  std::vector<Spec> input_signature = {};
  /// Names of optimizer passes to leave out (`explain()` lists them).
  std::vector<std::string> disabled_passes = {};
  /// Allows rewrites that may change the last bits.
  bool fast_math = false;
  /// Lets a size that varies become symbolic; false: one trace a shape.
  bool generalize = true;
};

/// While true, every Function runs its body eagerly: for stepping through it with a debugger.
void run_functions_eagerly(bool on);
bool functions_run_eagerly();

/// What one trace of a Function is, for people and tests.
struct TraceInfo {
  std::vector<Spec> inputs;
  std::vector<Spec> outputs;
  /// "step(x: float32(2,), y: int64()) uses w: float32(2,) -> (float32())"
  std::string signature;
  std::string reason;  ///< why it was traced: "first call", or which argument changed from what to what
  Location where;      ///< the call that caused it
  int node_count = 0;  ///< after optimization
  int plan_count = 0;
  /// Where shapes depend on data, the parts that are planned and the nodes between them that are not, as far
  /// as calls have come; else 0.
  int segment_count = 0, direct_count = 0;
  std::string graph;                         ///< the optimized graph as text
  std::vector<Variable> captured_variables;  ///< those that it reads or assigns, in that order
  double trace_us = 0, optimize_us = 0, plan_us = 0, first_run_us = 0;  ///< microseconds
  int64_t peak_bytes = 0;  ///< arena and tensors of the last plan; -1: unknown (shapes depend on data)
};

namespace detail {

class FunctionCore;
class FunctionTrace;

/// What the typed Function hands to its untyped core.
struct FunctionCall {
  std::span<const Tensor> tensors;
  const std::string* static_key = nullptr;  // null: no static arguments
  Location where;
};

/// Runs the body on symbolic tensors, and returns its result's tensors; `skeleton` keeps the result's
/// structure.
using TraceBody =
    std::function<std::vector<Tensor>(std::vector<Tensor> arguments, std::shared_ptr<void>& skeleton)>;

std::shared_ptr<FunctionCore> make_function_core(FunctionOptions options);
/// True when the body itself must run: inside a trace, or while functions run eagerly.
bool must_run_body();
/// Traces if need be and runs; outputs are the result's tensors. Returns the trace that ran.
const FunctionTrace* call_function(FunctionCore& core, const FunctionCall& call, const TraceBody& body,
                                   std::vector<Tensor>& outputs);
/// The case that should cost nothing: tensors in, one tensor out.
bool call_simple(FunctionCore& core, std::span<const Tensor* const> tensors, Location where, Tensor& output);
/// Traces if need be, and does not run.
void prepare_function(FunctionCore& core, const FunctionCall& call, const TraceBody& body);
/// A function's body at work inside a trace, or eagerly: errors and recorded operations name the call.
class InlinedCall {
 public:
  InlinedCall(const FunctionCore& core, Location where);
  ~InlinedCall();
  InlinedCall(const InlinedCall&) = delete;
  InlinedCall& operator=(const InlinedCall&) = delete;

 private:
  std::shared_ptr<const void> outer_;
};
/// The body's error, on its way out of this call.
void note_call(Error& error, const FunctionCore& core, Location where);
const FunctionOptions& options_of(const FunctionCore& core);
const std::shared_ptr<void>& skeleton_of(const FunctionTrace& trace);
int trace_count(const FunctionCore& core);
TraceInfo trace_info(const FunctionCore& core, int i);
std::string explain(const FunctionCore& core);

template <class F, class = void>
struct CallableSignature {};  // what cannot be deduced has no `type`
template <class F>
struct CallableSignature<F, std::void_t<decltype(&F::operator())>>
    : CallableSignature<decltype(&F::operator())> {};
template <class C, class R, class... Args>
struct CallableSignature<R (C::*)(Args...) const> {
  using type = R(std::remove_cvref_t<Args>...);
};
template <class C, class R, class... Args>
struct CallableSignature<R (C::*)(Args...)> {
  using type = R(std::remove_cvref_t<Args>...);
};
template <class R, class... Args>
struct CallableSignature<R (*)(Args...)> {
  using type = R(std::remove_cvref_t<Args>...);
};

template <class F>
concept DeducibleCallable = requires {
  typename CallableSignature<std::decay_t<F>>::type;
};

}  // namespace detail

template <class Signature>
class Function;

/// A function with its traces. Copies share them. Any number of threads may call one Function at once.
///
///     auto square = td::function([](td::Tensor x) { return td::pow(x, 2); });
///     td::Tensor y = square(x);
template <class R, class... Args>
class Function<R(Args...)> {
 public:
  Function() = default;
  template <class F>
  requires(std::is_invocable_v<F&, Args...> &&
           !std::is_same_v<std::decay_t<F>, Function>) explicit Function(F body, FunctionOptions options = {})
      : body_(std::make_shared<std::function<R(Args...)>>(std::move(body))),
        core_(detail::make_function_core(std::move(options))) {}

  /// Calls it: traces on the first call with a new signature, then runs the compiled plan.
  R operator()(const Args&... arguments, Location where = here()) const {
    if constexpr (std::is_same_v<R, Tensor> && (std::is_same_v<Args, Tensor> && ...)) {
      const std::array<const Tensor*, sizeof...(Args)> list{&arguments...};
      Tensor output;
      if (detail::call_simple(*core_, list, where, output)) return output;
    }
    if (detail::must_run_body()) {
      const detail::InlinedCall call(*core_, where);
      try {
        return (*body_)(arguments...);
      } catch (Error& e) {
        detail::note_call(e, *core_, where);
        throw;
      }
    }
    Flat flat(arguments...);
    std::vector<Tensor> outputs;
    const detail::FunctionTrace* ran =
        detail::call_function(*core_, {flat.tensors, &flat.key, where}, trace_body(arguments...), outputs);
    if constexpr (!std::is_void_v<R>) {
      R result = *static_cast<const R*>(detail::skeleton_of(*ran).get());
      size_t next = 0;
      Structure<R>::visit(result, [&](Tensor& t) { t = outputs[next++]; });
      return result;
    }
  }

  /// Traces and optimizes for such arguments, if that has not happened yet, without running anything.
  void prepare(const Args&... arguments, Location where = here()) const {
    Flat flat(arguments...);
    detail::prepare_function(*core_, {flat.tensors, &flat.key, where}, trace_body(arguments...));
  }

  /// The body, for an eager call beside the graph.
  const std::function<R(Args...)>& body() const { return *body_; }
  int trace_count() const { return detail::trace_count(*core_); }
  TraceInfo trace(int i) const { return detail::trace_info(*core_, i); }
  /// How many traces there are, why each, where, and what each costs.
  std::string explain() const { return detail::explain(*core_); }
  detail::FunctionCore& core() const { return *core_; }

 private:
  /// Arguments taken apart: their tensors, and a key of everything static.
  struct Flat {
    explicit Flat(const Args&... arguments) {
      [[maybe_unused]] StructureWriter writer{&tensors, &key};
      (Structure<Args>::write(arguments, writer), ...);
    }
    std::vector<Tensor> tensors;
    std::string key;
  };

  /// Runs the body on these arguments with symbolic tensors in place of theirs. It refers to the arguments.
  auto trace_body(const Args&... arguments) const {
    return [this, &arguments...](const std::vector<Tensor>& symbolic, std::shared_ptr<void>& skeleton) {
      std::tuple<Args...> copy(arguments...);
      size_t next = 0;
      Structure<std::tuple<Args...>>::visit(copy, [&](Tensor& t) { t = symbolic[next++]; });
      std::vector<Tensor> results;
      if constexpr (std::is_void_v<R>) {
        std::apply(*body_, copy);
      } else {
        auto result = std::make_shared<R>(std::apply(*body_, copy));
        StructureWriter out{&results, nullptr};
        Structure<R>::write(*result, out);
        skeleton = result;
      }
      return results;
    };
  }

  std::shared_ptr<std::function<R(Args...)>> body_;
  std::shared_ptr<detail::FunctionCore> core_;
};

/// Wraps a callable whose parameter types can be deduced. Generic lambdas and overload sets cannot: write
/// `td::Function<td::Tensor(td::Tensor)>(f)`. A class with several call operators, as a model is, may say
/// which one is meant: `as_function()` returns it as a lambda.
template <class F>
auto function(F f, FunctionOptions options = {}) {
  if constexpr (requires { f.as_function(); }) {
    return function(f.as_function(), std::move(options));
  } else {
    static_assert(
        detail::DeducibleCallable<F>,
        "td::function cannot deduce the parameter types of a generic lambda or an overload set; write "
        "td::Function<Tensor(Tensor)>(f)");
    return Function<typename detail::CallableSignature<std::decay_t<F>>::type>(std::move(f),
                                                                               std::move(options));
  }
}

}  // namespace tandem
