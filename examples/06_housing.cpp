// Regress house prices from a table: CSV, missing values, categories, and a network against a straight line.
//
// Each row is a block of houses in California, and what a house there costs. What to look at:
//   - read_csv finds the columns' types; what is missing gets a value, texts become categories;
//   - numbers of very different sizes are made alike: logarithms for counts, then a Normalization layer that
//     learns means and deviations, and so becomes part of the model;
//   - where a block lies is told in waves over the map, from which a network can make any landscape; the
//     class that does it is a layer, as every Module with a call operator is;
//   - a linear regression says what the network must beat.

#include <tandem/tandem.h>

#include <cmath>
#include <exception>
#include <filesystem>
#include <iostream>

#include "options.h"

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// A row a block.
struct Table {
  td::Tensor x;      ///< inputs
  td::Tensor plain;  ///< the same as the file has them
  td::Tensor y;      ///< prices in 100,000 dollars
};

/// Puts waves of four lengths and directions behind the inputs, of which the first two are a place.
struct Waves : nn::Module {
  td::Tensor operator()(const td::Tensor& x) const {
    static const td::Tensor directions = {{1.f, 0.f, 1.f, 1.f}, {0.f, 1.f, 1.f, -1.f}};
    const td::Tensor along = td::matmul(x[{td::all, {0, 2}}], directions);
    std::vector<td::Tensor> parts = {x};
    for (int frequency = 1; frequency <= 4; ++frequency) {
      parts.push_back(td::sin(along * frequency));
      parts.push_back(td::cos(along * frequency));
    }
    return td::concat(parts, 1);
  }
};

Table read_table(const std::string& path) {
  // 207 blocks do not say how many bedrooms they have; 435 is the median of the others.
  const auto table = td::data::read_csv(path, {.fill = {{"total_bedrooms", 435}}});
  std::cout << table.rows() << " blocks; proximity to the ocean is one of:";
  const auto& proximity = table.column("ocean_proximity");
  for (const std::string& text : proximity.categories) std::cout << " \"" << text << '"';
  std::cout << '\n';

  const td::Tensor places = table.matrix({"longitude", "latitude", "housing_median_age"});
  const td::Tensor counts = table.matrix({"total_rooms", "total_bedrooms", "population", "households"});
  const td::Tensor income = table.matrix({"median_income"});
  const td::Tensor shore = td::one_hot(proximity.values, static_cast<int64_t>(proximity.categories.size()));
  // Differences of logarithms are ratios: rooms a household, people a room.
  return {.x = td::concat({places, td::log(counts), td::log(income), shore}, 1),
          .plain = td::concat({places, counts, income, shore}, 1),
          .y = table.matrix({"median_house_value"}) / 100'000};
}

/// A table to play with where there is none: a curved landscape with some noise.
Table invent_table() {
  const td::Tensor x = td::random::uniform({2'000, 8}, -1, 1);
  const td::Tensor bends = td::sin(3 * x[{td::all, {0, 2}}]);
  const td::Tensor noise = td::random::normal({2'000, 1}, 0, 0.1);
  return {x, x, 2 + td::sum(bends * td::square(x[{td::all, {2, 4}}]), {1}, true) + noise};
}

double rmse(const td::Tensor& predictions, const td::Tensor& truth) {
  return std::sqrt(td::mean(td::square(td::cast(predictions - truth, td::float64))).item<double>());
}

/// The best straight line through the training rows, and how far it is off on the others.
double linear_regression(const Table& train, const Table& held) {
  const auto with_one = [](const td::Tensor& x) {
    return td::cast(td::concat({x, td::ones({x.shape()[0], 1})}, 1), td::float64);
  };
  const td::Tensor x = with_one(train.plain), y = td::cast(train.y, td::float64);
  const td::Tensor ridge = 1e-6 * td::eye(x.shape()[1], nullptr, 0, td::float64);
  const td::Tensor w =
      td::linalg::solve(td::matmul(td::transpose(x), x) + ridge, td::matmul(td::transpose(x), y));
  return rmse(td::cast(td::matmul(with_one(held.plain), w), td::float32), held.y);
}

int run(const lesson::Options& options) {
  td::random::seed(3);
  const std::string path = options["data"] + "/housing.csv";
  Table all;
  if (std::filesystem::exists(path)) {
    all = read_table(path);
  } else {
    std::cout << "There is no " << path << "; learning from an invented table instead.\n";
    all = invent_table();
  }

  // A fifth of the blocks, drawn at random, is held back.
  const int64_t rows = all.x.shape()[0], held_rows = rows / 5, columns = all.x.shape()[1];
  const td::Tensor order = td::random::permutation(rows);
  const auto choose = [&](const td::Tensor& which) {
    return Table{td::gather(all.x, which), td::gather(all.plain, which), td::gather(all.y, which)};
  };
  const Table held = choose(order[{{0, held_rows}}]), train = choose(order[{{held_rows, rows}}]);

  const td::Tensor m = td::mean(train.x, {0}), sd = td::sqrt(td::mean(td::square(train.x - m), {0}));
  const nn::Activation normalization([m, sd](const td::Tensor& x) { return (x - m) / sd; });
  const auto input = nn::Input({columns});
  auto h = nn::Layer(Waves())(normalization(input));
  for (int i = 0; i < 3; ++i) {
    h = nn::Dense(256, "swish", {.kernel_initializer = "he_normal"})(h);
    h = nn::Dropout(0.1)(h);
  }
  const nn::Model model(input, nn::Dense(1)(h), {.name = "housing"});

  const int64_t epochs = options.number("epochs"), batch_size = 128;
  const int64_t steps = epochs * ((rows - held_rows) / batch_size + 1);
  model.compile({.optimizer = nn::AdamW(nn::schedules::CosineDecay(3e-3, static_cast<double>(steps)), {},
                                        {.weight_decay = 0.01}),
                 .loss = "mse"});
  model.fit(train.x, train.y, {.batch_size = batch_size, .epochs = epochs});

  const double line = linear_regression(train, held), network = rmse(model.predict(held.x), held.y);
  std::cout << "root mean squared error on the blocks held back, in dollars:\n"
            << "  linear regression " << std::round(line * 100'000) << "\n"
            << "  network           " << std::round(network * 100'000) << ", better by "
            << std::round((1 - network / line) * 1000) / 10 << " %\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(
        lesson::Options(argc, argv, {{"data", "../shared/data/california-housing"}, {"epochs", "40"}}));
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
