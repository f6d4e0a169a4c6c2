// Transfer learning: what a network from an ONNX file has learned to see, used for something else.
//
// Somebody trained a network on thousands of digits from 0 to 4 and shipped it as ONNX. Of the digits from 5
// to 9 there are only 50 pictures. What to look at:
//   - a loaded ONNX model is a function of tensors, so a module around it is a layer like any other;
//   - its variables are frozen (stop_gradient), so the few pictures only train the new head;
//   - the same head on the bare pixels shows what the borrowed eyes are worth.
//
// Any ONNX file whose output are features will do; this one is made here so that the lesson needs no
// download.

#include <tandem/tandem.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <string>

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// Drawn digits, as float32, of which `first` to `first + 4` are kept and called 0 to 4.
std::pair<td::Tensor, td::Tensor> digits_from(int64_t first, int64_t count, uint64_t seed) {
  const td::data::Digits all = td::data::digits(count, seed);
  const td::Tensor kept = td::logical_and(all.labels >= first, all.labels < first + 5);
  const td::Tensor chosen = td::squeeze(td::nonzero(kept), {0});
  return {td::cast(td::gather(all.images, chosen), td::float32) / 255,
          td::gather(all.labels, chosen) - first};
}

/// The other people's work: a network for 0 to 4, of which all but the last layers goes into the file.
void ship_features(const std::string& path) {
  const auto [x, y] = digits_from(0, 6'000, 1);
  const nn::Sequential features({nn::Input({28, 28}), nn::Reshape({28, 28, 1}), nn::Conv2D(16, 3, "relu"),
                                 nn::MaxPooling2D(), nn::Conv2D(32, 3, "relu"), nn::MaxPooling2D(),
                                 nn::Conv2D(32, 3, "relu"), nn::Flatten()});
  const nn::Sequential whole({features, nn::Dense(32, "relu"), nn::Dense(5)});
  whole.compile({.optimizer = "adam",
                 .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  whole.fit(x, y, {.epochs = 3});
  td::save(td::function(features), path, td::spec({-1, 28, 28}));
}

/// A network from a file, which stays as it is.
struct Borrowed : nn::Module {
  explicit Borrowed(const std::string& path) : network_(td::load(path)) {}
  td::Tensor operator()(const td::Tensor& x) const { return td::stop_gradient(network_({x})[0]); }

 private:
  td::LoadedModel network_;
};

/// Trains a head on what `eyes` see in a few pictures; the accuracy on many others.
double accuracy_with(const nn::Layer& eyes) {
  td::random::seed(3);
  const auto [few_x, few_y] = digits_from(5, 100, 2);
  const auto [many_x, many_y] = digits_from(5, 2'000, 4);
  const nn::Sequential model({nn::Input({28, 28}), eyes, nn::Dense(5)});
  model.compile({.optimizer = nn::Adam(0.003),
                 .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  model.fit(few_x, few_y, {.batch_size = 10, .epochs = 30, .verbose = 0});
  return model.evaluate(many_x, many_y)["accuracy"];
}

}  // namespace

int main() {
  td::random::seed(1);
  const std::string name = "tandem_lesson_features_" + std::to_string(getpid()) + ".onnx";
  const std::string path = (std::filesystem::temp_directory_path() / name).string();
  std::cout << "Somebody trains a network on digits from 0 to 4, and ships what it sees in them:\n";
  ship_features(path);
  const Borrowed borrowed(path);
  std::filesystem::remove(path);

  const auto percent = [](double share) { return std::round(share * 1000) / 10; };
  std::cout << "\nDigits from 5 to 9, learned from some 50 pictures; right on others:\n"
            << "  by a head on the pixels              " << percent(accuracy_with(nn::Flatten())) << " %\n"
            << "  by a head on the borrowed features   " << percent(accuracy_with(nn::Layer(borrowed)))
            << " %\n";
}
