#pragma once
// Models: functional, sequential, or around a class of your own.

#include <initializer_list>

#include "tandem/nn/layer.h"
#include "tandem/nn/loss.h"
#include "tandem/nn/metric.h"
#include "tandem/nn/optimizer.h"

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

/// What training needs to know.
struct CompileOptions {
  std::optional<Optimizer> optimizer = {};
  Loss loss = {};
  std::vector<Metric> metrics = {};
};

/// Options of Model::fit.
struct FitOptions {
  int64_t batch_size = 32;
  int epochs = 1;
  /// The last share of the examples is held back and evaluated after each epoch.
  double validation_split = 0;
  /// Examples and targets to evaluate after each epoch, in place of a split.
  std::optional<std::pair<Tensor, Tensor>> validation_data = {};
  /// Takes the examples in another random order each epoch.
  bool shuffle = true;
  /// Shows progress on standard output.
  bool verbose = true;
};

/// Options of Model::evaluate and Model::predict.
struct EvaluateOptions {
  int64_t batch_size = 32;
};

/// Named results in order: "loss", then the metrics as they were named. `logs["accuracy"]`
class Logs {
 public:
  /// Errors: no result of this name.
  double operator[](const std::string& name) const;
  const std::vector<std::pair<std::string, double>>& entries() const { return entries_; }
  void add(std::string name, double value) { entries_.emplace_back(std::move(name), value); }

 private:
  std::vector<std::pair<std::string, double>> entries_;
};

/// `loss: 0.4212 - accuracy: 0.8731`.
std::ostream& operator<<(std::ostream& out, const Logs& logs);

/// What fit has seen.
struct History {
  std::vector<Logs> epochs;        ///< with "val_loss" and so on where there is validation
  std::vector<float> step_losses;  ///< before each step's update
  /// One result over the epochs. Errors: no result of this name.
  std::vector<double> operator[](const std::string& name) const;
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

  /// The layers called directly in this model, in order.
  std::vector<Layer> layers() const;

  /// How the model evaluates from now on; nothing else changes.
  void set_mode(Mode mode) const;
  Mode mode() const;

  /// Says how to train. The optimizer's state begins anew unless it is the same optimizer.
  void compile(CompileOptions options, Location where = here()) const;
  /// Trains on examples and targets, whose first dimension counts them. Random order and dropout follow
  /// td::random::seed. Errors: not compiled, counts that differ or are 0, a split that leaves nothing.
  History fit(const Tensor& x, const Tensor& y, FitOptions options = {}, Location where = here()) const;
  /// Loss and metrics in inference, as means over all examples. Errors: not compiled with a loss or metrics.
  Logs evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options = {},
                Location where = here()) const;
  /// The outputs for all examples, batch by batch.
  Tensor predict(const Tensor& x, EvaluateOptions options = {}, Location where = here()) const;

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
  /// Appends a layer. Errors: an Input that is not first.
  Sequential& add(SequentialItem item, Location where = here());
};

}  // namespace tandem::nn
