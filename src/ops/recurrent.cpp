// Recurrent networks: RNN, GRU and LSTM, written with other ops, one step of time after the other.

#include "tandem/ops/recurrent.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/activation.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

// ---- Activations by name

struct ActivationRow {
  std::string_view name;
  int parameters;  // how many of alpha and beta it takes
  float alpha, beta;
  Tensor (*apply)(const Tensor& x, float alpha, float beta);
};

const ActivationRow activation_rows[] = {
    {"Relu", 0, 0, 0, [](const Tensor& x, float, float) { return relu(x); }},
    {"Tanh", 0, 0, 0, [](const Tensor& x, float, float) { return tanh(x); }},
    {"Sigmoid", 0, 0, 0, [](const Tensor& x, float, float) { return sigmoid(x); }},
    {"Softsign", 0, 0, 0, [](const Tensor& x, float, float) { return softsign(x); }},
    {"Softplus", 0, 0, 0, [](const Tensor& x, float, float) { return softplus(x); }},
    {"LeakyRelu", 1, 0.01f, 0, [](const Tensor& x, float alpha, float) { return leaky_relu(x, alpha); }},
    {"ThresholdedRelu", 1, 1, 0,
     [](const Tensor& x, float alpha, float) { return thresholded_relu(x, alpha); }},
    {"Elu", 1, 1, 0, [](const Tensor& x, float alpha, float) { return elu(x, alpha); }},
    {"Affine", 2, 1, 0, [](const Tensor& x, float alpha, float beta) { return x * alpha + beta; }},
    {"ScaledTanh", 2, 1, 1, [](const Tensor& x, float alpha, float beta) { return tanh(x * beta) * alpha; }},
    {"HardSigmoid", 2, 0.2f, 0.5f,
     [](const Tensor& x, float alpha, float beta) { return hard_sigmoid(x, alpha, beta); }}};

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

const ActivationRow& find_activation(std::string_view name) {
  std::string allowed;
  for (const ActivationRow& row : activation_rows) {
    if (same_letters(row.name, name)) return row;
    allowed += (allowed.empty() ? "" : ", ") + std::string(row.name);
  }
  fail("the activation \"{}\" is unknown; allowed are {}", name, allowed);
}

struct Activation {
  const ActivationRow* row;
  float alpha, beta;
  std::optional<float> limit;

  /// Its input is limited first, where a limit was asked for.
  Tensor operator()(const Tensor& x) const {
    return row->apply(limit ? clip(x, -*limit, *limit) : x, alpha, beta);
  }
};

// ---- Attributes and schema

struct RecurrentAttributes {
  std::vector<float> activation_alpha, activation_beta;
  std::vector<std::string> activations;  // empty: the op's own
  std::optional<float> clip;
  Word direction = "forward";
  std::optional<int64_t> hidden_size;
  int64_t layout = 0;
  static constexpr auto common_fields() {
    using A = RecurrentAttributes;
    return std::tuple{field("activation_alpha", &A::activation_alpha),
                      field("activation_beta", &A::activation_beta),
                      field("activations", &A::activations),
                      field("clip", &A::clip),
                      field("direction", &A::direction),
                      field("hidden_size", &A::hidden_size),
                      field("layout", &A::layout)};
  }

  int directions() const { return direction == "bidirectional" ? 2 : 1; }
  bool is_reverse(int d) const { return d == 1 || direction == "reverse"; }
};

/// The activations of every direction, in order. Alphas and betas go to those that take one, in order.
std::vector<Activation> activations_of(const RecurrentAttributes& a,
                                       std::span<const std::string_view> standard) {
  std::vector<std::string> names = a.activations;
  if (names.empty())
    for (int d = 0; d < a.directions(); ++d) names.insert(names.end(), standard.begin(), standard.end());
  const size_t expected = standard.size() * static_cast<size_t>(a.directions());
  TD_CHECK(names.size() == expected, "{} activations are given; direction \"{}\" needs {}", names.size(),
           std::string_view(a.direction), expected);
  std::vector<Activation> result;
  size_t alphas = 0, betas = 0;
  for (const std::string& name : names) {
    const ActivationRow& row = find_activation(name);
    Activation one{&row, row.alpha, row.beta, a.clip};
    if (row.parameters > 0 && alphas < a.activation_alpha.size()) one.alpha = a.activation_alpha[alphas++];
    if (row.parameters > 1 && betas < a.activation_beta.size()) one.beta = a.activation_beta[betas++];
    result.push_back(one);
  }
  TD_CHECK(alphas == a.activation_alpha.size(), "activation_alpha has {} values; the activations take {}",
           a.activation_alpha.size(), alphas);
  TD_CHECK(betas == a.activation_beta.size(), "activation_beta has {} values; the activations take {}",
           a.activation_beta.size(), betas);
  return result;
}

/// Positions of the inputs that all three ops share.
enum { input_x, input_w, input_r, input_b, input_lengths, input_h };

void check_size(std::string_view what, const Shape& shape, std::initializer_list<int64_t> expected) {
  const Shape wanted(expected);
  bool fits = shape.rank() == wanted.rank();
  for (int i = 0; fits && i < shape.rank(); ++i)
    fits = shape[i] == wanted[i] || shape[i] < 0 || wanted[i] < 0;
  TD_CHECK(fits, "{} has shape {}; {} is needed", what, shape, wanted);
}

/// Checks what the ops share and adds `states` + 1 outputs: all steps, then each last state.
void infer_recurrent(InferContext& c, const RecurrentAttributes& a, int gates, int states,
                     std::span<const std::string_view> standard) {
  TD_CHECK(a.direction == "forward" || a.direction == "reverse" || a.direction == "bidirectional",
           "direction \"{}\" is unknown; allowed are \"forward\", \"reverse\" and \"bidirectional\"",
           std::string_view(a.direction));
  TD_CHECK(a.layout == 0 || a.layout == 1, "layout {} is unknown; allowed are 0 and 1", a.layout);
  activations_of(a, standard);
  const Shape &x = c.shape(input_x), &r = c.shape(input_r);
  TD_CHECK(x.rank() == 3, "the input has shape {}; three dimensions are needed", x);
  TD_CHECK(r.rank() == 3, "R has shape {}; three dimensions are needed", r);
  const bool batch_first = a.layout == 1;
  const int64_t steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1];
  int64_t hidden = r[2];
  if (a.hidden_size) {
    TD_CHECK(hidden == *a.hidden_size || hidden < 0, "hidden_size is {}, but R has shape {}", *a.hidden_size,
             r);
    hidden = *a.hidden_size;
  }
  const int64_t directions = a.directions(), stacked = hidden < 0 ? -1 : gates * hidden;
  check_size("W", c.shape(input_w), {directions, stacked, x[2]});
  check_size("R", r, {directions, stacked, hidden});
  if (c.has(input_b)) check_size("B", c.shape(input_b), {directions, stacked < 0 ? -1 : 2 * stacked});
  if (c.has(input_lengths)) check_size("sequence_lens", c.shape(input_lengths), {batch});
  const Shape state = batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  for (int i = 0; i < states; ++i)
    if (c.has(input_h + i))
      check_size(c.op().inputs[static_cast<size_t>(input_h + i)].name, c.shape(input_h + i),
                 {state[0], state[1], state[2]});
  const DType dtype = c.dtype(input_x);
  c.output(dtype,
           batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden});
  for (int i = 0; i < states; ++i) c.output(dtype, state);
}

constexpr InputDef floating_input(std::string_view name, uint8_t flags = InputDef::required) {
  return {name, types::floating, 0, flags};
}
constexpr InputDef lengths_input{"sequence_lens", types::index, 1,
                                 InputDef::optional | InputDef::no_gradient};

// ---- The walk through time

using States = SmallVector<Tensor, 4>;

/// One direction's weights: products with the input for all steps at once, and what a step needs.
struct Direction {
  Tensor recurrent;                   // (H, gates * H)
  Tensor input_bias, recurrent_bias;  // (gates * H), or undefined
  Tensor peepholes;                   // (3 * H), or undefined
  std::span<const Activation> activations;
};
/// From a step's share of the input, (B, gates * H), and the states, (B, H) each, to the next states.
using Step = std::function<States(const Tensor& share, const States& state)>;
/// Makes a direction's step.
using Prepare = std::function<Step(const Direction&)>;

Tensor optional_input(std::span<const Tensor> in, int i) {
  return static_cast<size_t>(i) < in.size() ? in[static_cast<size_t>(i)] : Tensor();
}
/// Entry d of the first dimension.
Tensor entry(const Tensor& x, int64_t d, int64_t axis = 0) {
  return squeeze(slice(x, {d}, {d + 1}, {axis}), {axis});
}
Tensor turned(const Tensor& matrix) { return transpose(matrix, {1, 0}); }

/// `bias_in_gates`: the recurrent bias joins the input's share (GRU may need it apart).
Tensors walk(std::span<const Tensor> in, const RecurrentAttributes& a, int states, bool bias_in_gates,
             std::span<const std::string_view> standard, const Prepare& prepare) {
  const std::vector<Activation> activations = activations_of(a, standard);
  const bool batch_first = a.layout == 1;
  const Tensor x = batch_first ? transpose(in[input_x], {1, 0, 2}) : in[input_x];
  const int64_t steps = x.dim(0), hidden = in[input_r].dim(2);
  const int64_t batch = x.shape().codes()[1];
  const Tensor bias = optional_input(in, input_b), peepholes = optional_input(in, 7);
  Tensor lengths = optional_input(in, input_lengths);
  if (lengths.defined()) lengths = reshape(lengths, {-1, 1});

  std::vector<Tensor> outputs;            // of each direction, (steps, B, H)
  std::vector<std::vector<Tensor>> last;  // of each state, then direction, (B, H)
  last.resize(static_cast<size_t>(states));
  for (int d = 0; d < a.directions(); ++d) {
    Direction way;
    way.recurrent = turned(entry(in[input_r], d));
    const size_t own = standard.size();
    way.activations = std::span(activations).subspan(own * static_cast<size_t>(d), own);
    if (peepholes.defined()) way.peepholes = entry(peepholes, d);
    Tensor share = matmul(x, turned(entry(in[input_w], d)));
    if (bias.defined()) {
      const std::vector<Tensor> halves = split(entry(bias, d), 2);
      share = share + (bias_in_gates ? halves[0] + halves[1] : halves[0]);
      way.recurrent_bias = halves[1];
    }
    States state;
    for (int i = 0; i < states; ++i) {
      const Tensor first = optional_input(in, input_h + i);
      state.push_back(first.defined() ? entry(first, d, batch_first ? 1 : 0)
                                      : zeros(Shape{batch, hidden}, x.dtype()));
    }
    const Step step = prepare(way);
    std::vector<Tensor> results(static_cast<size_t>(steps));
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t t = a.is_reverse(d) ? steps - 1 - i : i;
      States next = step(entry(share, t), state);
      Tensor& result = results[static_cast<size_t>(t)];
      result = next[0];
      if (lengths.defined()) {
        // A sequence that has ended, or in reverse has not yet begun, keeps its state and gives zeros.
        const Tensor runs = greater(lengths, t);
        for (int k = 0; k < states; ++k) next[k] = where(runs, next[k], state[k]);
        result = where(runs, result, 0);
      }
      state = std::move(next);
    }
    outputs.push_back(steps > 0 ? stack(results) : zeros(Shape{0, batch, hidden}, x.dtype()));
    for (int k = 0; k < states; ++k) last[static_cast<size_t>(k)].push_back(state[k]);
  }
  Tensors all;
  const Tensor y = stack(outputs, batch_first ? 2 : 1);  // (steps, D, B, H) or (steps, B, D, H)
  all.push_back(batch_first ? transpose(y, {1, 0, 2, 3}) : y);
  for (const std::vector<Tensor>& s : last) all.push_back(stack(s, batch_first ? 1 : 0));
  return all;
}

/// Samples: every direction, layout and optional input. Sizes: 3 steps, batches of 2, inputs and states of 2.
template <class Op>
std::vector<Sample> recurrent_samples(int gates, std::vector<typename Op::Attributes> variants) {
  constexpr int64_t steps = 3, batch = 2, size = 2, hidden = 2;
  int seed = 0;
  const auto ramp = [&](const Shape& shape) {
    std::vector<float> v(static_cast<size_t>(shape.element_count()));
    for (size_t i = 0; i < v.size(); ++i)
      v[i] = 0.125f * static_cast<float>((i * 7 + static_cast<size_t>(seed) * 5) % 13) - 0.71875f;
    ++seed;
    return from_vector(std::move(v), shape);
  };
  std::vector<Sample> all;
  for (size_t i = 0; i < variants.size(); ++i) {
    const auto& a = variants[i];
    const int64_t directions = a.directions(), stacked = gates * hidden;
    Sample s{{ramp(a.layout == 1 ? Shape{batch, steps, size} : Shape{steps, batch, size}),
              ramp({directions, stacked, size}), ramp({directions, stacked, hidden})},
             boxed(a)};
    if (i % 2 == 0) {  // every other one with all optional inputs
      const Shape state = a.layout == 1 ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
      s.inputs.push_back(ramp({directions, 2 * stacked}));
      s.inputs.push_back(i % 4 == 0 ? Tensor({3, 1}) : Tensor());
      s.inputs.push_back(ramp(state));
      if (Op::inputs.size() > 6) {
        s.inputs.push_back(ramp(state));
        s.inputs.push_back(ramp({directions, 3 * hidden}));
      }
    }
    s.unknown_sizes = false;  // steps and states are counted while tracing a gradient
    all.push_back(std::move(s));
  }
  all.push_back(
      {{zeros({0, batch, size}), ramp({1, gates * hidden, size}), ramp({1, gates * hidden, hidden})},
       {},
       true,
       true,
       false});
  return all;
}

struct Recurrent : Composite {
  static constexpr int since = 22;
};

// ---- RNN

constexpr std::string_view rnn_activations[] = {"Tanh"};

struct RNN : Recurrent {
  static constexpr std::string_view name = "RNN";
  static constexpr int outputs = 2;
  struct Attributes : RecurrentAttributes {
    static constexpr auto fields() { return common_fields(); }
  };
  static constexpr std::array<InputDef, 6> inputs{
      {floating_input("X"), floating_input("W"), floating_input("R"), floating_input("B", InputDef::optional),
       lengths_input, floating_input("initial_h", InputDef::optional)}};
  static void infer(InferContext& c, const Attributes& a) { infer_recurrent(c, a, 1, 1, rnn_activations); }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    return walk(in, a, 1, true, rnn_activations, [](const Direction& way) -> Step {
      return [way](const Tensor& share, const States& state) {
        return States{way.activations[0](share + matmul(state[0], way.recurrent))};
      };
    });
  }
  static std::vector<Sample> samples() {
    Attributes forward, reverse, both, clipped;
    reverse.direction = "reverse";
    reverse.activations = {"Affine"};
    reverse.activation_alpha = {0.5f};
    reverse.activation_beta = {0.25f};
    both.direction = "bidirectional";
    both.layout = 1;
    both.activations = {"ScaledTanh", "softsign"};
    clipped.clip = 0.4f;
    clipped.direction = "bidirectional";
    clipped.hidden_size = 2;
    return recurrent_samples<RNN>(1, {forward, reverse, both, clipped, reverse});
  }
};

// ---- GRU

constexpr std::string_view gru_activations[] = {"Sigmoid", "Tanh"};

struct GRU : Recurrent {
  static constexpr std::string_view name = "GRU";
  static constexpr int outputs = 2;
  struct Attributes : RecurrentAttributes {
    bool linear_before_reset = false;
    static constexpr auto fields() {
      return std::tuple_cat(common_fields(),
                            std::tuple{field("linear_before_reset", &Attributes::linear_before_reset)});
    }
  };
  static constexpr std::array<InputDef, 6> inputs = RNN::inputs;
  static void infer(InferContext& c, const Attributes& a) { infer_recurrent(c, a, 3, 1, gru_activations); }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const auto prepare = [&a](const Direction& way) -> Step {
      const int64_t hidden = way.recurrent.dim(0);
      // Both gates' products with the state are one; the hidden part's waits for the reset gate.
      const std::vector<Tensor> weights = split(way.recurrent, {2 * hidden, hidden}, -1);
      std::vector<Tensor> bias(2);
      if (way.recurrent_bias.defined()) bias = split(way.recurrent_bias, {2 * hidden, hidden});
      return [&a, way, hidden, weights, bias](const Tensor& share, const States& state) -> States {
        const auto recurrent = [&](const Tensor& h, size_t part) {
          const Tensor y = matmul(h, weights[part]);
          return bias[part].defined() ? y + bias[part] : y;
        };
        const Activation &f = way.activations[0], &g = way.activations[1];
        const Tensor& h = state[0];
        const std::vector<Tensor> own = split(share, {2 * hidden, hidden}, -1);
        const std::vector<Tensor> gates = split(f(own[0] + recurrent(h, 0)), 2, -1);
        const Tensor &update = gates[0], &reset = gates[1];
        const Tensor candidate =
            g(own[1] + (a.linear_before_reset ? reset * recurrent(h, 1) : recurrent(reset * h, 1)));
        return {(1 - update) * candidate + update * h};
      };
    };
    return walk(in, a, 1, false, gru_activations, prepare);
  }
  static std::vector<Sample> samples() {
    Attributes forward, reverse, both, clipped;
    reverse.direction = "reverse";
    reverse.linear_before_reset = true;
    both.direction = "bidirectional";
    both.layout = 1;
    both.activations = {"HardSigmoid", "Softplus", "Sigmoid", "Elu"};
    both.activation_alpha = {0.3f};
    clipped.clip = 0.4f;
    clipped.linear_before_reset = true;
    return recurrent_samples<GRU>(3, {forward, clipped, both, reverse, reverse});
  }
};

// ---- LSTM

constexpr std::string_view lstm_activations[] = {"Sigmoid", "Tanh", "Tanh"};

struct LSTM : Recurrent {
  static constexpr std::string_view name = "LSTM";
  static constexpr int outputs = 3;
  struct Attributes : RecurrentAttributes {
    bool input_forget = false;
    static constexpr auto fields() {
      return std::tuple_cat(common_fields(), std::tuple{field("input_forget", &Attributes::input_forget)});
    }
  };
  static constexpr std::array<InputDef, 8> inputs{
      {floating_input("X"), floating_input("W"), floating_input("R"), floating_input("B", InputDef::optional),
       lengths_input, floating_input("initial_h", InputDef::optional),
       floating_input("initial_c", InputDef::optional), floating_input("P", InputDef::optional)}};
  static void infer(InferContext& c, const Attributes& a) {
    infer_recurrent(c, a, 4, 2, lstm_activations);
    if (c.has(7)) {
      const int64_t hidden = c.shape(input_r)[2];
      check_size("P", c.shape(7), {a.directions(), hidden < 0 ? -1 : 3 * hidden});
    }
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const auto prepare = [&a](const Direction& way) -> Step {
      std::vector<Tensor> peepholes;  // i o f
      if (way.peepholes.defined()) peepholes = split(way.peepholes, 3);
      return [&a, way, peepholes](const Tensor& share, const States& state) -> States {
        const Activation &f = way.activations[0], &g = way.activations[1], &h = way.activations[2];
        std::vector<Tensor> gates = split(share + matmul(state[0], way.recurrent), 4, -1);  // i o f c
        if (!peepholes.empty()) {
          gates[0] = gates[0] + peepholes[0] * state[1];
          gates[2] = gates[2] + peepholes[2] * state[1];
        }
        const Tensor input = f(gates[0]);
        const Tensor forget = a.input_forget ? 1 - input : f(gates[2]);
        const Tensor cell = forget * state[1] + input * g(gates[3]);
        if (!peepholes.empty()) gates[1] = gates[1] + peepholes[1] * cell;
        return {f(gates[1]) * h(cell), cell};
      };
    };
    return walk(in, a, 2, true, lstm_activations, prepare);
  }
  static std::vector<Sample> samples() {
    Attributes forward, reverse, both, coupled;
    reverse.direction = "reverse";
    reverse.activations = {"Sigmoid", "LeakyRelu", "Affine"};
    reverse.activation_alpha = {0.25f, 1.5f};
    both.direction = "bidirectional";
    both.layout = 1;
    coupled.input_forget = true;
    coupled.clip = 0.4f;
    return recurrent_samples<LSTM>(4, {forward, coupled, both, forward, reverse});
  }
};

constexpr const OpDef* recurrent_table[] = {&op_def<RNN>, &op_def<GRU>, &op_def<LSTM>};

template <class A>
A attributes_from(const RecurrentOptions& options) {
  A a;
  a.activation_alpha = options.activation_alpha;
  a.activation_beta = options.activation_beta;
  a.activations = options.activations;
  a.clip = options.clip;
  a.direction = options.direction;
  a.layout = options.layout;
  return a;
}

}  // namespace

std::span<const OpDef* const> recurrent_ops() { return recurrent_table; }

RecurrentResult rnn(const Operand& x, const Operand& w, const Operand& r, const Operand& b,
                    const Operand& sequence_lens, const Operand& initial_h, const RecurrentOptions& options) {
  const Tensors y =
      dispatch_all<RNN>(attributes_from<RNN::Attributes>(options), x, w, r, b, sequence_lens, initial_h);
  return {y[0], y[1], {}};
}

RecurrentResult gru(const Operand& x, const Operand& w, const Operand& r, const Operand& b,
                    const Operand& sequence_lens, const Operand& initial_h, const RecurrentOptions& options) {
  auto a = attributes_from<GRU::Attributes>(options);
  a.linear_before_reset = options.linear_before_reset;
  const Tensors y = dispatch_all<GRU>(a, x, w, r, b, sequence_lens, initial_h);
  return {y[0], y[1], {}};
}

RecurrentResult lstm(const Operand& x, const Operand& w, const Operand& r, const Operand& b,
                     const Operand& sequence_lens, const Operand& initial_h, const Operand& initial_c,
                     const Operand& p, const RecurrentOptions& options) {
  auto a = attributes_from<LSTM::Attributes>(options);
  a.input_forget = options.input_forget;
  const Tensors y = dispatch_all<LSTM>(a, x, w, r, b, sequence_lens, initial_h, initial_c, p);
  return {y[0], y[1], y[2]};
}

}  // namespace tandem
