#pragma once
// Models as lists of layer calls.

#include "nn/value.h"

namespace tandem::nn::detail {

/// What lies between the inputs and the outputs of a functional model.
class FunctionalBody final : public LayerBody {
 public:
  FunctionalBody(const std::vector<Value>& inputs, const std::vector<Value>& outputs);

  Tensor call(ModuleState& state, const Tensor& x) override;
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override;
  bool is_composite() const override { return true; }

  /// In order of their first call, each once.
  std::vector<Layer> layers() const override;

 private:
  struct Step {
    Layer layer;
    CallOptions options;
    Location where;
    std::vector<int> arguments, results;  // slots
    std::vector<int> last_uses;           // slots that nobody reads after this step
  };

  std::vector<Value> inputs_;
  std::vector<Step> steps_;
  std::vector<int> outputs_;
  int slot_count_ = 0;
};

/// Layers one after another.
class SequentialBody final : public LayerBody {
 public:
  Tensor call(ModuleState& state, const Tensor& x) override;
  bool is_composite() const override { return true; }

  std::vector<Layer> layers() const override { return layers_; }

  /// Sequential fills these.
  std::vector<Layer> layers_;
  std::optional<Value> input, output;  ///< as far as it is described
};

/// Makes layers members of a model, under their own names or, of those without one, "dense", "dense_1" ...
void adopt_layer(ModuleState& model, const Layer& layer, Location where);

/// Errors: a tensor that does not fit the spec of an input, which is number `index` of `count`.
void check_input(const Value& input, size_t index, size_t count, const Tensor& x);

}  // namespace tandem::nn::detail
