#pragma once
// Layers called for what can be learned from it.

#include <string>

#include "nn/module_state.h"
#include "tandem/nn/layer.h"

namespace tandem::nn::detail {

/// While one lives, this thread's calls of layers keep no losses, and each result passes by here.
class Probe {
 public:
  Probe();
  virtual ~Probe();
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  virtual void see(const ModuleState&, const LayerBody&, const Tensor&) {}

 private:
  Probe* outer_;
};
extern thread_local Probe* current_probe;

/// What one call of a layer costs.
struct CallCost {
  int64_t flops = -1;       ///< -1: unknown before a run
  int64_t peak_bytes = -1;  ///< of what is between inputs and results, as a graph; -1: unknown
};
/// The cost for one example of the kind of the first call; unknown where the layer was not called, or its
/// inputs have other sizes that vary.
CallCost cost_of(const ModuleState& state, bool with_memory);

/// What is wrong in a call of a layer whose results are not finite: runs it eagerly and names the first layer
/// inside whose result has an infinity or NaN, or what it was given; empty when all is finite. Variables are
/// as before afterwards.
///
///     "layer model/log: 3 of its 32 values are NaN; the first call was made at net.cpp:12"
std::string first_bad_layer(const Layer& layer, const Nest& inputs, bool training);

}  // namespace tandem::nn::detail
