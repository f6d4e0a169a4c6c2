#pragma once
// Recurrent networks. T steps, batches of B, inputs of size I, states of size H; D directions.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tandem/operand.h"

namespace tandem {

/// What the recurrent ops of ONNX share; two fields concern one of them.
struct RecurrentOptions {
  std::string_view direction = "forward";  ///< "forward", "reverse" or "bidirectional"
  /// Names for each direction: one for rnn (Tanh), two for gru (Sigmoid, Tanh), three for lstm (Sigmoid,
  /// Tanh, Tanh). Allowed are Relu, Tanh, Sigmoid, Softsign, Softplus, LeakyRelu, ThresholdedRelu, Elu,
  /// Affine, ScaledTanh and HardSigmoid.
  std::vector<std::string> activations = {};
  std::vector<float> activation_alpha = {};  ///< for those activations that take an alpha, in order
  std::vector<float> activation_beta = {};   ///< for those that take a beta
  std::optional<float> clip = {};            ///< activations' inputs are limited to -clip and clip
  int64_t layout = 0;                        ///< 1: batches come first
  bool linear_before_reset = false;          ///< gru: the reset gate applies after the product
  bool input_forget = false;                 ///< lstm: the forget gate is 1 - the input gate
};

/// What the recurrent ops give.
struct RecurrentResult {
  Tensor y;    ///< every step's state: (T, D, B, H), or (B, T, D, H) with layout 1
  Tensor y_h;  ///< the last state: (D, B, H) or (B, D, H)
  Tensor y_c;  ///< lstm's last cell state, shaped alike; else undefined
};

/// A simple recurrent network, ONNX RNN: h = f(x W' + h R' + biases). x is (T, B, I), or (B, T, I) with
/// layout 1; w is (D, H, I), r (D, H, H), b (D, 2 H): W's biases, then R's; `sequence_lens` (B,); `initial_h`
/// (D, B, H) or (B, D, H). Beyond its length a sequence gives zeros. Floating dtypes. Errors: shapes that do
/// not fit, an unknown activation.
RecurrentResult rnn(const Operand& x, const Operand& w, const Operand& r, const Operand& b = nullptr,
                    const Operand& sequence_lens = nullptr, const Operand& initial_h = nullptr,
                    const RecurrentOptions& options = {});
/// Gated recurrent units, ONNX GRU, with gates in the order update, reset, hidden: w is (D, 3 H, I), r
/// (D, 3 H, H), b (D, 6 H); otherwise as rnn.
RecurrentResult gru(const Operand& x, const Operand& w, const Operand& r, const Operand& b = nullptr,
                    const Operand& sequence_lens = nullptr, const Operand& initial_h = nullptr,
                    const RecurrentOptions& options = {});
/// Long short-term memory, ONNX LSTM, with gates in the order input, output, forget, cell: w is (D, 4 H, I),
/// r (D, 4 H, H), b (D, 8 H); `p`, the peepholes of input, output and forget, (D, 3 H); otherwise as rnn.
RecurrentResult lstm(const Operand& x, const Operand& w, const Operand& r, const Operand& b = nullptr,
                     const Operand& sequence_lens = nullptr, const Operand& initial_h = nullptr,
                     const Operand& initial_c = nullptr, const Operand& p = nullptr,
                     const RecurrentOptions& options = {});

}  // namespace tandem
