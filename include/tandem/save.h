#pragma once
// Functions and models as ONNX files, which run without the code that made them.

#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "tandem/function.h"
#include "tandem/tensor.h"

namespace tandem {

/// How td::save writes.
struct SaveOptions {
  /// Names of the inputs and outputs, in order; empty: "input", "input_1", ... and "output", "output_1", ...
  std::vector<std::string> inputs = {};
  std::vector<std::string> outputs = {};
  std::string name = {};  ///< of the graph; empty: the function's
  /// Writes each operation's source line into its doc_string.
  bool locations = true;
  /// Refuses what other runtimes could not run: operations of Tandem's own domain without a body of standard
  /// ones. Otherwise these are written without a body, and td::print and td::check are left out.
  bool strict = false;
};

namespace detail {

/// What stands for one argument when a function is saved: for a tensor its spec is enough.
template <class T>
struct SavedArgument {
  using type = T;
  static const T& value(const T& v) { return v; }
};
template <>
struct SavedArgument<Tensor> {
  struct type {
    type(const Spec& spec) : given(spec) {}
    type(const Tensor& tensor) : given(tensor.spec()) {}
    Spec given;
  };
  static Tensor value(const type& v);
};

/// Collects the specs of a call's tensors: unknown sizes (-1) where `type` was given as such a spec.
template <class T>
void add_specs(const typename SavedArgument<T>::type& argument, std::vector<Spec>& specs) {
  if constexpr (std::is_same_v<T, Tensor>) {
    specs.push_back(argument.given);
  } else {
    std::vector<Tensor> tensors;
    StructureWriter writer{&tensors, nullptr};
    Structure<T>::write(argument, writer);
    for (const Tensor& t : tensors) specs.push_back(t.spec());
  }
}

template <class F>
inline constexpr bool is_function = false;
template <class Signature>
inline constexpr bool is_function<Function<Signature>> = true;

FunctionOptions options_for_saving(const FunctionCore& core, std::vector<Spec> specs);
/// Writes the only trace of a function.
void save_function(const FunctionCore& core, const std::string& path, const SaveOptions& options,
                   Location where);

}  // namespace detail

/// A file's path, and where in the user's code it was named.
struct SavePath {
  SavePath(const char* path, Location where = here()) : path(path), where(where) {}
  SavePath(std::string path, Location where = here()) : path(std::move(path)), where(where) {}
  std::string path;
  Location where;
};

namespace detail {

template <class R, class... Args, class... Given>
void save_as(const Function<R(Args...)>& function, const SavePath& path, const SaveOptions& options,
             const Given&... given) {
  if constexpr (sizeof...(Given) == 0 && sizeof...(Args) != 0) {
    save_function(function.core(), path.path, options, path.where);
  } else {
    static_assert(sizeof...(Given) == sizeof...(Args),
                  "td::save needs one spec, tensor or value for each argument of the function");
    std::vector<Spec> specs;
    (add_specs<Args>(given, specs), ...);
    // Its own trace: the specs may be wider than those of the function's calls.
    const Function<R(Args...)> saved(function.body(), options_for_saving(function.core(), std::move(specs)));
    saved.prepare(SavedArgument<Args>::value(given)..., path.where);
    save_function(saved.core(), path.path, options, path.where);
  }
}

template <class F>
decltype(auto) as_function(const F& f) {
  if constexpr (is_function<F>)
    return (f);
  else
    return tandem::function(f);
}

}  // namespace detail

/// Writes a function, a model or a callable whose parameter types can be deduced as an ONNX model of
/// opset 17. Each tensor argument is given as its spec (-1: a size of any value) or as an example; other
/// arguments are fixed at the values given. Without any, the function must have been called, and always with
/// one signature.
///
/// Variables that the function reads become inputs with their present values as defaults; those that it
/// assigns have their new values as further outputs, and `metadata_props` pairs them, so that any runtime can
/// go on by feeding them back. td::load gives real Variables.
///
///     td::save(step, "step.onnx", td::spec({32, 784}), td::spec({32}, td::int64));
///     td::save(step, "step.onnx", td::spec({-1, 784}), td::spec({-1}, td::int64), {.strict = true});
///
/// Errors: operations that opset 17 cannot express; (io) what cannot be written. The file is replaced as a
/// whole or not at all.
template <class F, class... Given>
void save(const F& f, const SavePath& path, const Given&... given) {
  detail::save_as(detail::as_function(f), path, {}, given...);
}

// Options in braces have no type that a list of any length could deduce: one declaration a number of
// arguments.
template <class F>
void save(const F& f, const SavePath& path, const SaveOptions& options) {
  detail::save_as(detail::as_function(f), path, options);
}
template <class F, class A>
void save(const F& f, const SavePath& path, const A& a, const SaveOptions& options) {
  detail::save_as(detail::as_function(f), path, options, a);
}
template <class F, class A, class B>
void save(const F& f, const SavePath& path, const A& a, const B& b, const SaveOptions& options) {
  detail::save_as(detail::as_function(f), path, options, a, b);
}
template <class F, class A, class B, class C>
void save(const F& f, const SavePath& path, const A& a, const B& b, const C& c, const SaveOptions& options) {
  detail::save_as(detail::as_function(f), path, options, a, b, c);
}

}  // namespace tandem
