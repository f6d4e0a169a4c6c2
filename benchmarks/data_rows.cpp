// Whether a training step waits for its data: the step fed by a pipeline, against the step on a batch at
// hand.

#include <tandem/tandem.h>

#include "rows.h"

namespace tandem::bench {

namespace {

constexpr int64_t batch_size = 32;

/// A layer of softmax regression over a hidden one, trained by plain descent: 784-256-10.
struct Network {
  Variable w1{random::normal({784, 256}, 0, 0.05)}, b1{zeros({256})}, w2{random::normal({256, 10}, 0, 0.05)},
      b2{zeros({10})};

  Tensor train(const Tensor& x, const Tensor& y) const {
    GradientTape tape;
    const Tensor hidden = relu(matmul(reshape(x, {-1, 784}), w1) + b1);
    const Tensor loss = mean(nn::sparse_softmax_cross_entropy(matmul(hidden, w2) + b2, y));
    const std::vector<Variable> variables = {w1, b1, w2, b2};
    const std::vector<Tensor> gradients = tape.gradient(loss, variables);
    for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(0.01f * gradients[i]);
    return loss;
  }
};

}  // namespace

void data_rows(Harness& harness) {
  if (!harness.wants("fed_step")) return;
  const data::Digits digits = data::digits(20000);
  const auto train = data::Dataset::from_tensors({digits.images, digits.labels})
                         .shuffle(1)
                         .batch(batch_size, {.drop_remainder = true})
                         .map([](const Tensor& x, const Tensor& y) {
                           return Nest{cast(x, float32) / 255.f, y};
                         })
                         .prefetch(8)
                         .repeat();
  const Network network;
  auto step = function([&](Tensor x, Tensor y) { return network.train(x, y); });
  data::Iterator batches = train.iterate();
  const Nest at_hand = *batches.next();
  harness.compare(
      "fed_step",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) {
          const Nest batch = *batches.next();
          keep(step(batch[0].leaf(), batch[1].leaf()));
        }
      },
      "the same step on a batch at hand",
      [&](int64_t times) {
        for (int64_t i = 0; i < times; ++i) keep(step(at_hand[0].leaf(), at_hand[1].leaf()));
      });
  harness.note(
      "    shuffled, batched, converted and prefetched in the background: 1.00 is a step that never waits");
}

}  // namespace tandem::bench
