// Recurrent layers and attention.

#include "tests/layers.h"

namespace td = tandem;
namespace nn = td::nn;
using namespace tandem::testing;

namespace {

using Numbers = std::vector<double>;
using Tensors = std::vector<td::Tensor>;
using Shape = td::Shape;

/// A cell as users write them: a running sum of what a Dense makes of each step.
struct SumCell : nn::Module {
  nn::Dense dense = member("dense", nn::Dense(3));
  Tensors operator()(const Tensors& in) const {
    const td::Tensor sum = in[1] + dense(in[0]);
    return {td::tanh(sum), sum};
  }
};

const LayerRow rows[] = {
    {"SimpleRNN", [] { return nn::SimpleRNN(3); }, {2, 4, 2}, {2, 3}, 18},
    {"SimpleRNN sequences",
     [] { return nn::SimpleRNN(3, {.use_bias = false}, {.return_sequences = true, .unroll = false}); },
     {2, 4, 2},
     {2, 4, 3},
     15},
    {"LSTM", [] { return nn::LSTM(3); }, {2, 4, 2}, {2, 3}, 72},
    {"LSTM sequences",
     [] { return nn::LSTM(3, {.unit_forget_bias = false}, {.return_sequences = true}); },
     {2, 4, 2},
     {2, 4, 3},
     72},
    {"LSTM in a loop",
     [] { return nn::LSTM(3, {}, {.return_sequences = true, .unroll = false}); },
     {2, 4, 2},
     {2, 4, 3},
     72},
    {"LSTM backwards", [] { return nn::LSTM(3, {}, {.go_backwards = true}); }, {2, 4, 2}, {2, 3}, 72},
    {"LSTM dropout",
     [] { return nn::LSTM(3, {.dropout = 0.4, .recurrent_dropout = 0.3}); },
     {2, 4, 2},
     {2, 3},
     72,
     true},
    {"GRU", [] { return nn::GRU(3); }, {2, 4, 2}, {2, 3}, 63},
    {"GRU reset before",
     [] { return nn::GRU(3, {.reset_after = false}, {.return_sequences = true}); },
     {2, 4, 2},
     {2, 4, 3},
     54},
    {"RNN of a cell",
     [] { return nn::RNN(nn::GRUCell(3), {.return_sequences = true}); },
     {2, 4, 2},
     {2, 4, 3},
     63},
    {"RNN of one's own", [] { return nn::RNN(SumCell(), {}, {3}); }, {2, 4, 2}, {2, 3}, 9},
    {"Bidirectional", [] { return nn::Bidirectional(nn::LSTM(3)); }, {2, 4, 2}, {2, 6}, 144},
    {"Bidirectional sum",
     [] { return nn::Bidirectional(nn::GRU(3, {}, {.return_sequences = true}), {.merge_mode = "sum"}); },
     {2, 4, 2},
     {2, 4, 3},
     126},
    {"TimeDistributed", [] { return nn::TimeDistributed(nn::Dense(3, "tanh")); }, {2, 4, 2}, {2, 4, 3}, 9},
    {"MultiHeadAttention", [] { return nn::MultiHeadAttention(2, 3); }, {2, 4, 2}, {2, 4, 2}, 68},
    {"MultiHeadAttention causal",
     [] {
       return nn::MultiHeadAttention(
           2, 3, {.value_dim = 2, .use_bias = false, .output_size = 5, .use_causal_mask = true});
     },
     {2, 4, 2},
     {2, 4, 5},
     52},
    {"MultiHeadAttention dropout",
     [] { return nn::MultiHeadAttention(1, 2, {.dropout = 0.3}); },
     {2, 4, 2},
     {2, 4, 2},
     24,
     true},
};

td::Tensor doubles(Numbers values, const Shape& shape) { return td::from_vector(std::move(values), shape); }

void expect_near(const td::Tensor& found, const Numbers& wanted, double tolerance = 1e-12) {
  const Numbers values = td::cast(found, td::float64).to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], tolerance) << "at " << i;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

TEST(RecurrentLayers, HoldWhatEveryLayerDoes) {
  for (const LayerRow& row : rows) check_layer(row);
}

TEST(RecurrentLayers, LstmAndGruFollowTheirFormulas) {
  // One example, two steps, one feature, one unit.
  const td::Tensor x = doubles({0.5, -1}, {1, 2, 1});
  const nn::LSTM lstm(1);
  lstm(x);
  const Numbers k{0.1, -0.2, 0.3, 0.4}, r{0.5, 0.6, -0.7, 0.8}, b{0.01, 1.02, 0.03, -0.04};
  lstm.variables()[0].assign(doubles(k, {1, 4}));
  lstm.variables()[1].assign(doubles(r, {1, 4}));
  lstm.variables()[2].assign(doubles(b, {4}));
  double h = 0, c = 0;
  for (double v : {0.5, -1.}) {
    double z[4];
    for (size_t i = 0; i < 4; ++i) z[i] = v * k[i] + h * r[i] + b[i];
    c = sigmoid(z[1]) * c + sigmoid(z[0]) * std::tanh(z[2]);
    h = sigmoid(z[3]) * std::tanh(c);
  }
  expect_near(lstm(x), {h});
  std::vector<std::string> names;
  for (const auto& [name, variable] : lstm.named_parameters()) names.push_back(name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"lstm_cell/kernel", "lstm_cell/recurrent_kernel", "lstm_cell/bias"}));
  // The forget gate's bias begins with 1.
  const nn::LSTM fresh(2);
  fresh(td::zeros({1, 1, 1}));
  EXPECT_EQ(fresh.variables()[2].value().to_vector<float>(), (std::vector<float>{0, 0, 1, 1, 0, 0, 0, 0}));

  const nn::GRU gru(1);
  gru(x);
  gru.variables()[0].assign(doubles({0.1, -0.2, 0.3}, {1, 3}));
  gru.variables()[1].assign(doubles({0.5, 0.6, -0.7}, {1, 3}));
  gru.variables()[2].assign(doubles({0.01, 0.02, 0.03, -0.1, -0.2, -0.3}, {2, 3}));
  h = 0;
  for (double v : {0.5, -1.}) {
    const double z = sigmoid(0.1 * v + 0.01 + 0.5 * h - 0.1),
                 reset = sigmoid(-0.2 * v + 0.02 + 0.6 * h - 0.2);
    h = z * h + (1 - z) * std::tanh(0.3 * v + 0.03 + reset * (-0.7 * h - 0.3));
  }
  expect_near(gru(x), {h});
}

TEST(RecurrentLayers, GiveStatesAndTakeThem) {
  const td::Tensor x = wavy({2, 6, 3});
  const nn::LSTM whole(4, {}, {.return_sequences = true, .return_state = true});
  const Tensors all = whole(Tensors{x});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].shape(), (Shape{2, 6, 4}));
  expect_near(all[1], td::Tensor(all[0][{td::all, -1}]).to_vector<double>());
  // Two halves, the second from where the first ended, are the whole.
  const td::Tensor first = x[{td::all, {0, 3}}], second = x[{td::all, {3, 6}}];
  const Tensors half = whole(Tensors{first}), rest = whole(Tensors{second, half[1], half[2]});
  expect_near(td::concat({half[0], rest[0]}, 1), all[0].to_vector<double>());
  EXPECT_ERROR(whole(x),
               "lstm: the layer returns its states too: call it on a list, as "
               "layer(std::vector<td::Tensor>{x}) (layers_recurrent_test.cpp:LINE)");
  // A stateful layer goes on by itself.
  nn::GRU plain(4), kept(4, {}, {.stateful = true});
  plain(x);
  kept(x);
  kept.reset_state();
  for (size_t i = 0; i < 3; ++i) kept.variables()[i + 1].assign(plain.variables()[i].value());
  kept(first);
  expect_near(kept(second), plain(x).to_vector<double>());
  kept.reset_state();
  const auto graph = td::function([&](td::Tensor part) { return kept(part); });
  graph(first);
  expect_near(graph(second), plain(x).to_vector<double>());
}

TEST(RecurrentLayers, MaskedStepsChangeNothing) {
  // The first example has three steps, the second one.
  const td::Tensor mask = td::cast(td::Tensor({{1, 1, 1, 0}, {1, 0, 0, 0}}), td::boolean);
  const td::Tensor x = wavy({2, 4, 2});
  for (const bool unroll : {false, true}) {
    const nn::LSTM lstm(3, {}, {.return_sequences = true, .unroll = unroll});
    const td::Tensor y = lstm(x, {.mask = mask});
    const td::Tensor plain = lstm(x);
    const auto step = [](const td::Tensor& t, int64_t i, int64_t at) {
      return td::Tensor(t[{i, at}]).to_vector<double>();
    };
    expect_near(y[{0, 2}], step(plain, 0, 2));
    expect_near(y[{0, 3}], step(plain, 0, 2));  // the output before
    expect_near(y[{1, 3}], step(plain, 1, 0));
    const auto graph = td::function([&](td::Tensor t) { return lstm(t, {.mask = mask}); });
    EXPECT_TRUE(same_bits(graph(x), y));
  }
  expect_near(nn::GRU(3, {}, {.zero_output_for_mask = true})(x, {.mask = mask}), Numbers(6));
  const nn::GRU last(3), sequences(3, {}, {.return_sequences = true});
  const nn::MaskScope masks;
  const td::Tensor ids({{1, 2, 0}});
  const nn::Embedding words(3, 2, {.mask_zero = true});
  EXPECT_TRUE(nn::mask_of(sequences(words(ids))).defined());
  EXPECT_FALSE(nn::mask_of(last(words(ids))).defined());
}

TEST(RecurrentLayers, BackwardsIsForwardsOnTheTurnedInput) {
  const td::Tensor x = wavy({2, 5, 2});
  const nn::Bidirectional both(nn::SimpleRNN(3, {}, {.return_sequences = true}));
  const td::Tensor y = both(x);
  const nn::SimpleRNN one(3, {}, {.return_sequences = true});
  one(x);
  for (size_t i = 0; i < 3; ++i) one.variables()[i].assign(both.variables()[i + 3].value());
  expect_near(y[{td::all, td::all, {3, 6}}], td::flip(one(td::flip(x, {1})), {1}).to_vector<double>());
  EXPECT_EQ(both.named_parameters()[3].first, "backward_simple_rnn/simple_rnn_cell/kernel");
  EXPECT_EQ(both.parameter_count(), 36);
}

TEST(RecurrentLayers, UnrolledGraphsGiveTheSameBits) {
  const td::Tensor x = wavy({3, 6, 4}, 0.2, td::float32);
  td::random::seed(3);
  const nn::LSTM rolled(5, {}, {.unroll = false});
  rolled(x);
  td::random::seed(3);
  const nn::LSTM unrolled(5, {}, {.unroll = true});
  unrolled(x);
  const Tensors a = output_and_gradients(rolled, x, false), b = output_and_gradients(unrolled, x, false);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << i;
}

TEST(AttentionLayers, GiveKnownNumbers) {
  const td::Tensor query = doubles({1, 0}, {1, 1, 2}), value = doubles({1, 0, 0, 2, 5, 5}, {1, 3, 2});
  const td::Tensor key = doubles({2, 0, 0, 1, 0, 0}, {1, 3, 2});
  // Scores 2, 0, 0.
  const double e = std::exp(2), sum = e + 2;
  expect_near(nn::Attention()({query, value, key}), {(e + 5) / sum, 7 / sum});
  const double a = std::exp(std::tanh(3)), b = std::exp(2 * std::tanh(1)), c = std::exp(std::tanh(1));
  expect_near(nn::AdditiveAttention({.use_scale = false})({query, value, key}),
              {(a + 5 * c) / (a + b + c), (2 * b + 5 * c) / (a + b + c)});
  // What the value's mask leaves out has no weight.
  const nn::MaskScope masks;
  const td::Tensor masked = td::identity(value);
  nn::set_mask(masked, td::cast(td::Tensor({{1, 1, 0}}), td::boolean));
  expect_near(nn::Attention()({query, masked, key}), {e / (e + 1), 2 / (e + 1)});
  EXPECT_EQ(nn::Attention({.use_scale = true, .score_mode = "concat"})({query, value}).shape(),
            (Shape{1, 1, 2}));
}

TEST(AttentionLayers, HeadsAttendWhereTheyMay) {
  const nn::MultiHeadAttention attention(2, 3, {.return_attention_scores = true});
  const td::Tensor query = wavy({2, 3, 4}), value = wavy({2, 5, 6}, 1);
  const Tensors all = attention(Tensors{query, value});
  EXPECT_EQ(all[0].shape(), (Shape{2, 3, 4}));
  EXPECT_EQ(all[1].shape(), (Shape{2, 2, 3, 5}));
  expect_near(td::sum(all[1], {-1}), Numbers(12, 1));
  std::vector<std::string> names;
  for (const auto& [name, variable] : attention.named_parameters())
    names.push_back(name + td::to_string(variable.shape()));
  EXPECT_EQ(names,
            (std::vector<std::string>{"query/kernel(4, 2, 3)", "query/bias(2, 3)", "key/kernel(6, 2, 3)",
                                      "key/bias(2, 3)", "value/kernel(6, 2, 3)", "value/bias(2, 3)",
                                      "attention_output/kernel(2, 3, 4)", "attention_output/bias(4,)"}));
  // A mask of one's own, and the causal one.
  const td::Tensor allowed = td::cast(td::reshape(td::Tensor({1, 0, 1, 0, 0}), {1, 1, 5}), td::boolean);
  const td::Tensor scores = attention(Tensors{query, value, allowed})[1];
  expect_near(scores[{td::all, td::all, td::all, 1}], Numbers(12));
  const nn::MultiHeadAttention causal(1, 2, {.use_causal_mask = true, .return_attention_scores = true});
  const td::Tensor triangle = causal(Tensors{wavy({1, 3, 2})})[1];
  expect_near(td::triu(triangle, 1), Numbers(9));
  // By hand: one head that only reads.
  const td::Tensor x = wavy({1, 3, 2});
  const nn::MultiHeadAttention one(1, 2, {.use_bias = false});
  one(x);
  const auto kernel = [&](size_t i, const Shape& shape) {
    return td::reshape(one.variables()[i].value(), shape);
  };
  const td::Tensor q = td::matmul(x, kernel(0, {2, 2})), k = td::matmul(x, kernel(1, {2, 2}));
  const td::Tensor weights = td::softmax(td::matmul(q, td::transpose(k, {0, 2, 1})) / std::sqrt(2.));
  const td::Tensor wanted =
      td::matmul(td::matmul(weights, td::matmul(x, kernel(2, {2, 2}))), kernel(3, {2, 2}));
  expect_near(one(x), wanted.to_vector<double>());
}
