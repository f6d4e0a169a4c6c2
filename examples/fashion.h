#pragma once
// What the two lessons on Fashion-MNIST share: options, pictures, training in one mode or both, a report.

#include <tandem/tandem.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "options.h"

namespace fashion {

namespace td = tandem;
namespace nn = tandem::nn;

/// Pictures as float32 (count, 28, 28) between 0 and 1, and their classes.
struct Pictures {
  td::Tensor train_x, train_y, held_x, held_y;
};

/// Fashion-MNIST, or digits that Tandem draws where there are no files.
inline Pictures load(const lesson::Options& options) {
  td::data::Images images;
  if (std::filesystem::exists(options["data"])) {
    // Without test files the last 10,000 training pictures are held back.
    images = td::data::load_images(options["data"]);
  } else {
    std::cout << "There is no " << options["data"] << "; training on drawn digits instead.\n";
    const td::data::Digits train = td::data::digits(4'000, 1), held = td::data::digits(1'000, 2);
    images = {train.images, train.labels, held.images, held.labels};
  }
  const auto scaled = [](const td::Tensor& x) { return td::cast(x, td::float32) / 255; };
  Pictures p{scaled(images.train_images), images.train_labels, scaled(images.test_images),
             images.test_labels};
  if (const int64_t wanted = options.number("examples"); wanted < p.train_x.shape()[0]) {
    p.train_x = p.train_x[{{0, wanted}}];
    p.train_y = p.train_y[{{0, wanted}}];
  }
  return p;
}

/// What a training gave.
struct Result {
  std::vector<float> losses;  ///< of every step
  double accuracy;            ///< on the pictures held back
};

/// JSON with the losses as hexadecimal floats, so that not a bit is lost.
inline void write_json(const std::string& path, const std::map<std::string, Result>& results) {
  std::ofstream out(path);
  out << '{';
  const char* separator = "\n";
  for (const auto& [mode, result] : results) {
    out << separator << "  \"" << mode << "\": {\n    \"val_accuracy\": " << result.accuracy
        << ",\n    \"losses\": [";
    for (size_t i = 0; i < result.losses.size(); ++i) {
      char text[40];
      std::snprintf(text, sizeof text, "\"%a\"", static_cast<double>(result.losses[i]));
      out << (i > 0 ? ", " : "") << text;
    }
    out << "]\n  }";
    separator = ",\n";
  }
  out << "\n}\n";
  if (!out.flush()) throw std::runtime_error("could not write " + path);
}

/// Trains a fresh model in each mode, from the same seed: the mode is a property of the model, and changes
/// not one bit of what it learns.
inline int run(int argc, char** argv, const std::function<nn::Model(int64_t steps)>& make_model) try {
  const lesson::Options options(argc, argv,
                                {{"data", "../shared/data/fashion-mnist"},
                                 {"epochs", "10"},
                                 {"modes", "graph"},
                                 {"examples", "50000"},
                                 {"json", ""}});
  const int64_t epochs = options.number("epochs");
  const std::vector<std::string> modes = options.word("modes", {"eager", "graph", "both"}) == "both"
                                             ? std::vector<std::string>{"eager", "graph"}
                                             : std::vector{options["modes"]};
  const Pictures pictures = load(options);
  constexpr int64_t batch_size = 64;
  const int64_t steps = (pictures.train_x.shape()[0] + batch_size - 1) / batch_size * epochs;
  std::map<std::string, Result> results;
  for (const std::string& mode : modes) {
    td::random::seed(7);
    const nn::Model model = make_model(steps);
    if (results.empty()) std::cout << model.summary() << '\n';
    model.set_mode(mode == "eager" ? nn::Mode::eager : nn::Mode::graph);
    std::cout << "Training in mode " << mode << ":\n";
    const nn::History history =
        model.fit(pictures.train_x, pictures.train_y,
                  {.batch_size = batch_size,
                   .epochs = epochs,
                   .validation_data = td::nn::TrainingData(pictures.held_x, pictures.held_y),
                   .validation_batch_size = 500});
    const double accuracy = history.epochs.empty() ? 0 : history.epochs.back()["val_accuracy"];
    std::cout << "accuracy on pictures that it has not seen: " << accuracy << "\n\n";
    results[mode] = {history.step_losses, accuracy};
  }
  if (results.size() == 2)
    std::cout << (results["eager"].losses == results["graph"].losses
                      ? "Every loss is the same in both modes, to the last bit.\n"
                      : "The losses differ between the modes!\n");
  if (!options["json"].empty()) write_json(options["json"], results);
  return results.size() == 2 && results["eager"].losses != results["graph"].losses;
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}

}  // namespace fashion
