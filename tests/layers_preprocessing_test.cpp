// Layers that prepare data, and those that change images at random.

#include "tests/layers.h"

namespace td = tandem;
namespace nn = td::nn;
using namespace tandem::testing;

namespace {

using Numbers = std::vector<double>;
using Shape = td::Shape;

td::Tensor doubles(Numbers values, const Shape& shape) { return td::from_vector(std::move(values), shape); }

void expect_near(const td::Tensor& found, const Numbers& wanted, double tolerance = 1e-6) {
  const Numbers values = td::cast(found, td::float64).to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], tolerance) << "at " << i;
}

const LayerRow rows[] = {
    {"Normalization",
     [] { return nn::Normalization({.mean = 1.f, .variance = 4.f}); },
     {2, 3},
     {2, 3},
     6,
     false,
     false},
    {"Rescaling", [] { return nn::Rescaling(0.5, {.offset = 1}); }, {2, 3}, {2, 3}},
    {"Discretization",
     [] {
       return nn::Discretization({-0.5, 0.5}, {.output_mode = "one_hot"});
     },
     {2, 3},
     {2, 3, 3},
     0,
     false,
     false},
    {"Resizing", [] { return nn::Resizing(3, 5); }, {1, 2, 4, 2}, {1, 3, 5, 2}},
    {"Resizing cropped",
     [] { return nn::Resizing(2, 2, {.interpolation = "nearest", .crop_to_aspect_ratio = true}); },
     {1, 3, 6, 1},
     {1, 2, 2, 1}},
    {"CenterCrop", [] { return nn::CenterCrop(2, 3); }, {1, 4, 5, 2}, {1, 2, 3, 2}},
    {"CenterCrop of little", [] { return nn::CenterCrop(4, 4); }, {1, 2, 3, 2}, {1, 4, 4, 2}},
    {"RandomFlip", [] { return nn::RandomFlip(); }, {4, 2, 3, 2}, {4, 2, 3, 2}, 0, true},
    {"RandomCrop", [] { return nn::RandomCrop(2, 2); }, {2, 4, 5, 2}, {2, 2, 2, 2}, 0, true},
    {"RandomRotation", [] { return nn::RandomRotation(0.1); }, {2, 3, 4, 1}, {2, 3, 4, 1}, 0, true},
    {"RandomZoom",
     [] {
       return nn::RandomZoom({-0.3, 0.3}, 0.1, {.fill_mode = "nearest"});
     },
     {2, 3, 4, 1},
     {2, 3, 4, 1},
     0,
     true},
    {"RandomTranslation",
     [] { return nn::RandomTranslation(0.2, 0.3, {.fill_mode = "constant"}); },
     {2, 3, 4, 1},
     {2, 3, 4, 1},
     0,
     true},
    {"RandomContrast",
     [] { return nn::RandomContrast(0.3, {.low = -10, .high = 10}); },
     {2, 3, 4, 2},
     {2, 3, 4, 2},
     0,
     true},
    {"RandomBrightness",
     [] { return nn::RandomBrightness(0.3, {.low = -10, .high = 10, .seed = 4}); },
     {2, 3, 4, 2},
     {2, 3, 4, 2},
     2,
     true},
};

}  // namespace

TEST(PreprocessingLayers, HoldWhatEveryLayerDoes) {
  for (const LayerRow& row : rows) check_layer(row);
}

TEST(PreprocessingLayers, NormalizationLearnsItsNumbers) {
  const nn::Normalization normalization;
  const td::Tensor data({{0.f, 10.f}, {2.f, 10.f}, {4.f, 40.f}});
  normalization.adapt(data);
  expect_near(normalization.variables()[0], {2, 20});
  expect_near(normalization.variables()[1], {8. / 3, 200});
  const td::Tensor y = normalization(data);
  expect_near(td::mean(y, {0}), {0, 0});
  expect_near(td::standard_deviation(y, {0}, false, 0), {1, 1});
  expect_near(nn::Normalization({.mean = 3.f, .variance = 4.f, .invert = true})(td::Tensor({{1.f}})), {5});
  EXPECT_TRUE(normalization.trainable_variables().empty());
  EXPECT_ERROR(nn::Normalization({.mean = 1.f}),
               "normalization: only one of mean and variance is given; give both, or neither and call adapt "
               "(layers_preprocessing_test.cpp:LINE)");
}

TEST(PreprocessingLayers, CategoriesBecomeVectors) {
  const td::Tensor ids({{0, 2, 2}, {1, 1, 3}});
  expect_near(nn::CategoryEncoding(4)(ids), {1, 0, 1, 0, 0, 1, 0, 1});
  expect_near(nn::CategoryEncoding(4, {.output_mode = "count"})(ids), {1, 0, 2, 0, 0, 2, 0, 1});
  EXPECT_EQ(nn::CategoryEncoding(4, {.output_mode = "one_hot"})(td::Tensor({{1}, {2}})).shape(),
            (Shape{2, 4}));
  EXPECT_ERROR(nn::CategoryEncoding(3)(ids),
               "category_encoding: the input has a 3; expected 0 to 2 (layers_preprocessing_test.cpp:LINE)");
  const td::Tensor x = doubles({-1, 0, 0.5, 7}, {1, 4});
  expect_near(nn::Discretization({0, 1, 2})(x), {0, 1, 1, 3});
  expect_near(nn::Discretization::adapted(2, doubles({1, 2, 3, 4}, {4}))(x), {0, 0, 0, 1});
  const td::Tensor numbers({{12, 36, 1138, 42}});
  expect_near(nn::IntegerLookup({12, 36, 42})(numbers), {1, 2, 0, 3});
  expect_near(nn::IntegerLookup::adapted(td::Tensor({7, 7, 5, 5, 5, 9}))(td::Tensor({{5, 7, 9, 1}})),
              {1, 2, 3, 0});
  EXPECT_ERROR(nn::IntegerLookup({1}, {.num_oov_indices = 0})(td::Tensor({2})),
               "integer_lookup: the input has numbers outside the vocabulary, and num_oov_indices is 0 "
               "(layers_preprocessing_test.cpp:LINE)");
}

TEST(PreprocessingLayers, ImagesAreCutAndResized) {
  const td::Tensor x = doubles({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
  expect_near(nn::CenterCrop(1, 1)(x), {5});
  expect_near(nn::Resizing(1, 1)(x), {5});
  expect_near(nn::Resizing(6, 3, {.interpolation = "nearest"})(x),
              {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8, 9, 7, 8, 9});
  expect_near(nn::RandomCrop(1, 1)(x), {5});
}

TEST(AugmentationLayers, ChangeImagesInTrainingOnly) {
  const td::Tensor x = wavy({8, 4, 5, 2});
  const std::vector<nn::Layer> layers{nn::RandomFlip(),
                                      nn::RandomRotation(0.2),
                                      nn::RandomZoom(0.3),
                                      nn::RandomTranslation(0.2, 0.2),
                                      nn::RandomContrast(0.5, {.low = -10, .high = 10}),
                                      nn::RandomBrightness(0.5, {.low = -1, .high = 1})};
  for (const nn::Layer& layer : layers) {
    EXPECT_TRUE(same_bits(layer(x), x));
    EXPECT_FALSE(same_bits(layer(x, {.training = true}), x)) << layer.name();
  }
  // A mirrored image has its columns in turned order, or is as it was.
  const td::Tensor flipped = nn::RandomFlip("horizontal", {.seed = 1})(x, {.training = true});
  int mirrored = 0;
  for (int64_t i = 0; i < 8; ++i) {
    const bool same = same_bits(flipped[i].contiguous(), x[i].contiguous());
    if (!same) {
      EXPECT_TRUE(same_bits(flipped[i].contiguous(), td::flip(x[i], {1}).contiguous()));
      ++mirrored;
    }
  }
  EXPECT_GT(mirrored, 0);
  EXPECT_LT(mirrored, 8);
  // A quarter of a turn against the clock, and one step down.
  const td::Tensor square = doubles({1, 2, 3, 4}, {1, 2, 2, 1});
  expect_near(nn::RandomRotation({0.25, 0.25})(square, {.training = true}), {2, 4, 1, 3});
  expect_near(
      nn::RandomTranslation({0.5, 0.5}, {0, 0}, {.fill_mode = "constant"})(square, {.training = true}),
      {0, 0, 1, 2});
  expect_near(nn::RandomBrightness({0.5, 0.5}, {.low = 0, .high = 4})(square, {.training = true}),
              {3, 4, 4, 4});
  expect_near(nn::RandomContrast({1, 1}, {.low = -9, .high = 9})(square, {.training = true}),
              {-0.5, 1.5, 3.5, 5.5});
}
