#pragma once
// Models as lists of layer calls.

#include <atomic>

#include "nn/value.h"

namespace tandem::nn::detail {

/// What lies between the inputs and the outputs of a functional model.
class FunctionalBody final : public LayerBody {
 public:
  FunctionalBody(Values inputs, Values outputs);

  Tensor call(ModuleState& state, const Tensor& x) override;
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override;
  Nest call_nest(ModuleState& state, const Nest& inputs) override;
  bool is_composite() const override { return true; }
  bool autocasts() const override { return false; }
  std::shared_ptr<LayerBody> clone() const override;

  /// In order of their first call, each once.
  std::vector<Layer> layers() const override;
  std::vector<std::string> output_names() const override;
  const Values& inputs() const { return inputs_; }
  const Values& outputs() const { return outputs_; }
  std::optional<Values> declared_inputs() const override { return inputs_; }
  std::optional<Values> declared_outputs() const override { return outputs_; }

 private:
  struct Step {
    Layer layer;
    CallForm form;
    Values structure;  // of the arguments of a call on a structure
    CallOptions options;
    Location where;
    std::vector<int> arguments, results;  // slots
    std::vector<int> last_uses;           // slots that nobody reads after this step
  };
  /// One tensor for each output, from one for each input.
  std::vector<Tensor> run(std::vector<Tensor> inputs) const;

  Values inputs_, outputs_;
  std::vector<Step> steps_;
  std::vector<int> output_slots_;
  int slot_count_ = 0;
  std::atomic<bool> warned_ = false;
};

/// Layers one after another.
class SequentialBody final : public LayerBody {
 public:
  Tensor call(ModuleState& state, const Tensor& x) override;
  bool is_composite() const override { return true; }
  bool autocasts() const override { return false; }
  std::shared_ptr<LayerBody> clone() const override;

  std::vector<Layer> layers() const override { return layers_; }
  std::optional<Values> declared_inputs() const override;
  std::optional<Values> declared_outputs() const override;

  /// Sequential fills these.
  std::vector<Layer> layers_;
  std::optional<Value> input, output;  ///< as far as it is described
};

/// Remembers a described model's inputs and outputs as those of its first call.
void note_described(ModuleState& model, const Values& inputs, const Values& outputs);

/// Makes layers members of a model, under their own names or, of those without one, "dense", "dense_1" ...
void adopt_layer(ModuleState& model, const Layer& layer, Location where);

}  // namespace tandem::nn::detail
