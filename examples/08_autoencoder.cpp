// An autoencoder: pictures squeezed through 16 numbers and back, by two models inside a third.
//
// Nothing is labelled here: the picture is its own target. What to look at:
//   - models are layers, so an encoder and a decoder make a third model, and can be used alone afterwards;
//   - the optimizer keeps a moving average of the weights, which fit puts in place at its end.

#include "fashion.h"

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// Draws pictures side by side, in five shades.
void draw(const std::vector<td::Tensor>& pictures) {
  for (int row = 0; row < 28; row += 2) {
    for (const td::Tensor& picture : pictures) {
      for (const float shade : picture[row].to_vector<float>())
        std::cout << " .:+#"[std::min(4, static_cast<int>(shade * 5))];
      std::cout << "  ";
    }
    std::cout << '\n';
  }
}

void run(const lesson::Options& options) {
  td::random::seed(5);
  const fashion::Pictures pictures = fashion::load(options);

  const nn::Sequential encoder({nn::Flatten(), nn::Dense(128, "relu"), nn::Dense(16)}, {.name = "encoder"});
  const nn::Sequential decoder({nn::Dense(128, "relu"), nn::Dense(784, "sigmoid"), nn::Reshape({28, 28})},
                               {.name = "decoder"});
  const auto input = nn::Input({28, 28});
  const nn::Model model(input, decoder(encoder(input)), {.name = "autoencoder"});
  std::cout << model.summary() << '\n';

  model.compile({.optimizer = nn::Adam(2e-3, {}, {.use_ema = true, .ema_momentum = 0.98}), .loss = "mse"});
  model.fit(pictures.train_x, pictures.train_x,
            {.batch_size = 128,
             .epochs = options.number("epochs"),
             .validation_data = nn::TrainingData(pictures.held_x, pictures.held_x),
             .validation_batch_size = 500});

  const td::Tensor some = pictures.held_x[{{0, 3}}], codes = encoder(some), again = decoder(codes);
  std::cout << "a picture is 784 numbers, its code 16: " << codes[0]
            << "\n\npictures, and what their codes say of them:\n";
  draw({some[0], again[0], some[1], again[1]});
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(lesson::Options(argc, argv,
                        {{"data", "../shared/data/fashion-mnist"}, {"epochs", "5"}, {"examples", "20000"}}));
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
