// Convolutions, pooling, padding, cropping, upsampling.

#include "tests/layers.h"

namespace td = tandem;
namespace nn = td::nn;
using namespace tandem::testing;

namespace {

using Numbers = std::vector<double>;

const LayerRow rows[] = {
    {"Conv1D", [] { return nn::Conv1D(3, 2); }, {2, 5, 2}, {2, 4, 3}, 15},
    {"Conv1D same",
     [] { return nn::Conv1D(3, 3, {}, {.strides = 2, .padding = "same"}); },
     {2, 5, 2},
     {2, 3, 3},
     21},
    {"Conv1D causal",
     [] { return nn::Conv1D(2, 2, "tanh", {.padding = "causal", .dilation_rate = 2}); },
     {1, 6, 2},
     {1, 6, 2},
     10},
    {"Conv2D", [] { return nn::Conv2D(4, 3); }, {2, 5, 6, 2}, {2, 3, 4, 4}, 76},
    {"Conv2D same",
     [] {
       return nn::Conv2D(2, {3, 2}, "tanh", {.strides = {2, 1}, .padding = "same", .use_bias = false});
     },
     {1, 5, 4, 3},
     {1, 3, 4, 2},
     36},
    {"Conv2D groups", [] { return nn::Conv2D(4, 1, {}, {.groups = 2}); }, {2, 3, 2, 4}, {2, 3, 2, 4}, 12},
    {"Conv2D dilated",
     [] {
       return nn::Conv2D(2, 2, {}, {.dilation_rate = {2, 1}});
     },
     {1, 4, 4, 1},
     {1, 2, 3, 2},
     10},
    {"Conv2D first",
     [] { return nn::Conv2D(3, 2, {}, {.data_format = "channels_first"}); },
     {2, 2, 3, 4},
     {2, 3, 2, 3},
     27},
    {"Conv3D",
     [] {
       return nn::Conv3D(2, {2, 1, 2});
     },
     {1, 3, 2, 3, 2},
     {1, 2, 2, 2, 2},
     18},
    {"Conv1DTranspose",
     [] { return nn::Conv1DTranspose(2, 3, {}, {.strides = 2}); },
     {2, 3, 2},
     {2, 7, 2},
     14},
    {"Conv2DTranspose",
     [] {
       return nn::Conv2DTranspose(2, {3, 2}, {}, {.strides = {2, 3}});
     },
     {1, 3, 2, 3},
     {1, 7, 6, 2},
     38},
    {"Conv2DTranspose same",
     [] { return nn::Conv2DTranspose(2, 4, {}, {.strides = 2, .padding = "same"}); },
     {1, 3, 2, 2},
     {1, 6, 4, 2},
     66},
    {"Conv2DTranspose output_padding",
     [] {
       return nn::Conv2DTranspose(
           1, 3, {}, {.strides = 2, .padding = "same", .output_padding = 0, .data_format = "channels_first"});
     },
     {1, 2, 3, 2},
     {1, 1, 5, 3},
     19},
    {"Conv3DTranspose", [] { return nn::Conv3DTranspose(2, 2); }, {1, 2, 1, 2, 1}, {1, 3, 2, 3, 2}, 18},
    {"DepthwiseConv1D",
     [] { return nn::DepthwiseConv1D(3, {}, {.padding = "same", .depth_multiplier = 2}); },
     {2, 4, 2},
     {2, 4, 4},
     16},
    {"DepthwiseConv2D",
     [] { return nn::DepthwiseConv2D(2, "tanh", {.strides = 2}); },
     {1, 4, 5, 3},
     {1, 2, 2, 3},
     15},
    {"SeparableConv1D",
     [] { return nn::SeparableConv1D(3, 2, {}, {.padding = "causal"}); },
     {1, 4, 2},
     {1, 4, 3},
     13},
    {"SeparableConv2D",
     [] { return nn::SeparableConv2D(3, 2, {}, {.depth_multiplier = 2}); },
     {1, 4, 3, 2},
     {1, 3, 2, 3},
     31},
    {"MaxPooling1D", [] { return nn::MaxPooling1D(); }, {2, 5, 3}, {2, 2, 3}},
    {"MaxPooling2D", [] { return nn::MaxPooling2D(); }, {2, 4, 6, 3}, {2, 2, 3, 3}},
    {"MaxPooling2D same",
     [] {
       return nn::MaxPooling2D({3, 2}, {.strides = 2, .padding = "same"});
     },
     {1, 5, 4, 2},
     {1, 3, 2, 2}},
    {"MaxPooling3D",
     [] { return nn::MaxPooling3D(2, {.data_format = "channels_first"}); },
     {1, 2, 4, 2, 3},
     {1, 2, 2, 1, 1}},
    {"AveragePooling1D",
     [] { return nn::AveragePooling1D(3, {.strides = 1, .padding = "same"}); },
     {2, 4, 3},
     {2, 4, 3}},
    {"AveragePooling2D",
     [] {
       return nn::AveragePooling2D({2, 1});
     },
     {1, 4, 3, 2},
     {1, 2, 3, 2}},
    {"AveragePooling3D", [] { return nn::AveragePooling3D(); }, {1, 2, 4, 2, 3}, {1, 1, 2, 1, 3}},
    {"GlobalMaxPooling1D", [] { return nn::GlobalMaxPooling1D(); }, {2, 4, 3}, {2, 3}},
    {"GlobalMaxPooling2D",
     [] { return nn::GlobalMaxPooling2D({.keepdims = true}); },
     {2, 4, 2, 3},
     {2, 1, 1, 3}},
    {"GlobalMaxPooling3D", [] { return nn::GlobalMaxPooling3D(); }, {1, 2, 4, 2, 3}, {1, 3}},
    {"GlobalAveragePooling1D",
     [] { return nn::GlobalAveragePooling1D({.data_format = "channels_first"}); },
     {2, 4, 3},
     {2, 4}},
    {"GlobalAveragePooling2D", [] { return nn::GlobalAveragePooling2D(); }, {2, 4, 2, 3}, {2, 3}},
    {"GlobalAveragePooling3D", [] { return nn::GlobalAveragePooling3D(); }, {1, 2, 4, 2, 3}, {1, 3}},
    {"ZeroPadding1D",
     [] {
       return nn::ZeroPadding1D({1, 2});
     },
     {2, 3, 2},
     {2, 6, 2}},
    {"ZeroPadding2D",
     [] {
       return nn::ZeroPadding2D({{1, 0}, {2, 1}});
     },
     {1, 2, 3, 2},
     {1, 3, 6, 2}},
    {"ZeroPadding3D",
     [] {
       return nn::ZeroPadding3D({0, 1, 2});
     },
     {1, 2, 1, 2, 1},
     {1, 2, 3, 6, 1}},
    {"Cropping1D", [] { return nn::Cropping1D(); }, {2, 4, 2}, {2, 2, 2}},
    {"Cropping2D",
     [] {
       return nn::Cropping2D({{1, 0}, {0, 2}});
     },
     {1, 3, 4, 2},
     {1, 2, 2, 2}},
    {"Cropping3D",
     [] {
       return nn::Cropping3D({0, 1, 1}, {.data_format = "channels_first"});
     },
     {1, 2, 2, 3, 4},
     {1, 2, 2, 1, 2}},
    {"UpSampling1D", [] { return nn::UpSampling1D(3); }, {2, 2, 2}, {2, 6, 2}},
    {"UpSampling2D",
     [] {
       return nn::UpSampling2D({2, 1});
     },
     {1, 2, 3, 2},
     {1, 4, 3, 2}},
    {"UpSampling2D bilinear",
     [] { return nn::UpSampling2D(2, {.interpolation = "bilinear"}); },
     {1, 2, 3, 2},
     {1, 4, 6, 2}},
    {"UpSampling2D bicubic",
     [] { return nn::UpSampling2D(2, {.interpolation = "bicubic"}); },
     {1, 2, 3, 2},
     {1, 4, 6, 2}},
    {"UpSampling3D",
     [] {
       return nn::UpSampling3D({1, 2, 1});
     },
     {1, 2, 1, 2, 1},
     {1, 2, 2, 2, 1}},
};

/// A 2-D convolution of (height, width, channels) by the definition: y[i, j, f] = sum of x * kernel + bias.
Numbers convolved(const Numbers& x, int height, int width, int channels, const Numbers& kernel, int size,
                  int filters, int stride, const Numbers& bias) {
  Numbers y;
  for (int i = 0; i + size <= height; i += stride)
    for (int j = 0; j + size <= width; j += stride)
      for (int f = 0; f < filters; ++f) {
        double sum = bias[static_cast<size_t>(f)];
        for (int a = 0; a < size; ++a)
          for (int b = 0; b < size; ++b)
            for (int c = 0; c < channels; ++c)
              sum += x[static_cast<size_t>(((i + a) * width + j + b) * channels + c)] *
                     kernel[static_cast<size_t>(((a * size + b) * channels + c) * filters + f)];
        y.push_back(sum);
      }
  return y;
}

void expect_near(const td::Tensor& found, const Numbers& wanted) {
  const Numbers values = found.to_vector<double>();
  ASSERT_EQ(values.size(), wanted.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], wanted[i], 1e-12) << "at " << i;
}

td::Tensor doubles(Numbers values, const td::Shape& shape) {
  return td::from_vector(std::move(values), shape);
}

}  // namespace

TEST(SpatialLayers, HoldWhatEveryLayerDoes) {
  for (const LayerRow& row : rows) check_layer(row);
}

TEST(SpatialLayers, ConvolutionsFollowTheirDefinition) {
  const td::Tensor x = wavy({1, 6, 5, 3}), kernel = wavy({2, 2, 3, 4}, 1.1), bias = wavy({4}, 2);
  const auto given = [](const td::Tensor& value) {
    return [value](const td::Shape&, td::DType) { return value; };
  };
  const nn::Conv2D conv(4, 2, {},
                        {.strides = 2, .kernel_initializer = given(kernel), .bias_initializer = given(bias)});
  expect_near(conv(x), convolved(x.to_vector<double>(), 6, 5, 3, kernel.to_vector<double>(), 2, 4, 2,
                                 bias.to_vector<double>()));
  // Channels first is the same numbers in another order.
  const nn::Conv2D first(4, 2, {},
                         {.strides = 2,
                          .data_format = "channels_first",
                          .kernel_initializer = given(kernel),
                          .bias_initializer = given(bias)});
  expect_near(td::moveaxis(first(td::moveaxis(x, -1, 1)), 1, -1), conv(x).to_vector<double>());
  // One filter a channel: what a convolution with zeros elsewhere gives.
  const td::Tensor filters = wavy({2, 2, 3, 1}, 0.5);
  const nn::DepthwiseConv2D depthwise(2, {}, {.use_bias = false, .depthwise_initializer = given(filters)});
  const td::Tensor diagonal = filters * td::reshape(td::eye(3, nullptr, 0, td::float64), {1, 1, 3, 3});
  expect_near(depthwise(x),
              convolved(x.to_vector<double>(), 6, 5, 3, diagonal.to_vector<double>(), 2, 3, 1, Numbers(3)));
}

TEST(SpatialLayers, CausalConvolutionsSeeNoLaterStep) {
  const nn::Conv1D conv(1, 2, {}, {.padding = "causal", .use_bias = false, .kernel_initializer = "ones"});
  expect_near(conv(doubles({1, 2, 4, 8}, {1, 4, 1})), {1, 3, 6, 12});
}

TEST(SpatialLayers, TransposedConvolutionsSpreadTheirInput) {
  const nn::Conv1DTranspose valid(1, 3, {}, {.strides = 2, .kernel_initializer = "ones"});
  expect_near(valid(doubles({1, 2}, {1, 2, 1})), {1, 1, 3, 2, 2});
  const nn::Conv1DTranspose same(1, 3, {}, {.strides = 2, .padding = "same", .kernel_initializer = "ones"});
  expect_near(same(doubles({1, 2}, {1, 2, 1})), {1, 1, 3, 2});
  const nn::Conv1DTranspose sparse(1, 1, {}, {.strides = 3, .kernel_initializer = "ones"});
  expect_near(sparse(doubles({1, 2}, {1, 2, 1})), {1, 0, 0, 2, 0, 0});
}

TEST(SpatialLayers, PoolingAndResizingGiveKnownNumbers) {
  const td::Tensor x = doubles({1, 2, 3, 4, 5, 6}, {1, 2, 3, 1});
  expect_near(nn::MaxPooling2D(2, {.strides = 1})(x), {5, 6});
  expect_near(nn::MaxPooling2D(2, {.padding = "same"})(x), {5, 6});
  expect_near(nn::AveragePooling2D(2, {.padding = "same"})(x), {3, 4.5});
  expect_near(nn::GlobalAveragePooling2D()(x), {3.5});
  expect_near(nn::ZeroPadding2D({{0, 0}, {1, 0}})(x), {0, 1, 2, 3, 0, 4, 5, 6});
  expect_near(nn::Cropping2D({{1, 0}, {1, 0}})(x), {5, 6});
  expect_near(nn::UpSampling2D({1, 2})(x), {1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6});
  expect_near(nn::UpSampling1D(2)(doubles({1, 2}, {1, 2, 1})), {1, 1, 2, 2});
  // Halfway between centres; the edges repeat.
  expect_near(nn::UpSampling2D({1, 2}, {.interpolation = "bilinear"})(doubles({0, 4}, {1, 1, 2, 1})),
              {0, 1, 3, 4});
}

TEST(SpatialLayers, RefuseWhatDoesNotFit) {
  EXPECT_ERROR(nn::Conv2D(0, 3),
               "conv2d: 0 filters were asked for; expected at least 1 (layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(
      nn::Conv2D(3, 3, {}, {.padding = "full"}),
      "conv2d: padding is \"full\"; expected one of \"valid\", \"same\" (layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(nn::Conv2D(3, {3, 3, 3}),
               "conv2d: kernel_size has 3 numbers; expected one for all, or one for each of 2 dimensions "
               "(layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(nn::Conv1D(4, 2, {}, {.groups = 3}),
               "conv1d: 4 filters cannot be cut into 3 groups (layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(nn::Conv2D(3, 3)(td::zeros({2, 28, 28})),
               "conv2d: the input has shape (2, 28, 28); expected 4 dimensions: (batch, height, width, "
               "channels) (layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(nn::Conv2D(3, 3)(td::zeros({2, 28, 28, 1}, td::int32)),
               "conv2d: the input has dtype int32; convert it first, as td::cast(x, td::float32) "
               "(layers_convolution_test.cpp:LINE)");
  const nn::Conv2D conv(3, 3);
  conv(td::zeros({1, 5, 5, 2}));
  EXPECT_ERROR(conv(td::zeros({1, 5, 5, 4})),
               "conv2d: input shape (1, 5, 5, 4) has 4 channels; the layer was built for 2 "
               "(layers_convolution_test.cpp:LINE)");
  EXPECT_ERROR(nn::Cropping1D(2)(td::zeros({1, 4, 2})),
               "cropping1d: cropping (2, 2) leaves nothing of dimension 1 of input shape (1, 4, 2) "
               "(layers_convolution_test.cpp:LINE)");
  // Inside a model the layer's path is named, and the line that put it there.
  const nn::Conv2D inner(3, 3);
  const nn::Sequential model({inner, nn::Flatten()});
  EXPECT_NE(message_of([&] {
              model(td::zeros({1, 5, 5}));
            }).find("in layer sequential/conv2d"),
            std::string::npos);
}
