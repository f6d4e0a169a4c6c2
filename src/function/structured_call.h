#pragma once
// A compiled function's call as an op: how a tape outside goes back through it.

#include "compiler/compiled_graph.h"
#include "function/control_flow.h"

namespace tandem {

/// A graph and, made when a tape first asks, its forward part that keeps what the backward part needs, and
/// that backward part: both graphs of their own, compiled like any other.
class StructuredCall final : public RunnableBody, public std::enable_shared_from_this<StructuredCall> {
 public:
  /// `recorded` must outlive nothing: it is copied.
  StructuredCall(Graph recorded, PipelineOptions options, CompiledGraph* compiled = nullptr);

  std::vector<std::shared_ptr<detail::VariableImpl>> variables() const override { return variables_; }
  bool has_effects() const override;
  std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs, const std::vector<bool>& needed,
                                            Location where, Tensors& outputs) override;
  /// Runs without recording.
  void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) override;
  View view() const override { return {Kind::call, {&recorded_}}; }
  /// Of the results; sizes may be symbolic.
  std::vector<Spec> output_specs() const;
  int output_count() const { return static_cast<int>(recorded_.outputs.size()); }

 private:
  friend class CallBackward;

  /// The backward graph for one pattern of gradients that arrive and sums that exist already.
  struct BackwardGraph {
    std::shared_ptr<StructuredCall> call;
    std::vector<int> residuals;  // which of the forward part's residuals it takes, in order
  };
  /// The forward graph for one pattern of needed gradients.
  struct ForwardGraph {
    std::shared_ptr<StructuredCall> call;
    std::vector<ValueRef> residuals;  // values of the replayed graph, by residual index
    std::map<std::string, BackwardGraph> backward;
  };
  ForwardGraph& forward_for(const std::vector<bool>& needed);
  const BackwardGraph& backward_for(const std::vector<bool>& needed, const std::vector<bool>& arriving,
                                    const std::vector<bool>& summed);

  /// The same call for inputs of which some are one tensor: `first[i]` is where input i stands first.
  std::shared_ptr<StructuredCall> merged_for(const std::vector<int>& first);

  Graph recorded_;
  PipelineOptions options_;
  CompiledGraph* compiled_;  // the owner's, if it has one
  std::unique_ptr<CompiledGraph> own_compiled_;
  std::vector<std::shared_ptr<detail::VariableImpl>> variables_;
  std::mutex mutex_;
  std::map<std::vector<bool>, ForwardGraph> forwards_;
  std::map<std::vector<int>, std::shared_ptr<StructuredCall>> merged_;
};

/// Applies the call through the current mode: `Call` is the op.
void apply_call(const std::shared_ptr<StructuredCall>& call, std::span<const Tensor> inputs, Location where,
                Tensors& outputs);

}  // namespace tandem
