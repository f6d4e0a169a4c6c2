// Classify flowers from a table: a first network, from the CSV file to predictions by name.
//
// Edgar Anderson measured 150 irises of three species. What to look at:
//   - the file has no header, so the columns get their names here; the texts of the last are categories;
//   - a normalization layer learns how large and how different the measures are, and goes with the model;
//   - a confusion matrix says more than a share of right answers: which species are taken for which.

#include <tandem/tandem.h>

#include <exception>
#include <filesystem>
#include <iomanip>
#include <iostream>

#include "options.h"

namespace td = tandem;
namespace nn = td::nn;

namespace {

const std::vector<std::string> measures = {"sepal length", "sepal width", "petal length", "petal width"};

struct Flowers {
  td::Tensor x;  ///< (flowers, 4): the measures in cm
  td::Tensor y;  ///< (flowers): the species' code
  std::vector<std::string> species;
};

Flowers read_flowers(const std::string& path) {
  std::vector<std::string> names = measures;
  names.push_back("species");
  const auto table = td::data::read_csv(path, {.header = false, .names = names});
  return {table.matrix(measures), table["species"], table.column("species").categories};
}

/// Three species that Tandem thought of, for where there is no file.
Flowers invent_flowers() {
  const td::Tensor typical = {{5.0f, 3.4f, 1.5f, 0.2f}, {5.9f, 2.8f, 4.3f, 1.3f}, {6.6f, 3.0f, 5.6f, 2.0f}};
  const td::Tensor y = td::floor_mod(td::arange(150), 3);
  return {td::gather(typical, y) + td::random::normal({150, 4}, 0, 0.3), y, {"small", "medium", "large"}};
}

void run(const std::string& path) {
  td::random::seed(1);
  const bool there = std::filesystem::exists(path);
  if (!there) std::cout << "There is no " << path << "; learning from invented flowers instead.\n";
  const Flowers flowers = there ? read_flowers(path) : invent_flowers();
  const auto classes = static_cast<int64_t>(flowers.species.size());

  // The file is sorted by species, so it is mixed first. 120 flowers to learn from, 30 to see what was
  // learned.
  const td::Tensor order = td::random::permutation(flowers.x.shape()[0]);
  const td::Tensor x = td::gather(flowers.x, order), y = td::gather(flowers.y, order);
  const td::Tensor train_x = x[{{0, 120}}], train_y = y[{{0, 120}}];
  const td::Tensor test_x = x[{{120, 150}}], test_y = y[{{120, 150}}];

  const nn::Normalization normalization;
  normalization.adapt(train_x);
  const nn::Sequential model(
      {nn::Input({4}), normalization, nn::Dense(16, "relu"), nn::Dense(classes, "softmax")},
      {.name = "iris"});
  std::cout << model.summary() << '\n';

  model.compile(
      {.optimizer = nn::Adam(0.01), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  model.fit(train_x, train_y, {.batch_size = 16, .epochs = 30, .verbose = 0});
  std::cout << "learned from: " << model.evaluate(train_x, train_y) << '\n'
            << "never seen:   " << model.evaluate(test_x, test_y) << "\n\n";

  const td::Tensor probabilities = model.predict(test_x);
  const nn::ConfusionMatrix confusion(classes);
  confusion.update(probabilities, test_y);
  const td::Tensor counts = td::cast(confusion.result(), td::int64);
  std::cout << "The 30 flowers that it has not seen, by species, and what it takes them for:\n"
            << std::setw(18) << "";
  for (const std::string& name : flowers.species) std::cout << std::setw(17) << name;
  for (int64_t row = 0; row < classes; ++row) {
    std::cout << '\n' << std::setw(18) << flowers.species[static_cast<size_t>(row)];
    for (const int64_t count : td::Tensor(counts[row]).to_vector<int64_t>())
      std::cout << std::setw(17) << count;
  }

  const td::Tensor likely = td::argmax(probabilities, 1);
  std::cout << "\n\nThe first three of them:\n" << std::fixed << std::setprecision(1);
  for (int64_t i = 0; i < 3; ++i) {
    for (size_t m = 0; m < measures.size(); ++m)
      std::cout << measures[m] << ' ' << td::Tensor(test_x[{i, m}]).item<float>() << ", ";
    const int64_t best = td::Tensor(likely[i]).item<int64_t>(), right = td::Tensor(test_y[i]).item<int64_t>();
    std::cout << "so " << 100 * td::Tensor(probabilities[{i, best}]).item<float>() << " % "
              << flowers.species[static_cast<size_t>(best)]
              << (best == right ? ": right\n"
                                : ": no, " + flowers.species[static_cast<size_t>(right)] + '\n');
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const lesson::Options options(argc, argv, {{"data", "../shared/data/iris"}});
    run(options["data"] + "/iris.data");
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
