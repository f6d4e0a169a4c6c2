#pragma once
// What the parts of a model's file are called, for who writes and who reads them.

namespace tandem::nn::detail::parts {

// Programs beside the graph that predicts.
inline constexpr const char* forward = "forward";        ///< in training: the outputs, then the added losses
inline constexpr const char* train_step = "train_step";  ///< x, y, weights: the results, then the loss
inline constexpr const char* test_step = "test_step";    ///< the same
inline constexpr const char* reset_metrics = "reset_metrics";  ///< only assigns
inline constexpr const char* learning_rate = "learning_rate";  ///< the rate of the next update
inline constexpr const char* finish = "finish";                ///< what the optimizer does at the end of fit
// + a variable's name: of its value, the term of the loss, and what optimizers make of it.
inline constexpr const char* penalty = "penalty/";
inline constexpr const char* constraint = "constraint/";

// Roles of variables.
inline constexpr const char* trainable = "trainable";
inline constexpr const char* fixed = "fixed";
inline constexpr const char* optimizer = "optimizer";
inline constexpr const char* generator = "generator";

// Metadata.
inline constexpr const char* name = "tandem.model.name";
inline constexpr const char* inputs = "tandem.model.inputs";              ///< a form
inline constexpr const char* outputs = "tandem.model.outputs";            ///< a form
inline constexpr const char* output_names = "tandem.model.output_names";  ///< where the model has its own
inline constexpr const char* module = "tandem.module.";        ///< + path: its class, and whether frozen
inline constexpr const char* batch = "tandem.training.batch";  ///< a form: [x, y, weights]
inline constexpr const char* train_results = "tandem.training.results";
inline constexpr const char* test_results = "tandem.evaluation.results";
inline constexpr const char* optimizer_name = "tandem.optimizer.name";
inline constexpr const char* optimizer_iterations = "tandem.optimizer.iterations";  ///< a variable's name
inline constexpr const char* optimizer_rate =
    "tandem.optimizer.learning_rate";  ///< one, unless there is a schedule

}  // namespace tandem::nn::detail::parts
