#pragma once
// What the metrics of this folder share.

#include "tandem/nn/metric.h"

namespace tandem::nn::detail {

class BuiltinBody : public MetricBody {
 public:
  using MetricBody::MetricBody;
  bool is_builtin() const override { return true; }
};

/// The mean of what it is given in place of predictions.
class MeanBody : public BuiltinBody {
 public:
  using BuiltinBody::BuiltinBody;
  void update(const Tensor& values, const Tensor& targets, const Tensor& weights) override;
  Tensor result() override;

 private:
  Variable total_ = state("total"), count_ = state("count");
};

/// sum / count; 0 where there is nothing.
Tensor quotient(const Tensor& sum, const Tensor& count);
/// Weights (or all ones) as float64 in the shape of the values.
Tensor full_weights(const Tensor& weights, const Tensor& values);

/// The metric of this name, and all names of metrics that are no losses.
std::optional<Metric> find_metric(const std::string& name);
std::string metric_names();

}  // namespace tandem::nn::detail
