// Classify images with dense layers: a functional model, compile and fit, in either mode.
//
// Fashion-MNIST is 70,000 pictures of clothes, 28 by 28, in ten classes. A multilayer perceptron sees the
// pixels as one long vector. What to look at:
//   - layers are called on Values to describe a model, and have their sizes from there;
//   - the learning rate is a schedule: high at first, almost nothing in the end;
//   - set_mode (in fashion.h) is all that eager and graph training differ by.
//
// Try: --modes both --epochs 3, and compare the times.

#include "fashion.h"

namespace td = tandem;
namespace nn = td::nn;

int main(int argc, char** argv) {
  return fashion::run(argc, argv, [](int64_t steps) {
    const auto pictures = nn::Input({28, 28});
    auto h = nn::Flatten()(pictures);
    h = nn::Dense(256, "relu")(h);
    h = nn::Dropout(0.2)(h);
    h = nn::Dense(128, "relu")(h);
    nn::Model model(pictures, nn::Dense(10)(h), {.name = "fashion_mlp"});
    model.compile({.optimizer = nn::Adam(nn::schedules::CosineDecay(2e-3, static_cast<double>(steps))),
                   .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
}
