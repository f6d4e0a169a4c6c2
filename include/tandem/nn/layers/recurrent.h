#pragma once
// Recurrent layers: (batch, steps, features) to (batch, units), or to every step's output.

#include "tandem/nn/activation.h"
#include "tandem/nn/layer.h"
#include "tandem/nn/layers/core.h"

namespace tandem::nn {

/// How a recurrent layer walks through time.
struct RecurrentLayerOptions {
  bool return_sequences = false;  ///< every step's output: (batch, steps, units)
  bool return_state = false;      ///< also the last states; call the layer on a list, it returns one
  bool go_backwards = false;      ///< from the last step to the first; outputs come in that order
  /// Each call begins with the states that the last one ended with, batch by batch. The batch's size is then
  /// fixed.
  bool stateful = false;
  /// A graph with nodes of its own for each step, or one loop. Default: the former, which trains in half the
  /// time, where the number of steps is known and at most 256.
  std::optional<bool> unroll = {};
  bool zero_output_for_mask = false;  ///< masked steps give zeros, not the output before them
  std::string name = {};
};

/// Options of the cells, SimpleRNNCell, LSTMCell and GRUCell; some concern one of them.
struct CellOptions {
  ActivationFunction activation = "tanh";
  ActivationFunction recurrent_activation = "sigmoid";  ///< of the gates
  bool use_bias = true;
  Initializer kernel_initializer = "glorot_uniform";
  Initializer recurrent_initializer = "orthogonal";
  Initializer bias_initializer = "zeros";
  bool unit_forget_bias = true;  ///< LSTM: the forget gate's bias begins with 1 more
  Regularizer kernel_regularizer = {};
  Regularizer recurrent_regularizer = {};
  Regularizer bias_regularizer = {};
  Constraint kernel_constraint = {};
  Constraint recurrent_constraint = {};
  Constraint bias_constraint = {};
  double dropout = 0;  ///< share of the inputs that a call in training drops, the same at every step
  double recurrent_dropout = 0;       ///< the same of the state
  bool reset_after = true;            ///< GRU: the reset gate applies after the product
  std::optional<uint64_t> seed = {};  ///< of dropout, as in NoiseOptions
  std::string name = {};
};

/// One step of a simple recurrent network. Called on {x, h}, (batch, features) and (batch, units), it returns
/// {output, next h}: activation(x @ kernel + h @ recurrent_kernel + bias), twice.
class SimpleRNNCell : public Layer {
 public:
  explicit SimpleRNNCell(int64_t units, CellOptions options = {}, Location where = here());
};
/// One step of long short-term memory. Called on {x, h, c} it returns {output, next h, next c}. The kernels'
/// columns are the gates input, forget, cell, output.
class LSTMCell : public Layer {
 public:
  explicit LSTMCell(int64_t units, CellOptions options = {}, Location where = here());
};
/// One step of gated recurrent units. Called on {x, h} it returns {output, next h}. The kernels' columns are
/// the gates update, reset, hidden.
class GRUCell : public Layer {
 public:
  explicit GRUCell(int64_t units, CellOptions options = {}, Location where = here());
};

/// A cell walked through time.
///
/// Called on x, (batch, steps, features), or on the list {x, initial states...}. Masked steps change neither
/// state nor output. The states begin with zeros.
///
///     nn::RNN layer(nn::LSTMCell(32), {.return_sequences = true});
///
/// A cell of your own is a module called on a list {x, states...} of one step that returns {output, next
/// states...}; `state_sizes` says how many states it has, and their sizes.
class RNN : public Layer {
 public:
  /// Errors: a cell that is none of Tandem's without state_sizes.
  explicit RNN(Layer cell, RecurrentLayerOptions options = {}, std::vector<int64_t> state_sizes = {},
               Location where = here());
  /// The states of a stateful layer begin with zeros again.
  void reset_state() const;

 protected:
  RNN(const char* kind, Layer cell, const RecurrentLayerOptions& options, Location where);
};

/// A SimpleRNNCell walked through time. `nn::SimpleRNN(32, {.dropout = 0.1}, {.return_sequences = true})`
class SimpleRNN : public RNN {
 public:
  explicit SimpleRNN(int64_t units, CellOptions options = {}, RecurrentLayerOptions walk = {},
                     Location where = here());
};
/// An LSTMCell walked through time. `auto h = nn::LSTM(64, {}, {.return_sequences = true})(words);`
class LSTM : public RNN {
 public:
  explicit LSTM(int64_t units, CellOptions options = {}, RecurrentLayerOptions walk = {},
                Location where = here());
};
/// A GRUCell walked through time.
class GRU : public RNN {
 public:
  explicit GRU(int64_t units, CellOptions options = {}, RecurrentLayerOptions walk = {},
               Location where = here());
};

/// Options of Bidirectional.
struct BidirectionalOptions {
  std::string merge_mode = "concat";  ///< or "sum", "mul", "ave"
  std::string name = {};
};

/// A recurrent layer forwards, a copy of it backwards, and their outputs merged in the order of time. With
/// return_state the states of the first come before those of the second, and initial states are given
/// likewise.
class Bidirectional : public Layer {
 public:
  /// Errors: an unknown merge_mode.
  explicit Bidirectional(RNN layer, BidirectionalOptions options = {}, Location where = here());
};

/// A layer applied to each step: (batch, steps, ...) to (batch, steps, ...).
class TimeDistributed : public Layer {
 public:
  explicit TimeDistributed(Layer layer, LayerOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
