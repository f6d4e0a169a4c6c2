#pragma once
// Gradients.

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem {

/// What a gradient is taken with respect to.
class GradientSource {
 public:
  GradientSource(const Tensor& tensor) : tensor_(tensor) {}
  GradientSource(const Variable& variable) : variable_(variable) {}
  bool is_variable() const { return variable_.defined(); }
  const Tensor& tensor() const { return tensor_; }
  const Variable& variable() const { return variable_; }

 private:
  Tensor tensor_;
  Variable variable_;
};

/// What the gradient of a source is that the target does not depend on.
enum class Unconnected { none, zero };

/// How a GradientTape records.
struct TapeOptions {
  bool persistent = false;               ///< allows more than one gradient() call
  bool watch_accessed_variables = true;  ///< trainable variables are watched when read
};

/// How GradientTape::gradient answers.
struct GradientOptions {
  Unconnected unconnected = Unconnected::none;
  /// One weight tensor a target, shaped like it; ones by default.
  std::vector<Tensor> output_gradients = {};
};

class TapeMode;

/// Records operations from its construction on, and differentiates them backwards.
///
///     td::Variable w(3.f);
///     td::GradientTape tape;
///     td::Tensor loss = w * w;
///     td::Tensor dw = tape.gradient(loss, w);   // 6
///
/// Tapes nest; a tape belongs to the thread that made it. A non-persistent tape ends with its gradient()
/// call.
class GradientTape {
 public:
  explicit GradientTape(TapeOptions options = {});
  ~GradientTape();
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  /// Records what is computed from this floating tensor or variable from now on.
  void watch(const GradientSource& source, Location where = here());

  /// d target / d source. The gradient of a source that the target does not depend on is an undefined tensor.
  Tensor gradient(const Tensor& target, const GradientSource& source, GradientOptions options = {},
                  Location where = here());
  /// Gradients for several sources: `auto [dw, db] = tape.gradient(loss, w, b);`
  template <class... Sources>
  requires(sizeof...(Sources) > 1 && (std::is_constructible_v<GradientSource, const Sources&> && ...))
      std::array<Tensor, sizeof...(Sources)> gradient(const Tensor& target, const Sources&... sources) {
    const GradientSource list[] = {GradientSource(sources)...};
    std::array<Tensor, sizeof...(Sources)> result;
    gradients_into(target, list, result);
    return result;
  }
  /// Gradients for a list of sources, as `tape.gradient(loss, model.trainable_variables())`.
  template <class Source>
  std::vector<Tensor> gradient(const Tensor& target, const std::vector<Source>& sources,
                               GradientOptions options = {}, Location where = here()) {
    std::vector<Tensor> result(sources.size());
    gradients_into(
        target, &sources,
        [](const void* list, size_t i) {
          return GradientSource((*static_cast<const std::vector<Source>*>(list))[i]);
        },
        options, where, result);
    return result;
  }
  /// Sum of the targets' gradients for each source.
  std::vector<Tensor> gradients(std::span<const Tensor> targets, std::span<const GradientSource> sources,
                                const GradientOptions& options = {}, Location where = here());

  /// d target / d source for every element of both: shape target.shape + source.shape. It counts as one
  /// gradient() call. Errors: while tracing, a shape that is not known.
  Tensor jacobian(const Tensor& target, const GradientSource& source,
                  Unconnected unconnected = Unconnected::none, Location where = here());

  /// The jacobian of each entry of a batch by itself, where no entry depends on the others': for a target (b,
  /// m...) and a source (b, n...) it has shape (b, m..., n...). One way back for each element of an entry. It
  /// counts as one gradient() call. Errors: a rank below 1, or batches of different sizes.
  Tensor batch_jacobian(const Tensor& target, const GradientSource& source,
                        Unconnected unconnected = Unconnected::none, Location where = here());

  /// Ends recording; resume() continues it. Errors: already so.
  void stop(Location where = here());
  void resume(Location where = here());
  bool recording() const;
  /// Forgets everything recorded so far and every watched source.
  void reset();
  /// Variables watched so far, in order of first read.
  std::vector<Variable> watched_variables() const;

  /// Hides what is computed during its life: `{ auto pause = tape.stop_recording(); ... }`.
  class Pause {
   public:
    explicit Pause(GradientTape& tape);
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    GradientTape& tape_;
    bool paused_;
  };
  Pause stop_recording() { return Pause(*this); }

  // For Tandem's own layers: gradients with given weights, added onto running sums.
  std::vector<Tensor> gradients_onto(std::span<const Tensor> targets, std::span<const Tensor> weights,
                                     std::span<const GradientSource> sources, std::span<const Tensor> sums);

 private:
  void gradients_into(const Tensor& target, std::span<const GradientSource> sources,
                      std::span<Tensor> result);
  void gradients_into(const Tensor& target, const void* sources,
                      GradientSource (*source)(const void*, size_t i), const GradientOptions& options,
                      Location where, std::span<Tensor> result);

  std::unique_ptr<TapeMode> mode_;
};

/// The value of x, through which no gradient flows.
Tensor stop_gradient(const Operand& x);

/// A function's gradient with respect to its first argument: `td::grad(f)(x)`.
template <class F>
auto grad(F f) {
  return [f = std::move(f)](const Tensor& x, const auto&... rest) -> Tensor {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(f(x, rest...), x);
  };
}
/// A function's value, and its gradient with respect to its first argument.
template <class F>
auto value_and_grad(F f) {
  return [f = std::move(f)](const Tensor& x, const auto&... rest) -> std::pair<Tensor, Tensor> {
    GradientTape tape;
    tape.watch(x);
    Tensor value = f(x, rest...);
    Tensor gradient = tape.gradient(value, x);
    return {value, gradient};
  };
}

namespace detail {
/// Throws unless a function whose second derivatives are asked for gives one number.
void check_hessian_value(const Tensor& value, Location where);
}  // namespace detail

/// A function's second derivatives with respect to its first argument, of shape x.shape + x.shape:
/// `td::hessian(f)(x)`. Errors: a value that is no scalar.
template <class F>
auto hessian(F f, Location where = here()) {
  return [f = std::move(f), where](const Tensor& x, const auto&... rest) -> Tensor {
    GradientTape outer;
    outer.watch(x);
    Tensor first;
    {
      GradientTape inner;
      inner.watch(x);
      const Tensor value = f(x, rest...);
      detail::check_hessian_value(value, where);
      first = inner.gradient(value, x, {.unconnected = Unconnected::zero, .output_gradients = {}}, where);
    }
    return outer.jacobian(first, x, Unconnected::zero, where);
  };
}

/// The value of x, whose gradient is an error that says `message`: for results that must not be trained
/// through. `td::prevent_gradient(x, "labels are data")`
Tensor prevent_gradient(const Operand& x, std::string_view message);

/// What a rule returns that gives gradients to variables too: one an argument, and one a variable. Undefined
/// tensors are none.
struct CustomGradients {
  std::vector<Tensor> arguments;
  std::vector<Tensor> variables;
};

/// A value with its own gradient rule, as a custom_gradient body returns it: `backward` maps the gradient of
/// the value to those of the arguments, one each. A body that reads trainable variables gives `backward_all`
/// instead, which is told which variables these are, in order of first read.
struct CustomGradientResult {
  Tensor value;
  std::function<std::vector<Tensor>(const Tensor& output_gradient)> backward = {};
  std::function<CustomGradients(const Tensor& output_gradient, const std::vector<Variable>& variables)>
      backward_all = {};
};

/// Runs `body` on the arguments and differentiates with its rule instead of its operations.
///
///     td::Tensor y = td::custom_gradient(
///         [](std::vector<td::Tensor> x) -> td::CustomGradientResult {
///           return {td::exp(x[0]), [](td::Tensor dy) { return std::vector<td::Tensor>{3 * dy}; }};
///         }, {x});
///
/// Errors: a rule that returns another number of gradients than there are arguments (or variables), or one of
/// another shape; a body that reads trainable variables without backward_all.
Tensor custom_gradient(const std::function<CustomGradientResult(std::vector<Tensor>)>& body,
                       const std::vector<Tensor>& arguments, Location where = here());

/// A function of one tensor whose gradient passes as if it were the identity: no rule of what is inside
/// counts, and variables read inside get none. `auto round = td::grad_pass_through([](td::Tensor x) { return
/// td::round(x); });`
template <class F>
auto grad_pass_through(F f) {
  return [f = std::move(f)](const Tensor& x) -> Tensor {
    return custom_gradient(
        [&](std::vector<Tensor> a) -> CustomGradientResult {
          return {f(a[0]), {}, [](const Tensor& dy, const std::vector<Variable>& variables) {
                    return CustomGradients{{dy}, std::vector<Tensor>(variables.size())};
                  }};
        },
        {x});
  };
}

}  // namespace tandem
