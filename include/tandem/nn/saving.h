#pragma once
// Whole models in files: what they predict as plain ONNX, and with it what training on needs.

#include <string>

#include "tandem/nest.h"

namespace tandem::nn {

class Model;

/// How a model is saved.
struct ModelSaveOptions {
  /// With the steps that train and evaluate it, and the state of optimizer, metrics and random generator.
  bool training = true;
  /// What the model takes, for models that neither have an nn::Input nor were trained: `td::spec({-1, 784})`.
  NestOf<Spec> inputs = {};
  /// Writes each operation's source line into its doc_string.
  bool locations = true;
};

/// How a model is loaded.
struct ModelLoadOptions {
  /// Compiled as it was saved. False: only the model; it may be compiled anew.
  bool compile = true;
  /// Sets the program's random generator (td::random::generator) to where it stood.
  bool random_state = true;
};

/// Writes a model as an ONNX file of opset 17 whose graph predicts, in any runtime: weights are initializers
/// under the names of Module::named_parameters. The file's training_info holds the forward pass in training
/// and, for a compiled model that has seen a batch, the steps of training and of evaluation as they are then,
/// losses, metrics and optimizer included, whatever code they came from.
///
///     model.save("digits.onnx");
///     nn::Model again = nn::load_model("digits.onnx");   // in a program that never saw the code
///     again.fit(images, labels, {.epochs = 10, .initial_epoch = 5});
///
/// A compiled model that has seen no batch is saved without its steps, which a line on standard error says.
/// Errors: unknown input shapes; what opset 17 cannot express; (io) what cannot be written. The file is
/// replaced as a whole or not at all.
void save_model(const Model& model, const std::string& path, ModelSaveOptions options = {},
                Location where = here());

/// Reads a file of save_model: the model predicts the same bits in either mode, and fit, evaluate and
/// train_on_batch go on from where it stood, with batches of any size. Its optimizer is the saved step's: it
/// tells and takes its state and its learning rate, and can do nothing else. After compile, or loaded with
/// `{.compile = false}`, the model trains as any other; but masks of its outputs only the saved steps know.
/// Errors (io): no such file, a damaged one, or an ONNX file of other origin, which td::load
/// runs; (invalid_argument): an operation that is unknown here, by name. Then nothing has changed.
Model load_model(const std::string& path, ModelLoadOptions options = {}, Location where = here());

}  // namespace tandem::nn
