#pragma once
// Models: functional, sequential, or around a class of your own.

#include <initializer_list>

#include "tandem/nn/compile.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/logs.h"
#include "tandem/nn/saving.h"

namespace tandem {
class GradientTape;
}

namespace tandem::nn {

/// Options of models.
struct ModelOptions {
  std::string name = {};
};

/// How a model evaluates.
enum class Mode {
  automatic,  ///< calls eagerly; fit, evaluate and predict as graphs
  eager,      ///< everything operation by operation: for a debugger, and for models that look at values
  graph,      ///< everything as graphs, calls too
};

namespace detail {
class Trainer;
}

/// A network that can be trained.
///
///     auto input = nn::Input({28, 28});
///     auto h = nn::Dense(256, "relu")(nn::Flatten()(input));
///     nn::Model model(input, nn::Dense(10, "softmax")(h));
///     model.compile({.optimizer = nn::SGD(0.1), .loss = "sparse_categorical_crossentropy", .metrics =
///     {"accuracy"}}); model.fit(images, labels, {.epochs = 5, .validation_split = 0.1}); td::Tensor
///     probabilities = model(images);
///
/// It is a layer too, so that models nest. Operations inside keep the lines that built the model. Copies
/// share everything. Every mode gives the same bits.
class Model : public Layer {
 public:
  /// All that lies between inputs and outputs. Errors: an output that needs an input which is not listed, two
  /// layers of one name.
  Model(const Values& inputs, const Values& outputs, ModelOptions options = {}, Location where = here());
  /// A model of a class of your own, or of one layer.
  template <class M>
  requires(std::is_constructible_v<Layer, M> && !std::derived_from<M, Model>) explicit Model(M module)
      : Layer(std::move(module)) {
    make_trainer();
  }

  using Layer::operator();
  /// One tensor in, one out; as a graph where set_mode says so.
  Tensor operator()(const Tensor& x, CallOptions options = {}, Location where = here()) const;
  Nest operator()(const Nest& x, CallOptions options = {}, Location where = here()) const;

  /// The layers called directly in this model, in order.
  std::vector<Layer> layers() const;
  /// One of them, by name; "inner/dense" is inside another model. Errors: no such layer.
  Layer layer(const std::string& name, Location where = here()) const;
  /// By number; negative ones count from the end.
  Layer layer(int index, Location where = here()) const;

  /// How the model evaluates from now on; nothing else changes.
  void set_mode(Mode mode) const;
  Mode mode() const;

  /// Says how to train. The optimizer's state begins anew unless it is the same optimizer. Errors: neither a
  /// loss nor metrics.
  void compile(CompileOptions options, Location where = here()) const;
  bool is_compiled() const;
  /// Trains on examples and targets, whose first dimension counts them. Random order and dropout follow
  /// td::random::seed. Errors: not compiled, counts that differ or are 0, a split that leaves nothing, a loss
  /// that is not finite.
  History fit(const Nest& x, const Nest& y, FitOptions options = {}, Location where = here()) const;
  History fit(const TrainingData& data, FitOptions options = {}, Location where = here()) const;
  /// Loss and metrics in inference, as means over all examples. Errors: not compiled.
  Logs evaluate(const Nest& x, const Nest& y, EvaluateOptions options = {}, Location where = here()) const;
  Logs evaluate(const TrainingData& data, EvaluateOptions options = {}, Location where = here()) const;
  /// The outputs for all examples, batch by batch. Errors: given one tensor, a model of several outputs.
  Tensor predict(const Tensor& x, EvaluateOptions options = {}, Location where = here()) const;
  Nest predict(const Nest& x, EvaluateOptions options = {}, Location where = here()) const;
  Nest predict(const TrainingData& data, EvaluateOptions options = {}, Location where = here()) const;

  /// One step on one batch: the loss before its update, and the metrics of this batch alone.
  Logs train_on_batch(const Nest& x, const Nest& y, const Nest& sample_weight = {},
                      Location where = here()) const;
  /// The same measures without an update.
  Logs test_on_batch(const Nest& x, const Nest& y, const Nest& sample_weight = {},
                     Location where = here()) const;
  /// What predict gives for one batch.
  Nest predict_on_batch(const Nest& x, Location where = here()) const;

  /// Ends the fit, the evaluation or the prediction in progress after the present batch. From callbacks.
  void stop_training() const;
  void stop_evaluating() const;
  void stop_predicting() const;

  // A class derived from Model may override the following; they are traced like any function, and copies of
  // the object must not lose what they need. The options of compile take functions for the same purpose.

  /// One step of training. Its results are shown and stand in the history; see track_loss and
  /// compute_metrics for those of the base.
  virtual StepResults train_step(const Batch& batch) const;
  /// One step of evaluation.
  virtual StepResults test_step(const Batch& batch) const;
  /// One step of prediction.
  virtual Nest predict_step(const Nest& x) const;
  /// The scalar that training makes small: the losses of the outputs with their weights, and what layers
  /// added.
  virtual Tensor compute_loss(const Batch& batch, const Nest& predictions, bool training) const;

  // What steps are written with.

  /// The outputs for a batch, in training or in inference.
  Nest outputs_for(const Nest& x, bool training) const;
  /// Moves the trainable variables by the gradients of a loss that `tape` has watched; nothing when all are
  /// frozen.
  void minimize(const Tensor& loss, GradientTape& tape) const;
  /// Takes a batch's loss into the mean that is reported as "loss".
  void track_loss(const Tensor& loss, const Batch& batch) const;
  /// Makes a metric the model's own: it is reset and reported with the compiled ones, after them, and its
  /// updates are up to the steps. Returns it.
  Metric add_metric(const Metric& metric) const;
  /// Takes a batch into the compiled metrics; the results of all so far, "loss" first.
  StepResults compute_metrics(const Batch& batch, const Nest& predictions) const;
  /// The optimizer of compile. Errors: not compiled with one.
  const Optimizer& optimizer() const;

  /// As save_model: `model.save("digits.onnx"); nn::Model again = nn::load_model("digits.onnx");`
  void save(const std::string& path, ModelSaveOptions options = {}, Location where = here()) const {
    save_model(*this, path, std::move(options), where);
  }

  // For Tandem's own code.
  const std::shared_ptr<detail::Trainer>& trainer() const { return trainer_; }

  Model(const Model& other);
  Model(Model&&) = default;
  Model& operator=(const Model&) = default;
  Model& operator=(Model&&) = default;
  virtual ~Model() = default;

 protected:
  Model(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body);
  /// After the layers changed: graphs of before no longer hold.
  void forget_graphs() const;

 private:
  void make_trainer();

  std::shared_ptr<detail::Trainer> trainer_;
};

/// An entry of a Sequential: a layer, a module with a call operator, or, first, an Input.
class SequentialItem {
 public:
  template <class M>
  requires(std::is_constructible_v<Layer, M>) SequentialItem(M module) : layer_(Layer(std::move(module))) {}
  SequentialItem(const Value& input) : input_(input) {}
  const std::optional<Layer>& layer() const { return layer_; }
  const std::optional<Value>& input() const { return input_; }

 private:
  std::optional<Layer> layer_;
  std::optional<Value> input_;
};

/// Layers one after another. With an Input first it has its parameters at once, else from its first call on.
///
///     nn::Sequential model({nn::Flatten(), nn::Dense(128, "relu"), nn::Dense(10)});
class Sequential : public Model {
 public:
  explicit Sequential(std::initializer_list<SequentialItem> items = {}, ModelOptions options = {},
                      Location where = here());
  /// Appends a layer, before or after the first call. Errors: an Input that is not first, two layers of one
  /// name.
  Sequential& add(SequentialItem item, Location where = here());
  /// Takes the last layer away. Errors: there is none.
  Sequential& pop(Location where = here());
  /// Makes the parameters, as if an Input came first; the first dimension is the batch. Errors: a shape that
  /// does not fit the Input there is.
  void build(const Shape& input_shape, DType dtype = DType::f32, Location where = here()) const;

 private:
  void note_change();
  void remove_last();
};

}  // namespace tandem::nn
