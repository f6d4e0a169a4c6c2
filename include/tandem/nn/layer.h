#pragma once
// Layer: a module of tensors in, tensors out; and Value, what layers are called on to build a model.

#include <iosfwd>
#include <optional>

#include "tandem/nn/module.h"

namespace tandem::nn {

/// How a layer is called.
struct CallOptions {
  /// Whether dropout and its kin do what they do in training. Default: as the caller was called, at first
  /// false.
  std::optional<bool> training = {};
};

/// Whether layers called now on this thread are in training. For the operator() of your own modules.
bool is_training();

/// Makes layers called during its life count as in training, or not. `nn::TrainingScope training(true);`
class TrainingScope {
 public:
  explicit TrainingScope(std::optional<bool> training);
  ~TrainingScope();
  TrainingScope(const TrainingScope&) = delete;
  TrainingScope& operator=(const TrainingScope&) = delete;

 private:
  static void set(bool training);

  bool saved_;
};

namespace detail {
class LayerBody;
struct ValueNode;
}  // namespace detail

/// A tensor of a model that is being described: it has a shape and a dtype, and remembers how it is computed.
/// The first dimension is the batch, of unknown size.
class Value {
 public:
  Value() = default;
  /// Unknown sizes are -1.
  Shape shape() const;
  DType dtype() const;
  /// The input's name, or the layer's.
  std::string name() const;
  /// The same place in the same description.
  bool operator==(const Value&) const = default;

  // For Tandem's own layers.
  Value(std::shared_ptr<const detail::ValueNode> node, int index) : node_(std::move(node)), index_(index) {}
  const std::shared_ptr<const detail::ValueNode>& node() const { return node_; }
  int index() const { return index_; }

 private:
  std::shared_ptr<const detail::ValueNode> node_;
  int index_ = 0;
};

/// `Value("dense", shape=(?, 10), dtype=float32)`.
std::ostream& operator<<(std::ostream& out, const Value& value);

/// How an input is described.
struct InputOptions {
  std::string name = {};
  DType dtype = DType::f32;
};

/// A model's input: the shape of one example, without the batch. `auto x = nn::Input({28, 28});`
Value Input(const Shape& shape, InputOptions options = {}, Location where = here());

/// Something that takes tensors to tensors and may have parameters. It is a handle: copies share them.
/// Parameters are made at the first call, from the input's shape. Every layer is one, and so is any Module
/// with a call operator.
///
/// Called on tensors it computes (at once, or traced); called on Values it describes a model. Errors inside
/// say "in layer model/dense_1".
class Layer : public Module {
 public:
  template <class M>
  requires(std::derived_from<M, Module> && !std::derived_from<M, Layer> &&
           std::is_invocable_r_v<Tensor, M&, const Tensor&>) Layer(M module);

  /// One tensor in, one out.
  Tensor operator()(const Tensor& x, CallOptions options = {}, Location where = here()) const;
  Value operator()(const Value& x, CallOptions options = {}, Location where = here()) const;
  /// Any number in and out. Errors: another number of inputs than the layer takes.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs, CallOptions options = {},
                                 Location where = here()) const;
  std::vector<Value> operator()(const std::vector<Value>& inputs, CallOptions options = {},
                                Location where = here()) const;

  /// What td::function traces.
  auto as_function() const {
    return [layer = *this](const Tensor& x) { return layer.call_from_own_line(x); };
  }

  // For Tandem's own layers.
  const std::shared_ptr<detail::LayerBody>& body() const { return body_; }
  Layer(std::shared_ptr<detail::ModuleState> state, std::shared_ptr<detail::LayerBody> body)
      : Module(std::move(state)), body_(std::move(body)) {}

 protected:
  /// A layer of this class, with its own name ("" for the default) and the line that made it.
  Layer(const char* kind, std::string name, Location where, std::shared_ptr<detail::LayerBody> body);

 private:
  Tensor call_from_own_line(const Tensor& x) const;

  std::shared_ptr<detail::LayerBody> body_;
};

namespace detail {

/// What a layer computes.
class LayerBody {
 public:
  virtual ~LayerBody() = default;
  virtual Tensor call(ModuleState& state, const Tensor& x) = 0;
  /// Several tensors; those that take one refuse.
  virtual std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs);
  /// The layers that it consists of, in order, as far as it knows.
  virtual std::vector<Layer> layers() const { return {}; }
  /// True when the operations inside have lines of the user's own.
  virtual bool is_composite() const { return false; }
};

/// A user's class.
template <class M>
class ModuleBody final : public LayerBody {
 public:
  explicit ModuleBody(M module) : module_(std::move(module)) {}
  Tensor call(ModuleState&, const Tensor& x) override { return module_(x); }
  bool is_composite() const override { return true; }

 private:
  M module_;
};

}  // namespace detail

template <class M>
requires(std::derived_from<M, Module> && !std::derived_from<M, Layer> &&
         std::is_invocable_r_v<Tensor, M&, const Tensor&>) Layer::Layer(M module)
    : Module(module.state()), body_(std::make_shared<detail::ModuleBody<M>>(std::move(module))) {
  name_kind(*this, typeid(M));
}

}  // namespace tandem::nn
