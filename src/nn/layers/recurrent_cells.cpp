#include "nn/layers/recurrent_cells.h"

#include "tandem/ops.h"

namespace tandem::nn {

namespace detail {

CellBody::CellBody(int64_t units, int gates, int states, CellOptions options)
    : options_(std::move(options)), units_(units), gates_(gates), states_(states), noise_(options_.seed) {
  TD_CHECK(units > 0, "{} units were asked for; expected at least 1", units);
  for (const double rate : {options_.dropout, options_.recurrent_dropout})
    TD_CHECK(rate >= 0 && rate <= 1, "a dropout rate is {}; expected 0 to 1", rate);
}

std::vector<Tensor> CellBody::call_many(ModuleState& state, const std::vector<Tensor>& inputs) {
  TD_CHECK(inputs.size() == static_cast<size_t>(states_) + 1,
           "the cell was called on {} tensors; expected {}: the input and {}", inputs.size(), states_ + 1,
           states_ == 1 ? "the state" : "2 states");
  const Tensor& x = inputs[0];
  TD_CHECK(x.rank() == 2, "the input has shape {}; expected 2 dimensions: (batch, features)", x.shape());
  const CellWeights& w = weights_for(state, x);
  const StepMasks masks = draw_masks(state, x);
  const Tensor kept_input = masks.input.defined() ? x * masks.input : x;
  std::vector<Tensor> next = step(step_weights(w), share_of(w, kept_input),
                                  std::vector<Tensor>(inputs.begin() + 1, inputs.end()), masks);
  next.insert(next.begin(), next[0]);
  return next;
}

Tensor CellBody::call(ModuleState& state, const Tensor& x) { return call_many(state, {x})[0]; }

const CellWeights& CellBody::weights_for(ModuleState& state, const Tensor& x) {
  const CellWeights& w = weights_.get([&] { return build(state, x); });
  TD_CHECK(x.shape().codes().back() == w.features || x.shape().codes().back() < 0,
           "the last dimension of input shape {} is {}; the layer was built for {}", x.shape(),
           x.shape().codes().back(), w.features);
  return w;
}

CellWeights CellBody::build(ModuleState& state, const Tensor& x) const {
  check_floating(x);
  const CellOptions& o = options_;
  CellWeights w;
  w.features = x.dim(-1, state.where);
  w.kernel = make_parameter(state, "kernel", {w.features, gates_ * units_}, x.dtype(), o.kernel_initializer,
                            o.kernel_regularizer, o.kernel_constraint);
  w.recurrent = make_parameter(state, "recurrent_kernel", {units_, gates_ * units_}, x.dtype(),
                               o.recurrent_initializer, o.recurrent_regularizer, o.recurrent_constraint);
  if (o.use_bias)
    w.bias = make_parameter(state, "bias", bias_shape(), x.dtype(), first_bias(), o.bias_regularizer,
                            o.bias_constraint);
  return w;
}

StepMasks CellBody::draw_masks(ModuleState& state, const Tensor& x) {
  StepMasks masks;
  const Variable& numbers = noise_.generator(state);
  if (!is_training()) return masks;
  if (options_.dropout > 0) masks.input = dropout(ones_like(x), options_.dropout, true, numbers);
  if (options_.recurrent_dropout > 0)
    masks.state =
        dropout(ones({x.dim(0), Dim(units_)}, x.dtype()), options_.recurrent_dropout, true, numbers);
  return masks;
}

Tensor CellBody::share_of(const CellWeights& w, const Tensor& x) const {
  const Tensor product = matmul(x, w.kernel);
  return w.bias.defined() ? product + input_bias(w.bias) : product;
}

Tensor CellBody::kept(const Tensor& h, const StepMasks& masks) {
  return masks.state.defined() ? h * masks.state : h;
}

}  // namespace detail

namespace {

using detail::CellBody;
using detail::CellWeights;
using detail::StepMasks;
using Tensors = std::vector<Tensor>;

class SimpleRNNCellBody final : public CellBody {
 public:
  SimpleRNNCellBody(int64_t units, const CellOptions& options) : CellBody(units, 1, 1, options) {}

  std::vector<Tensor> step(const Tensors& w, const Tensor& share, const std::vector<Tensor>& states,
                           const StepMasks& masks) const override {
    return {options_.activation(share + matmul(kept(states[0], masks), w[0]))};
  }
};

class LSTMCellBody final : public CellBody {
 public:
  LSTMCellBody(int64_t units, const CellOptions& options) : CellBody(units, 4, 2, options) {}

  std::vector<Tensor> step(const Tensors& w, const Tensor& share, const std::vector<Tensor>& states,
                           const StepMasks& masks) const override {
    const Tensor gates = share + matmul(kept(states[0], masks), w[0]);
    const std::vector<Tensor> parts = split(gates, 4, -1);
    const ActivationFunction& gate = options_.recurrent_activation;
    const Tensor c = gate(parts[1]) * states[1] + gate(parts[0]) * options_.activation(parts[2]);
    return {gate(parts[3]) * options_.activation(c), c};
  }

 protected:
  Initializer first_bias() const override {
    if (!options_.unit_forget_bias) return options_.bias_initializer;
    return Initializer([first = options_.bias_initializer](const Shape& shape, DType dtype) {
      const int64_t units = shape[0] / 4;
      return concat({first({units}, dtype), ones({units}, dtype), first({2 * units}, dtype)}, 0);
    });
  }
};

class GRUCellBody final : public CellBody {
 public:
  GRUCellBody(int64_t units, const CellOptions& options) : CellBody(units, 3, 1, options) {}

  Tensors step_weights(const CellWeights& w) const override {
    if (!options_.reset_after) return split(w.recurrent, {2 * units_, units_}, -1);
    return {w.recurrent, w.bias.defined() ? w.bias.value()[1] : Tensor()};
  }

  std::vector<Tensor> step(const Tensors& w, const Tensor& share, const std::vector<Tensor>& states,
                           const StepMasks& masks) const override {
    const ActivationFunction& gate = options_.recurrent_activation;
    const Tensor& before = states[0];
    const Tensor h = kept(before, masks);
    const std::vector<Tensor> input = split(share, 3, -1);
    Tensor update, candidate;
    if (options_.reset_after) {
      Tensor product = matmul(h, w[0]);
      if (w[1].defined()) product = product + w[1];
      const Tensors own = split(product, 3, -1);
      update = gate(input[0] + own[0]);
      candidate = options_.activation(input[2] + gate(input[1] + own[1]) * own[2]);
    } else {
      const Tensors own = split(matmul(h, w[0]), 2, -1);
      update = gate(input[0] + own[0]);
      const Tensor reset = gate(input[1] + own[1]);
      candidate = options_.activation(input[2] + matmul(reset * h, w[1]));
    }
    return {update * before + (1 - update) * candidate};
  }

 protected:
  Shape bias_shape() const override {
    return options_.reset_after ? Shape{2, 3 * units_} : Shape{3 * units_};
  }
  Tensor input_bias(const Tensor& bias) const override { return options_.reset_after ? bias[0] : bias; }
};

}  // namespace

SimpleRNNCell::SimpleRNNCell(int64_t units, CellOptions options, Location where)
    : Layer("SimpleRNNCell", options.name, where,
            detail::make_body<SimpleRNNCellBody>("SimpleRNNCell", where, units, options)) {}

LSTMCell::LSTMCell(int64_t units, CellOptions options, Location where)
    : Layer("LSTMCell", options.name, where,
            detail::make_body<LSTMCellBody>("LSTMCell", where, units, options)) {}

GRUCell::GRUCell(int64_t units, CellOptions options, Location where)
    : Layer("GRUCell", options.name, where,
            detail::make_body<GRUCellBody>("GRUCell", where, units, options)) {}

}  // namespace tandem::nn
