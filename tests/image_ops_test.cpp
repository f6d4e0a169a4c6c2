// Resizing, sampling, rearranging, normalizing by channel: numbers worked out by hand, and mistakes.

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using td::Tensor;
using Numbers = std::vector<float>;

Tensor counting(const td::Shape& shape) {
  return td::reshape(td::arange(1, shape.element_count() + 1, 1, td::float32), shape);
}

void expect_near(const Tensor& actual, const Numbers& expected, float tolerance = 1e-5f) {
  const Numbers a = actual.to_vector<float>();
  ASSERT_EQ(a.size(), expected.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], expected[i], tolerance) << "element " << i;
}

TEST(Resize, FindsElementsAsOnnxDoes) {
  const Tensor x = counting({1, 1, 2, 4});
  expect_near(td::resize_by(x, {1, 1, 0.6f, 0.6f}), {1, 3});
  expect_near(td::resize_by(x, {1, 1, 0.6f, 0.6f}, {.mode = "linear"}), {2.6666665f, 4.3333331f});
  // The scale's own fraction counts, not the rounded size.
  expect_near(td::resize_by(x, {1, 1, 0.6f, 0.6f}, {.mode = "linear", .coordinates = "align_corners"}),
              {1, 3.142857f});
  const Tensor square = counting({1, 1, 2, 2});
  expect_near(td::resize_by(square, {1, 1, 2, 2}, {.mode = "linear"}),
              {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4});
  expect_near(td::resize_by(square, {1, 1, 2, 3}),
              {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4});
  EXPECT_EQ(td::resize(square, {7, 8}, {.aspect_ratio = "not_larger", .axes = {2, 3}}).shape(),
            (td::Shape{1, 1, 7, 7}));
  EXPECT_EQ(td::resize(square, {7, 8}, {.aspect_ratio = "not_smaller", .axes = {2, 3}}).shape(),
            (td::Shape{1, 1, 8, 8}));
  // Half of a line of 4, widened to two elements; then what lies outside.
  const td::ResizeOptions crop{.mode = "linear",
                               .coordinates = "tf_crop_and_resize",
                               .axes = {3},
                               .region = {0.5, 1.5},
                               .extrapolation_value = 10};
  expect_near(td::resize(td::slice(x, {0}, {1}, {2}), {3}, crop), {2.5, 4, 10});
}

TEST(Resize, NamesMistakes) {
  const Tensor x = td::zeros({1, 1, 2, 2});
  EXPECT_ERROR(td::resize(x, {4, 4}),
               "resize: 2 sizes were given; 4 are needed, one for each axis (image_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::resize(x, {1, 1, 4, 4}, {.mode = "bicubic"}),
               "resize: mode \"bicubic\" is unknown; expected \"nearest\", \"linear\" or \"cubic\" "
               "(image_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::resize_by(x, {1, 1, -2, 2}),
               "resize: scale -2 of axis 2 must be above 0 and below 1e9 (image_ops_test.cpp:LINE)");
}

TEST(GridSample, ReadsBetweenAndBeyond) {
  const Tensor x = counting({1, 1, 2, 2});
  const Tensor grid = td::reshape(Tensor({0.f, 0.f, -1.f, -1.f, 2.f, -0.5f}), {1, 1, 3, 2});
  expect_near(td::grid_sample(x, grid), {2.5, 0.25, 0});
  expect_near(td::grid_sample(x, grid, {.padding = "border"}), {2.5, 1, 2});
  expect_near(td::grid_sample(x, grid, {.align_corners = true}), {2.5, 1, 1.25});
  expect_near(td::grid_sample(x, grid, {.mode = "nearest", .padding = "reflection"}), {1, 1, 2});
  const Tensor theta({{{1.f, 0.f, 0.f}, {0.f, 1.f, 0.f}}});
  expect_near(td::grid_sample(x, td::affine_grid(theta, {1, 1, 2, 2})), {1, 2, 3, 4});
}

TEST(Image, BlocksMoveBetweenChannelsAndSpace) {
  const Tensor x = counting({1, 4, 1, 2});
  EXPECT_EQ(td::depth_to_space(x, 2).to_vector<float>(), (Numbers{1, 3, 2, 4, 5, 7, 6, 8}));
  EXPECT_EQ(td::space_to_depth(td::depth_to_space(x, 2), 2).to_vector<float>(), x.to_vector<float>());
  const Tensor two = counting({1, 8, 1, 1});
  EXPECT_EQ(td::depth_to_space(two, 2, "DCR").to_vector<float>(), (Numbers{1, 3, 5, 7, 2, 4, 6, 8}));
  EXPECT_EQ(td::depth_to_space(two, 2, "CRD").to_vector<float>(), (Numbers{1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_ERROR(td::space_to_depth(td::zeros({1, 1, 3, 2}), 2),
               "space_to_depth: size 3 of dimension 2 is not divisible by blocksize 2 "
               "(image_ops_test.cpp:LINE)");
}

TEST(Image, MiddlesAndColumns) {
  EXPECT_EQ(td::center_crop_pad(counting({5}), {2}).to_vector<float>(), (Numbers{2, 3}));
  EXPECT_EQ(td::center_crop_pad(counting({2}), {5}).to_vector<float>(), (Numbers{0, 1, 2, 0, 0}));
  const Tensor x = counting({1, 1, 2, 3});
  const Tensor columns = td::im2col(x, {2, 2});
  EXPECT_EQ(columns.to_vector<float>(), (Numbers{1, 2, 2, 3, 4, 5, 5, 6}));
  EXPECT_EQ(td::col2im(columns, {2, 3}, {2, 2}).to_vector<float>(), (Numbers{1, 4, 3, 4, 10, 6}));
  EXPECT_ERROR(td::col2im(columns, {3, 3}, {2, 2}),
               "col2im: shape (1, 4, 2) has 2 columns; blocks over an image of (3, 3) give 4 "
               "(image_ops_test.cpp:LINE)");
}

TEST(DeformConv, WithoutMovesIsAConvolution) {
  const Tensor x = td::sin(counting({2, 4, 5, 6})), w = td::cos(counting({6, 2, 3, 2}));
  const Tensor y = td::conv(x, w, nullptr, {.strides = {2, 1}, .pads = {1, 0}, .group = 2});
  const Tensor still = td::zeros({2, 2 * 6 * 2, y.shape()[2], y.shape()[3]});
  const td::DeformConvOptions options{.strides = {2, 1}, .pads = {1, 0}, .group = 2, .offset_group = 2};
  expect_near(td::deform_conv(x, w, still, nullptr, nullptr, options), y.to_vector<float>(), 1e-4f);
}

TEST(ChannelNormalization, CentersAndScales) {
  const Tensor x = td::reshape(Tensor({1.f, 3.f, 2.f, 6.f}), {1, 2, 2}), scale({1.f, 2.f}), bias({0.f, 1.f});
  const auto [y, mean, variance] =
      td::batch_normalization_training(x, scale, bias, Tensor({0.f, 0.f}), Tensor({1.f, 1.f}), 0, 0.5f);
  expect_near(y, {-1, 1, -1, 3});
  expect_near(mean, {1, 2});
  expect_near(variance, {1, 2.5});
  expect_near(td::batch_normalization(x, scale, bias, Tensor({1.f, 2.f}), Tensor({4.f, 4.f}), 0),
              {0, 1, 1, 5});
  expect_near(td::instance_normalization(x, scale, bias, 0), {-1, 1, -1, 3});
  expect_near(
      td::group_normalization(td::reshape(Tensor({1.f, 3.f, 1.f, 3.f}), {1, 2, 2}), scale, bias, 1, 0),
      {-1, 1, -1, 3});
  expect_near(td::local_response_normalization(td::reshape(Tensor({1.f, 2.f}), {1, 2, 1}), 2, 2, 1, 1),
              {1 / 6.f, 2 / 5.f});
}

TEST(NonMaxSuppression, KeepsTheBestThatDoNotOverlap) {
  const Tensor boxes({{{0.f, 0.f, 1.f, 1.f}, {1.f, 1.1f, 0.f, 0.1f}, {0.f, 10.f, 1.f, 11.f}}}),
      scores({{{0.9f, 0.75f, 0.95f}}});
  EXPECT_EQ(td::non_max_suppression(boxes, scores, {.overlap = 0.5}).to_vector<int64_t>(),
            (std::vector<int64_t>{0, 0, 2, 0, 0, 0}));
  EXPECT_EQ(td::non_max_suppression(boxes, scores, {.most = 1, .overlap = 0.5}).to_vector<int64_t>(),
            (std::vector<int64_t>{0, 0, 2}));
  EXPECT_ERROR(td::non_max_suppression(td::zeros({1, 3, 5}), scores),
               "non_max_suppression: boxes have shape (1, 3, 5); (batch, count, 4) is needed "
               "(image_ops_test.cpp:LINE)");
}

}  // namespace
