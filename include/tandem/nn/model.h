#pragma once
// Models: functional, sequential, or around a class of your own.

#include <initializer_list>

#include "tandem/nn/layer.h"

namespace tandem::nn {

/// One Value, or a list of them: `nn::Model({a, b}, c)`.
class Values {
 public:
  Values(const Value& value) : list_{value} {}
  Values(std::initializer_list<Value> values) : list_(values) {}
  Values(std::vector<Value> values) : list_(std::move(values)) {}
  const std::vector<Value>& list() const { return list_; }

 private:
  std::vector<Value> list_;
};

/// Options of models.
struct ModelOptions {
  std::string name = {};
};

/// A network that can be trained.
///
///     auto input = nn::Input({28, 28});
///     auto h = nn::Dense(256, "relu")(nn::Flatten()(input));
///     nn::Model model(input, nn::Dense(10, "softmax")(h));
///     td::Tensor probabilities = model(images);
///
/// It is a layer too, so that models nest. Operations inside keep the lines that built the model.
class Model : public Layer {
 public:
  /// All that lies between inputs and outputs. Errors: an output that needs an input which is not listed, two
  /// layers of one name.
  Model(const Values& inputs, const Values& outputs, ModelOptions options = {}, Location where = here());
  /// A model of a class of your own, or of one layer.
  template <class M>
  requires(std::is_constructible_v<Layer, M> && !std::derived_from<M, Model>) explicit Model(M module)
      : Layer(std::move(module)) {}

  /// The layers called directly in this model, in order.
  std::vector<Layer> layers() const;

 protected:
  using Layer::Layer;
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
