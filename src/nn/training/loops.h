#pragma once
// The loops of fit, evaluate and predict.

#include "nn/training/batch_source.h"
#include "nn/training/trainer.h"
#include "tandem/nn/callback.h"

namespace tandem::nn::detail {

using Callbacks = std::vector<std::shared_ptr<Callback>>;

History run_fit(const Model& model, Trainer& trainer, const TrainingData& data, const FitOptions& options,
                const Call& call);
Logs run_evaluate(const Model& model, Trainer& trainer, const TrainingData& data,
                  const EvaluateOptions& options, const Call& call);
Nest run_predict(const Model& model, Trainer& trainer, const TrainingData& data,
                 const EvaluateOptions& options, const Call& call);

/// The scalars among a step's results.
void read_results(const StepResults& results, Logs& logs, const std::string& prefix = {});

}  // namespace tandem::nn::detail
