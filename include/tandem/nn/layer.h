#pragma once
// Layer: a module of tensors in, tensors out; and Value, what layers are called on to build a model.

#include <initializer_list>
#include <iosfwd>
#include <optional>

#include "tandem/nest.h"
#include "tandem/nn/module.h"

namespace tandem::nn {

/// How a layer is called.
struct CallOptions {
  /// Whether dropout and its kin do what they do in training. Default: as the caller was called; where nobody
  /// says, what the layer prefers, which is false for nearly all.
  std::optional<bool> training = {};
  /// Which positions of the (first) input count, as mask_of() says it. Default: what the layer before said.
  Tensor mask = {};
};

/// Whether layers called now on this thread are in training. For the operator() of your own modules.
bool is_training();

/// Which positions of this tensor count: booleans, of a shape that the tensor's begins with, as (batch, time)
/// for (batch, time, features). Undefined: all do.
///
/// Masks go from layer to layer beside the tensors: an Embedding makes one, most layers that keep the
/// positions pass it on, recurrent layers, attention and losses use it. They are forgotten when the outermost
/// call of a layer or model ends, unless a MaskScope is open.
Tensor mask_of(const Tensor& x);
/// Says which positions of a tensor count, in the operator() of your own modules; undefined: all.
/// `nn::set_mask(y, nn::mask_of(x));` Does nothing outside a layer's call and any MaskScope.
void set_mask(const Tensor& x, const Tensor& mask);

/// Keeps masks until it ends: for code that calls layers one after another, or asks for a result's mask.
///
///     nn::MaskScope masks;
///     td::Tensor y = model(words);
///     td::Tensor counting = nn::mask_of(y);
class MaskScope {
 public:
  MaskScope();
  ~MaskScope();
  MaskScope(const MaskScope&) = delete;
  MaskScope& operator=(const MaskScope&) = delete;

 private:
  friend Tensor mask_of(const Tensor& x);
  friend void set_mask(const Tensor& x, const Tensor& mask);

  bool opened_;
  std::vector<std::pair<Tensor, Tensor>> masks_;  // the tensors are kept: no other gets their address
};

/// Makes layers called during its life count as in training, or not. `nn::TrainingScope training(true);`
class TrainingScope {
 public:
  explicit TrainingScope(std::optional<bool> training);
  ~TrainingScope();
  TrainingScope(const TrainingScope&) = delete;
  TrainingScope& operator=(const TrainingScope&) = delete;

 private:
  uint32_t saved_;
};

class Layer;

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

/// Values in a structure: one, a list, or by name. `nn::Model({a, b}, {{"class", c}, {"box", d}})`
using Values = NestOf<Value>;

/// `Value("dense", shape=(?, 10), dtype=float32)`.
std::ostream& operator<<(std::ostream& out, const Value& value);

/// How an input is described.
struct InputOptions {
  std::string name = {};
  DType dtype = DType::f32;
  /// A model may be called without it. What depends on it alone is then left out.
  bool optional = false;
};

/// A model's input: the shape of one example, without the batch. `auto x = nn::Input({28, 28});`
Value Input(const Shape& shape, InputOptions options = {}, Location where = here());

namespace detail {
/// A class of the user's that can be called on tensors: one, two, three, a list or a Nest of them; it returns
/// one, a list or a Nest.
template <class M>
concept CallableModule =
    std::derived_from<M, Module> && !std::derived_from<M, Layer> &&
    (std::is_invocable_r_v<Nest, M&, const Tensor&> || std::is_invocable_r_v<Nest, M&, const Nest&> ||
     std::is_invocable_r_v<Nest, M&, const std::vector<Tensor>&> ||
     std::is_invocable_r_v<Nest, M&, const Tensor&, const Tensor&> ||
     std::is_invocable_r_v<Nest, M&, const Tensor&, const Tensor&, const Tensor&>);
}  // namespace detail

/// Something that takes tensors to tensors and may have parameters. It is a handle: copies share them.
/// Parameters are made at the first call, from the input's shape. Every layer is one, and so is any Module
/// with a call operator.
///
/// Called on tensors it computes (at once, or traced); called on Values it describes a model. Errors inside
/// say "in layer model/dense_1".
class Layer : public Module {
 public:
  template <detail::CallableModule M>
  Layer(M module);
  Layer(const Layer& other);
  Layer(Layer&& other) noexcept = default;
  Layer& operator=(const Layer& other) = default;
  Layer& operator=(Layer&& other) noexcept = default;
  ~Layer() = default;

  /// One tensor in, one out.
  Tensor operator()(const Tensor& x, CallOptions options = {}, Location where = here()) const;
  Value operator()(const Value& x, CallOptions options = {}, Location where = here()) const;
  /// Several in, one out: `nn::Add()({a, b})`.
  template <class T>
  requires(std::same_as<T, Tensor> || std::same_as<T, Value>) T operator()(std::initializer_list<T> inputs,
                                                                           CallOptions options = {},
                                                                           Location where = here()) const {
    return one_of_many(std::vector<T>(inputs), options, where);
  }
  /// Any number in and out. Errors: another number of inputs than the layer takes.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs, CallOptions options = {},
                                 Location where = here()) const;
  std::vector<Value> operator()(const std::vector<Value>& inputs, CallOptions options = {},
                                Location where = here()) const;
  /// Whatever structure the layer takes and returns.
  Nest operator()(const Nest& inputs, CallOptions options = {}, Location where = here()) const;
  Values operator()(const Values& inputs, CallOptions options = {}, Location where = here()) const;

  /// Makes the parameters for inputs of this shape, whose first dimension is the batch: -1 for any.
  void build(const Shape& input_shape, DType dtype = DType::f32, Location where = here()) const;

  /// What the layer was called on in a description, and what came out, to begin or end another model there:
  /// `nn::Model features(base.inputs(), base.layer("pool").output());` A model answers with its own inputs
  /// and outputs. Errors: a layer that was never called on Values, or several times where `call` does not say
  /// which is meant; several values where one is asked for.
  Value input(std::optional<int> call = {}, Location where = here()) const;
  Value output(std::optional<int> call = {}, Location where = here()) const;
  Values inputs(std::optional<int> call = {}, Location where = here()) const;
  Values outputs(std::optional<int> call = {}, Location where = here()) const;

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
  void attach(const std::shared_ptr<detail::LayerBody>& body) const;
  Tensor call_from_own_line(const Tensor& x) const;
  Tensor one_of_many(const std::vector<Tensor>& inputs, const CallOptions& options, Location where) const;
  Value one_of_many(const std::vector<Value>& inputs, const CallOptions& options, Location where) const;

  std::shared_ptr<detail::LayerBody> body_;
};

namespace detail {

/// What a layer computes. Inside, `mask_of(x)` is the input's mask, and `set_mask(y, mask)` makes the
/// result's.
class LayerBody {
 public:
  virtual ~LayerBody() = default;
  virtual Tensor call(ModuleState& state, const Tensor& x) = 0;
  /// Several tensors; those that take one refuse.
  virtual std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs);
  /// Any structure; those that know nothing of structures take the leaves in order, and return one tensor, or
  /// a list if they have several.
  virtual Nest call_nest(ModuleState& state, const Nest& inputs);
  /// True when the (first) input's mask holds for the results too. Otherwise it ends here.
  virtual bool passes_mask() const { return false; }
  /// Whether the layer is in training where no caller says.
  virtual bool trains_by_default() const { return false; }
  /// The layers that it consists of, in order, as far as it knows.
  virtual std::vector<Layer> layers() const { return {}; }
  /// Names of the outputs where the layer knows them; for a list of several.
  virtual std::vector<std::string> output_names() const { return {}; }
  /// A model's own ends, where it was described.
  virtual std::optional<Values> declared_inputs() const;
  virtual std::optional<Values> declared_outputs() const;
  /// True when the operations inside have lines of the user's own.
  virtual bool is_composite() const { return false; }
  /// Whether inputs and trainable variables come in the dtype in which the layer's policy computes. Layers
  /// that convert for themselves ask ModuleState::compute_dtype.
  virtual bool autocasts() const { return true; }
  /// A body without parameters of its own yet: a copy, which make_clonable allows.
  virtual std::shared_ptr<LayerBody> clone() const;

  std::shared_ptr<LayerBody> (*copy)(const LayerBody& body) = nullptr;
};

/// A body whose copies have no parameters yet, so that its layer can be cloned.
template <class Body, class... Arguments>
std::shared_ptr<Body> make_clonable(Arguments&&... arguments) {
  auto body = std::make_shared<Body>(std::forward<Arguments>(arguments)...);
  body->copy = [](const LayerBody& original) -> std::shared_ptr<LayerBody> {
    return std::make_shared<Body>(static_cast<const Body&>(original));
  };
  return body;
}

[[noreturn]] void refuse_structure(const std::string& form);

/// A user's class. It may say `static constexpr bool supports_masking = true;` (its input's mask holds for
/// its result) and `static constexpr bool training_default = true;` (where no caller says).
template <class M>
class ModuleBody final : public LayerBody {
 public:
  explicit ModuleBody(M module) : module_(std::move(module)) {}

  std::shared_ptr<LayerBody> clone() const override { return std::make_shared<ModuleBody>(M(module_)); }
  Tensor call(ModuleState& state, const Tensor& x) override {
    if constexpr (std::is_invocable_r_v<Tensor, M&, const Tensor&>)
      return module_(x);
    else
      return call_nest(state, x).leaf();
  }
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override {
    return call_nest(state, inputs).flatten();
  }
  Nest call_nest(ModuleState&, const Nest& inputs) override {
    if constexpr (takes<const Tensor&>)
      if (inputs.is_leaf()) return module_(inputs.leaf());
    if constexpr (takes<const Tensor&, const Tensor&>)
      if (inputs.is_list() && inputs.size() == 2) return module_(inputs[0].leaf(), inputs[1].leaf());
    if constexpr (takes<const Tensor&, const Tensor&, const Tensor&>)
      if (inputs.is_list() && inputs.size() == 3)
        return module_(inputs[0].leaf(), inputs[1].leaf(), inputs[2].leaf());
    if constexpr (takes<const Nest&>)
      return module_(inputs);
    else if constexpr (takes<const std::vector<Tensor>&>)
      return module_(inputs.flatten());
    if constexpr (takes<const Tensor&>)
      if (inputs.is_list() && inputs.size() == 1) return {Nest(module_(inputs[0].leaf()))};
    refuse_structure(inputs.form());
  }
  bool is_composite() const override { return true; }
  bool passes_mask() const override {
    if constexpr (requires { M::supports_masking; })
      return M::supports_masking;
    else
      return false;
  }
  bool trains_by_default() const override {
    if constexpr (requires { M::training_default; })
      return M::training_default;
    else
      return false;
  }

 private:
  template <class... Args>
  static constexpr bool takes = std::is_invocable_r_v<Nest, M&, Args...>;

  M module_;
};

}  // namespace detail

template <detail::CallableModule M>
Layer::Layer(M module)
    : Module(module.state()), body_(std::make_shared<detail::ModuleBody<M>>(std::move(module))) {
  name_kind(*this, typeid(M));
  attach(body_);
}

}  // namespace tandem::nn
