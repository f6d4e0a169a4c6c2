#pragma once
// What compile was given, matched to the model's outputs: losses and metrics by output.

#include <atomic>
#include <memory>
#include <mutex>

#include "nn/training/outputs.h"
#include "tandem/nn/compile.h"

namespace tandem::nn::detail {

/// A mean over examples that a graph may update. In float64, so that sums over many examples stay exact
/// enough to give one number whatever the batches.
class RunningMean {
 public:
  explicit RunningMean(const std::string& name);

  void add(const Tensor& sum, const Tensor& count) const;
  /// 0 before the first example.
  Tensor result() const;
  void reset() const;
  std::vector<Variable> variables() const { return {sum_, count_}; }

 private:
  Variable sum_, count_;
};

/// Of one output.
struct OutputPlan {
  std::string prefix;  ///< "price_" where there are several outputs
  Loss loss;
  double loss_weight = 1;
  std::optional<RunningMean> loss_mean;  ///< where there are several outputs
  struct Tracked {
    std::string name;
    Metric metric;
    bool weighted;
  };
  std::vector<Tracked> metrics;
};

/// Built when the first batch shows what the outputs are.
class Compiled {
 public:
  Compiled(CompileOptions options, Location where);

  const CompileOptions& options() const { return options_; }
  Location where() const { return where_; }

  /// Weighted sum of the outputs' losses; undefined where no output has one.
  Tensor loss(const Model& model, const Batch& batch, const Nest& predictions) const;
  void track_loss(const Tensor& loss, const Batch& batch) const;
  void update_metrics(const Model& model, const Batch& batch, const Nest& predictions) const;
  StepResults results() const;
  void reset_metrics() const;
  /// The state behind results(), once the first batch has shown what it is.
  std::vector<Variable> metric_variables() const;

 private:
  struct Matched;
  Matched match(const Model& model, const Batch& batch, const Nest& predictions) const;
  const std::vector<OutputPlan>& plans_for(const OutputNames& outputs) const;

  CompileOptions options_;
  Location where_;
  RunningMean loss_mean_;
  mutable std::atomic<bool> has_loss_ = false;  ///< a step has one
  mutable std::mutex mutex_;
  mutable std::optional<std::vector<OutputPlan>> plans_;
};

}  // namespace tandem::nn::detail
