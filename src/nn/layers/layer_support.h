#pragma once
// What the bodies of layers share.

#include <atomic>
#include <mutex>
#include <string_view>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn::detail {

/// What a layer makes at its first call, once even if two threads make that call. A copy is empty: a cloned
/// layer makes its own.
template <class T>
class Once {
 public:
  Once() = default;
  Once(const Once&) {}
  Once& operator=(const Once&) = delete;

  template <class F>
  const T& get(F&& make) {
    if (!made_.load(std::memory_order_acquire)) {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!made_.load(std::memory_order_relaxed)) {
        value_ = make();
        made_.store(true, std::memory_order_release);
      }
    }
    return value_;
  }

 private:
  std::atomic<bool> made_ = false;
  std::mutex mutex_;
  T value_;
};

/// A body whose constructor may refuse its arguments: errors name the layer and the user's line.
template <class Body, class... Arguments>
std::shared_ptr<Body> make_body(const char* kind, Location where, Arguments&&... arguments) {
  return in_call(snake_case(kind), where,
                 [&] { return make_clonable<Body>(std::forward<Arguments>(arguments)...); });
}

/// Throws unless x is floating.
void check_floating(const Tensor& x);

/// A trainable parameter.
Variable make_parameter(ModuleState& state, const char* name, const Shape& shape, DType dtype,
                        const Initializer& initializer, const Regularizer& regularizer = {},
                        const Constraint& constraint = {});

/// Where a layer's random numbers come from: a variable "seed_state" of its own where it has a seed, else
/// td::random::generator().
class NoiseSource {
 public:
  explicit NoiseSource(std::optional<uint64_t> seed) : seed_(seed) {}
  const Variable& generator(ModuleState& state);

 private:
  std::optional<uint64_t> seed_;
  Once<Variable> generator_;
};

/// A module of this name inside the layer, which has no use but to name parameters.
std::shared_ptr<ModuleState> part_of(ModuleState& state, const char* name);

/// Adds a penalty of the layer's results, divided by the batch's size, to the loss.
void penalize_activity(const Layer& layer, const Regularizer& regularizer);

/// Where the channels are: true for "channels_last", false for "channels_first". Errors: another word.
bool is_channels_last(std::string_view data_format);
/// Throws unless x has a batch, channels and so many spatial dimensions; says what the layout is.
void check_layout(const Tensor& x, int spatial, bool channels_last);
/// The channels from last place to the one after the batch, and back. Views.
Tensor channels_to_front(const Tensor& x);
Tensor channels_to_back(const Tensor& x);

/// The activation of y, whose channels come first, with the channels where they belong. Where it can it is
/// applied before they move: layers that go on channels first then find everything in its place.
Tensor activated(const ActivationFunction& activation, const Tensor& y, bool channels_last);

/// One number for each of the spatial dimensions. Errors: another count, a number below `least`.
Dims spread(const PerAxis& numbers, int spatial, std::string_view what, int64_t least = 1);

/// Throws unless `word` is one of those allowed; `what` names it.
void check_word(std::string_view what, std::string_view word,
                std::initializer_list<std::string_view> allowed);

}  // namespace tandem::nn::detail
