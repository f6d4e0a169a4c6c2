#pragma once
// What the tests of layers share: a table's row, and everything that holds for every layer.

#include <cstdio>
#include <functional>

#include "tandem/gradient_check.h"
#include "tandem/nn.h"
#include "tandem/tandem.h"
#include "tests/lines.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace tandem::testing {

/// One layer on one input.
struct LayerRow {
  const char* name;
  std::function<nn::Layer()> make;
  Shape input;  ///< with the batch
  Shape output;
  int64_t parameters = 0;
  bool training = false;  ///< gradients are taken as in training
  bool smooth = true;     ///< has gradients where the test looks
  /// The input, where the usual one would not do.
  std::function<Tensor(const Shape& shape)> values = {};
};

/// Numbers without a pattern that a layer could hide behind.
inline Tensor wavy(const Shape& shape, double phase = 0.3, DType dtype = DType::f64) {
  std::vector<double> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = std::cos(0.7 * static_cast<double>(i) + phase);
  return cast(from_vector(std::move(values), shape), dtype);
}

/// Output, then the gradients of a weighted sum of it with respect to the input and all trainable variables.
inline std::vector<Tensor> output_and_gradients(const nn::Layer& layer, const Tensor& x, bool training) {
  GradientTape tape;
  std::vector<GradientSource> sources;
  if (is_floating(x.dtype())) sources.emplace_back(x);
  for (const Variable& v : layer.trainable_variables()) sources.emplace_back(v);
  for (const GradientSource& s : sources) tape.watch(s);
  const Tensor y = layer(x, {.training = training});
  const Tensor weights = cos(cast(arange(size_of(y)), y.dtype()) * 1.3);
  const Tensor loss = sum(reshape(y, {-1}) * weights);
  std::vector<Tensor> results{y};
  for (Tensor& d : tape.gradients({&loss, 1}, sources)) results.push_back(std::move(d));
  return results;
}

inline double weighted_output(const nn::Layer& layer, const Tensor& x, bool training) {
  const Tensor y = layer(x, {.training = training});
  const Tensor weights = cos(cast(arange(size_of(y)), y.dtype()) * 1.3);
  return sum(reshape(y, {-1}) * weights).item<double>();
}

/// Central differences of what output_and_gradients differentiates, for one element of a variable.
inline double difference(const nn::Layer& layer, const Tensor& x, const Variable& v, int64_t at,
                         bool training) {
  constexpr double step = 1e-5;
  const Tensor before = v.value();
  double sums[2];
  for (int side = 0; side < 2; ++side) {
    std::vector<double> values = before.to_vector<double>();
    values[static_cast<size_t>(at)] += side == 0 ? -step : step;
    v.assign(from_vector(std::move(values), before.shape()));
    random::seed(7);
    sums[side] = weighted_output(layer, x, training);
    v.assign(before);
  }
  return (sums[1] - sums[0]) / (2 * step);
}

/// Everything that holds for every layer: sizes, parameters, eager equals graph to the bit (in inference and
/// in training, with gradients), gradients, weights that are saved and loaded.
inline void check_layer(const LayerRow& row) {
  SCOPED_TRACE(row.name);
  const nn::Layer layer = row.make();
  const Tensor x = row.values ? row.values(row.input) : wavy(row.input);
  random::seed(7);
  const Tensor y = layer(x);
  EXPECT_EQ(y.shape(), row.output);
  EXPECT_EQ(layer.parameter_count(), row.parameters);

  // Described by a model whose batch is unknown.
  Shape example = row.input;
  example.erase(0);
  const nn::Layer other = row.make();
  const nn::Value described = other(nn::Input(example, {.dtype = x.dtype()}));
  Shape with_batch = row.output;
  with_batch[0] = -1;
  EXPECT_EQ(described.shape(), with_batch);
  EXPECT_EQ(other.parameter_count(), row.parameters);

  // In a graph, also one whose batch is unknown.
  std::vector<Tensor> state;
  for (const Variable& v : layer.variables()) state.push_back(v.value());
  const auto restore = [&] {
    for (size_t i = 0; i < state.size(); ++i) layer.variables()[i].assign(state[i]);
    random::seed(7);
  };
  for (const bool training : {false, true}) {
    SCOPED_TRACE(training ? "in training" : "in inference");
    const auto run = [&](const Tensor& input) { return output_and_gradients(layer, input, training); };
    restore();
    const std::vector<Tensor> eager = run(x);
    std::vector<Tensor> assigned;
    for (const Variable& v : layer.variables()) assigned.push_back(v.value());
    for (const bool unknown : {false, true}) {
      FunctionOptions options;
      Shape signature = row.input;
      if (unknown) signature[0] = -1;
      options.input_signature = {spec(signature, x.dtype())};
      const Function<std::vector<Tensor>(Tensor)> graph(run, options);
      restore();
      const std::vector<Tensor> traced = graph(x);
      ASSERT_EQ(traced.size(), eager.size());
      EXPECT_EQ(lines_of_the_library(graph), "");
      for (size_t i = 0; i < eager.size(); ++i) {
        if (!eager[i].defined()) continue;
        EXPECT_TRUE(same_bits(eager[i], traced[i])) << (unknown ? "unknown batch, " : "") << "result " << i
                                                    << ": " << traced[i] << "\neagerly " << eager[i];
      }
      for (size_t i = 0; i < assigned.size(); ++i)
        EXPECT_TRUE(same_bits(assigned[i], layer.variables()[i].value())) << "variable " << i;
    }
    restore();
    if (!row.smooth || training != row.training) continue;
    const GradientCheck check = check_gradients(
        [&](const std::vector<Tensor>& inputs) {
          restore();
          return reshape(layer(inputs[0], {.training = training}), {-1});
        },
        {x});
    EXPECT_LT(check.largest_error, 1e-5) << "with respect to the input";
    const std::vector<Variable> trainable = layer.trainable_variables();
    for (size_t i = 0; i < trainable.size(); ++i) {
      const Tensor& gradient = eager[i + 2];
      ASSERT_TRUE(gradient.defined()) << trainable[i].name();
      const std::vector<double> analytic = gradient.to_vector<double>();
      for (size_t at = 0; at < analytic.size(); at += 1 + analytic.size() / 7) {
        restore();
        EXPECT_NEAR(difference(layer, x, trainable[i], static_cast<int64_t>(at), training), analytic[at],
                    1e-5 * std::max(1., std::abs(analytic[at])))
            << trainable[i].name() << " at " << at;
      }
    }
    restore();
  }

  // A clone begins anew and goes its own way.
  const nn::Layer copy = nn::clone(layer);
  EXPECT_EQ(copy(x).shape(), row.output);
  ASSERT_EQ(copy.variables().size(), layer.variables().size());
  for (size_t i = 0; i < copy.variables().size(); ++i)
    EXPECT_FALSE(copy.variables()[i].is(layer.variables()[i])) << "shared by a clone: variable " << i;

  if (row.parameters == 0) return;
  const std::string path = ::testing::TempDir() + "layer_" + std::to_string(getpid()) + ".safetensors";
  save_weights(layer, path);
  load_weights(other, path);
  random::seed(7);
  EXPECT_TRUE(same_bits(other(x), y)) << "with loaded weights";
  std::remove(path.c_str());
}

}  // namespace tandem::testing
