// What fit and predict cost beside the work itself: 784-128-10, relu, as graphs.

#include <tandem/tandem.h>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr int64_t batch = 32, steps = 64, inputs = 784, classes = 10;

nn::Sequential network() {
  nn::Sequential model({nn::Input({inputs}), nn::Dense(128, "relu"), nn::Dense(classes)});
  model.set_mode(nn::Mode::graph);
  return model;
}

const nn::Loss loss = nn::SparseCategoricalCrossentropy({.from_logits = true});

}  // namespace

void fit_rows(Harness& harness) {
  random::seed(1);
  const Tensor images = random::uniform({steps * batch, inputs});
  const Tensor labels = random::randint(0, classes, {steps * batch});
  if (harness.wants("fit_overhead")) {
    // One piece of work is an epoch, in place order: the bare loop cuts the same batches from the arrays.
    nn::Sequential fitted = network();
    fitted.compile({.optimizer = nn::SGD(0.01), .loss = loss});
    const auto fit = [&](int64_t times) {
      fitted.fit(images, labels, {.batch_size = batch, .epochs = times, .shuffle = false, .verbose = 0});
    };
    const nn::Sequential bare = network();
    const nn::SGD optimizer(0.01);
    const auto step = function([&](Tensor x, Tensor y) {
      GradientTape tape;
      const Tensor value = loss(bare(x, {.training = true}), y);
      const std::vector<Variable> variables = bare.trainable_variables();
      optimizer.apply_gradients(tape.gradient(value, variables), variables);
      return value;
    });
    const auto loop = [&](int64_t times) {
      for (int64_t i = 0; i < times; ++i)
        for (int64_t begin = 0; begin < steps * batch; begin += batch) {
          const Index rows(begin, begin + batch);
          keep(step(images[{rows}], labels[{rows}]).item<float>());
        }
    };
    harness.compare("fit_overhead", fit, "bare loop", loop);
    harness.note("an epoch of 64 batches of 32 by fit, over the same steps in a loop of one's own");
  }
  if (harness.wants("fit_shuffled")) {
    nn::Sequential ordered = network(), shuffled = network();
    for (nn::Sequential* model : {&ordered, &shuffled})
      model->compile({.optimizer = nn::SGD(0.01), .loss = loss});
    const auto fit = [&](nn::Sequential& model, bool shuffle, int64_t times) {
      model.fit(images, labels, {.batch_size = batch, .epochs = times, .shuffle = shuffle, .verbose = 0});
    };
    harness.compare(
        "fit_shuffled", [&](int64_t times) { fit(shuffled, true, times); }, "in order",
        [&](int64_t times) { fit(ordered, false, times); });
    harness.note("the same epoch with its examples gathered in random order, over fit in order");
  }
  if (harness.wants("predict_one")) {
    const nn::Sequential model = network();
    const Tensor x = images[{Index(0, 1)}];
    harness.compare(
        "predict_one",
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) keep(model.predict(x));
        },
        "direct call",
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) keep(model(x));
        });
    harness.note("predict on one example, over calling the model on it");
  }
}

}  // namespace tandem::bench
