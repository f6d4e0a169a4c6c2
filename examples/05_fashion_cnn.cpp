// Classify images with convolutions: they see edges and shapes wherever they are in the picture.
//
// The same data and the same training as lesson 04; only the model is another one, and better by three in a
// hundred. What to look at:
//   - a picture is (height, width, channels); the grey ones get a channel of their own by Reshape;
//   - each pooling halves the picture, so the next convolution sees twice as far;
//   - dropout is at work in training only: fit and evaluate know which is which.

#include "fashion.h"

namespace td = tandem;
namespace nn = td::nn;

int main(int argc, char** argv) {
  return fashion::run(argc, argv, [](int64_t steps) {
    const nn::Sequential model({nn::Input({28, 28}), nn::Reshape({28, 28, 1}),
                                nn::Conv2D(32, 3, "relu", {.padding = "same"}),            // 28 x 28
                                nn::MaxPooling2D(),                                        // 14 x 14
                                nn::Conv2D(64, 3, "relu", {.padding = "same"}),            //
                                nn::MaxPooling2D(),                                        // 7 x 7
                                nn::Dropout(0.25), nn::Flatten(), nn::Dense(128, "relu"),  //
                                nn::Dropout(0.4), nn::Dense(10)},
                               {.name = "fashion_cnn"});
    model.compile({.optimizer = nn::Adam(nn::schedules::CosineDecay(2e-3, static_cast<double>(steps))),
                   .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                   .metrics = {"accuracy"}});
    return model;
  });
}
