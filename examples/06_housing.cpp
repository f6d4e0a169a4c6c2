// Regress house prices from a table: CSV, missing values, categories; better than a straight line.
//
// Each row is a block of houses in California, and what a house there costs. What to look at:
//   - read_csv finds the columns' types; what is missing gets a value, texts become the codes of categories;
//   - the model takes the columns as the file has them: what prepares them are layers, and so go with it when
//     it is saved. Normalization learns means and deviations by adapt, before training;
//   - where a block lies is told in waves over the map, from which a network can make any landscape; the
//     class that does it is a layer, as every Module with a call operator is;
//   - a data set is split once, then shuffled and cut into batches while the model trains;
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

const std::vector<std::string> number_columns = {"longitude",   "latitude",       "housing_median_age",
                                                 "total_rooms", "total_bedrooms", "population",
                                                 "households",  "median_income"};

/// A row a block.
struct Table {
  td::Tensor numbers;    ///< (blocks, 8): the columns above
  td::Tensor proximity;  ///< (blocks, 1): how near the sea is, as the code of a text
  td::Tensor prices;     ///< (blocks, 1), in 100,000 dollars
  int64_t categories = 0;
};

Table read_table(const std::string& path) {
  // 207 blocks do not say how many bedrooms they have; 435 is the median of the others.
  const auto file = td::data::read_csv(path, {.fill = {{"total_bedrooms", 435}}});
  const auto& proximity = file.column("ocean_proximity");
  std::cout << file.rows() << " blocks; proximity to the ocean is one of:";
  for (const std::string& text : proximity.categories) std::cout << " \"" << text << '"';
  std::cout << '\n';
  return {.numbers = file.matrix(number_columns),
          .proximity = td::unsqueeze(proximity.values, {1}),
          .prices = file.matrix({"median_house_value"}) / 100'000,
          .categories = static_cast<int64_t>(proximity.categories.size())};
}

/// A table to play with where there is none: a curved landscape with some noise.
Table invent_table() {
  const td::Tensor places = td::random::uniform({2'000, 2}, -1, 1);
  const td::Tensor counts = td::exp(td::random::uniform({2'000, 6}, -1, 1));
  const td::Tensor height = td::sum(td::sin(3 * places) * td::log(counts[{td::all, {0, 2}}]), {1}, true);
  return {.numbers = td::concat({places, counts}, 1),
          .proximity = td::random::randint(0, 3, {2'000, 1}),
          .prices = 2 + height + td::random::normal({2'000, 1}, 0, 0.1),
          .categories = 3};
}

/// Logarithms of what is counted or earned, the last five columns: their differences are ratios, as rooms a
/// household and people a room.
td::Tensor take_logarithms(const td::Tensor& x) {
  return td::concat({x[{td::all, {0, 3}}], td::log(x[{td::all, {3, 8}}])}, 1);
}

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

double rmse(const td::Tensor& predictions, const td::Tensor& truth) {
  return std::sqrt(td::mean(td::square(td::cast(predictions - truth, td::float64))).item<double>());
}

/// The best straight line through the training rows, and how far it is off on the others.
double linear_regression(const td::Nest& train, const td::Nest& held, int64_t categories) {
  // All columns, and a 1 for the constant.
  const auto inputs = [&](const td::Nest& rows) {
    const td::Tensor &numbers = rows[0][0].leaf(), &proximity = rows[0][1].leaf();
    const td::Tensor near = td::squeeze(td::one_hot(proximity, categories), {1});
    return td::cast(td::concat({numbers, td::cast(near, td::float32), td::ones({numbers.dim(0), 1})}, 1),
                    td::float64);
  };
  const td::Tensor x = inputs(train), y = td::cast(train[1].leaf(), td::float64);
  const td::Tensor ridge = 1e-6 * td::eye(x.shape()[1], nullptr, 0, td::float64);
  const td::Tensor w =
      td::linalg::solve(td::matmul(td::transpose(x), x) + ridge, td::matmul(td::transpose(x), y));
  return rmse(td::cast(td::matmul(inputs(held), w), td::float32), held[1].leaf());
}

/// All of a data set as one batch.
td::Nest all_rows(const td::data::Dataset& data) { return *data.batch(data.cardinality()).iterate().next(); }

int run(const lesson::Options& options) {
  td::random::seed(3);
  const std::string path = options["data"] + "/housing.csv";
  Table table;
  if (std::filesystem::exists(path)) {
    table = read_table(path);
  } else {
    std::cout << "There is no " << path << "; learning from an invented table instead.\n";
    table = invent_table();
  }

  // A fifth of the blocks, drawn at random, is held back.
  const auto [train, held] =
      td::data::Dataset::from_tensors({{table.numbers, table.proximity}, table.prices}).split(0.8, 42);
  const td::Nest train_rows = all_rows(train), held_rows = all_rows(held);

  // What prepares the columns.
  const nn::Lambda logarithms(take_logarithms);
  const nn::Normalization normalization;
  normalization.adapt(logarithms(train_rows[0][0].leaf()));
  const auto numbers = nn::Input({static_cast<int64_t>(number_columns.size())}, {.name = "numbers"});
  const auto proximity = nn::Input({1}, {.name = "proximity", .dtype = td::int64});
  const auto near = nn::CategoryEncoding(table.categories, {.output_mode = "one_hot"})(proximity);
  auto h = nn::Concatenate()({nn::Layer(Waves())(normalization(logarithms(numbers))), near});
  // What learns.
  for (int i = 0; i < 3; ++i) {
    h = nn::Dense(256, "swish", {.kernel_initializer = "he_normal"})(h);
    h = nn::Dropout(0.1)(h);
  }
  const nn::Model model({numbers, proximity}, nn::Dense(1)(h), {.name = "housing"});
  std::cout << model.summary() << '\n';

  const int64_t epochs = options.number("epochs"), batch_size = 128;
  const auto batches = train.shuffle(7).batch(batch_size).prefetch();
  const auto steps = static_cast<double>(epochs * batches.cardinality());
  model.compile({.optimizer = nn::AdamW(nn::schedules::CosineDecay(3e-3, steps), {}, {.weight_decay = 0.01}),
                 .loss = "mse"});
  model.fit(batches, {.epochs = epochs});

  const double line = linear_regression(train_rows, held_rows, table.categories);
  const double network = rmse(model.predict(held_rows[0]).leaf(), held_rows[1].leaf());
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
