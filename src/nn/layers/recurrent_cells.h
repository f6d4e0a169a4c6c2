#pragma once
// What recurrent layers know of the cells.

#include "nn/layers/layer_support.h"
#include "tandem/nn/layers/recurrent.h"

namespace tandem::nn::detail {

struct CellWeights {
  Variable kernel, recurrent, bias;
  int64_t features = 0;
};

/// What is dropped at every step of one call; undefined: nothing.
struct StepMasks {
  Tensor input, state;
};

/// One of Tandem's cells. Its product with the input can be had for all steps at once.
class CellBody : public LayerBody {
 public:
  CellBody(int64_t units, int gates, int states, CellOptions options);

  /// {x, states...} to {output, next states...}.
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) final;
  Tensor call(ModuleState& state, const Tensor& x) final;

  std::vector<int64_t> state_sizes() const {
    return std::vector<int64_t>(static_cast<size_t>(states_), units_);
  }
  /// The weights for inputs like x, (..., features).
  const CellWeights& weights_for(ModuleState& state, const Tensor& x);
  /// What a call drops; x is (batch, features).
  StepMasks draw_masks(ModuleState& state, const Tensor& x);
  /// The input's share of the gates, (..., gates * units), of x, (..., features).
  Tensor share_of(const CellWeights& w, const Tensor& x) const;
  /// What every step of a call needs of the weights.
  virtual std::vector<Tensor> step_weights(const CellWeights& w) const { return {w.recurrent}; }
  /// From a step's share and the states to the next states, of which the first is the output; `w` comes from
  /// step_weights.
  virtual std::vector<Tensor> step(const std::vector<Tensor>& w, const Tensor& share,
                                   const std::vector<Tensor>& states, const StepMasks& masks) const = 0;

 protected:
  virtual Shape bias_shape() const { return {gates_ * units_}; }
  virtual Initializer first_bias() const { return options_.bias_initializer; }
  /// The part of the bias that belongs to the input's share.
  virtual Tensor input_bias(const Tensor& bias) const { return bias; }
  static Tensor kept(const Tensor& h, const StepMasks& masks);

  CellOptions options_;
  int64_t units_;

 private:
  CellWeights build(ModuleState& state, const Tensor& x) const;

  int gates_, states_;
  Once<CellWeights> weights_;
  NoiseSource noise_;
};

}  // namespace tandem::nn::detail
