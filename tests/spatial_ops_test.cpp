// Convolutions and pooling: numbers worked out by hand, and what mistakes are answered with.

#include <dlfcn.h>

#include <cstring>
#include <thread>

#include "runtime/parallel.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

namespace {

using td::Tensor;
using Numbers = std::vector<float>;

Tensor counting(const td::Shape& shape) {
  return td::reshape(td::arange(0, shape.element_count(), 1, td::float32), shape);
}

TEST(Convolution, AddsUpWindows) {
  const Tensor x = counting({1, 1, 3, 3}), w = td::ones({1, 1, 2, 2});
  EXPECT_EQ(td::conv(x, w).to_vector<float>(), (Numbers{8, 12, 20, 24}));
  EXPECT_EQ(td::conv(x, w, Tensor({0.5f})).to_vector<float>(), (Numbers{8.5, 12.5, 20.5, 24.5}));
  EXPECT_EQ(td::conv(x, w, nullptr, {.dilations = {2}}).to_vector<float>(), (Numbers{16}));
  // The odd element of padding comes last, or first.
  EXPECT_EQ(td::conv(x, w, nullptr, {.auto_pad = "SAME_UPPER"}).to_vector<float>(),
            (Numbers{8, 12, 7, 20, 24, 13, 13, 15, 8}));
  EXPECT_EQ(td::conv(x, w, nullptr, {.auto_pad = "SAME_LOWER"}).to_vector<float>(),
            (Numbers{0, 1, 3, 3, 8, 12, 9, 20, 24}));
  EXPECT_EQ(td::conv(x, w, nullptr, {.strides = {2}, .pads = {1, 0}}).to_vector<float>(), (Numbers{1, 20}));
}

TEST(Convolution, GroupsSeeTheirOwnChannels) {
  const Tensor x = counting({1, 2, 1, 2}), w = td::reshape(Tensor({1.f, 10.f}), {2, 1, 1, 1});
  EXPECT_EQ(td::conv(x, w, nullptr, {.group = 2}).to_vector<float>(), (Numbers{0, 1, 20, 30}));
}

TEST(Convolution, TransposesSpread) {
  const Tensor x = counting({1, 1, 2, 2}) + 1, w = td::ones({1, 1, 2, 2});
  EXPECT_EQ(td::conv_transpose(x, w).to_vector<float>(), (Numbers{1, 3, 2, 4, 10, 6, 3, 7, 4}));
  // More room than the windows reach stays zero, at the end.
  const Tensor wide = td::conv_transpose(x, w, nullptr, {.strides = {2}, .output_shape = {5, 4}});
  EXPECT_EQ(wide.shape(), (td::Shape{1, 1, 5, 4}));
  EXPECT_EQ(wide.to_vector<float>(), (Numbers{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4, 0, 0, 0, 0}));
}

/// Convolutions large enough for every way that they may take.
struct Large {
  td::Shape x, w;
  td::ConvOptions options;
};
const Large large_ones[] = {
    {{3, 8, 60, 50}, {12, 4, 5, 3}, {.strides = {1, 2}, .pads = {2, 1}, .group = 2}},
    {{5, 16, 20, 21}, {32, 16, 3, 3}, {.strides = {2}}},  // the last rows and columns are in no window
    {{2, 33, 19, 19}, {17, 33, 5, 5}, {.pads = {2}, .dilations = {2}}},
    {{5, 32, 28, 28}, {32, 1, 3, 3}, {.pads = {1}, .group = 32}},
    {{4, 64, 30, 30}, {48, 64, 1, 1}, {}},
    {{1, 128, 7, 7}, {160, 128, 3, 3}, {.pads = {1}}},
    {{9, 20, 300}, {40, 20, 5}, {.strides = {3}, .pads = {2}}},
    {{2, 6, 12, 13, 12}, {10, 6, 3, 3, 3}, {.pads = {1}}},
    // Single images, which are cut into rows; the first and last rows of the second are padding alone.
    {{1, 48, 45, 40}, {64, 48, 3, 5}, {.strides = {2, 1}, .pads = {1, 2}}},
    {{1, 64, 30, 1}, {64, 64, 5, 1}, {.pads = {40, 0}}},
    {{1, 64, 900}, {64, 64, 3}, {.pads = {2}, .dilations = {2}}}};

/// y, dx and dw of a large one, from the same numbers each time.
std::vector<Tensor> all_three(const Large& c, td::DType dtype) {
  const Tensor x = td::cast(td::sin(counting(c.x)), dtype), w = td::cast(td::cos(counting(c.w)), dtype);
  const Tensor y = td::conv(x, w, nullptr, c.options), dy = td::sin(y * 3);
  return {y, td::conv_input_gradient(dy, w, c.x, c.options), td::conv_weight_gradient(x, dy, c.w, c.options)};
}

TEST(Convolution, LargeOnesAgreeWithDoublePrecision) {
  for (const Large& c : large_ones) {
    const std::vector<Tensor> single = all_three(c, td::float32), twice = all_three(c, td::float64);
    for (size_t i = 0; i < single.size(); ++i) {
      const Tensor difference = td::amax(td::abs(td::cast(single[i], td::float64) - twice[i]));
      EXPECT_LT(difference.item<double>(), 2e-4 * (1 + td::amax(td::abs(twice[i])).item<double>()))
          << "x " << c.x << " w " << c.w << ", result " << i;
    }
  }
}

std::vector<uint32_t> bits(const Tensor& t) {
  const Numbers values = t.to_vector<float>();
  std::vector<uint32_t> result(values.size());
  std::memcpy(result.data(), values.data(), values.size() * sizeof(float));
  return result;
}

TEST(Convolution, NeitherThreadsNorGraphsChangeABit) {
  const int threads = td::runtime::thread_count();
  for (const Large& c : large_ones) {
    const std::vector<Tensor> expected = all_three(c, td::float32);
    auto graph = td::function([&c] { return all_three(c, td::float32); });
    for (const int count : {1, 3}) {
      td::runtime::set_thread_count(count);
      const std::vector<Tensor> eager = all_three(c, td::float32), traced = graph();
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(bits(eager[i]), bits(expected[i])) << "x " << c.x << ", result " << i;
        EXPECT_EQ(bits(traced[i]), bits(expected[i])) << "x " << c.x << ", result " << i << " of the graph";
      }
    }
  }
  td::runtime::set_thread_count(threads);
}

// oneDNN takes its threads from OpenMP, whose setting is the user's and may be anything.
TEST(Convolution, LeavesTheThreadsOfOpenMpAlone) {
  void* openmp = dlopen("libgomp.so.1", RTLD_NOW);
  if (openmp == nullptr) GTEST_SKIP() << "no OpenMP library: " << dlerror();
  const auto set_threads = reinterpret_cast<void (*)(int)>(dlsym(openmp, "omp_set_num_threads"));
  const auto get_threads = reinterpret_cast<int (*)()>(dlsym(openmp, "omp_get_max_threads"));
  std::vector<std::vector<Tensor>> results;
  const auto use = [&](int count) {
    // Of a thread of its own, because each keeps what it has planned.
    std::thread([&] {
      set_threads(count);
      for (const Large& c : large_ones) results.push_back(all_three(c, td::float32));
      EXPECT_EQ(get_threads(), count);
    }).join();
  };
  use(1);
  use(3);
  for (size_t i = 0; i < results.size() / 2; ++i)
    for (size_t k = 0; k < results[i].size(); ++k)
      EXPECT_EQ(bits(results[i][k]), bits(results[results.size() / 2 + i][k])) << i << ", result " << k;
}

TEST(Convolution, NamesWhatDoesNotFit) {
  const Tensor x = td::zeros({1, 4, 5, 5}), w = td::zeros({6, 3, 3, 3});
  EXPECT_ERROR(td::conv(x, w),
               "conv: X of shape (1, 4, 5, 5) has 4 channels; W of shape (6, 3, 3, 3) and group 1 need 3 "
               "(spatial_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::conv(x, td::zeros({6, 4, 7, 3})),
               "conv: a window of 7 elements does not fit the 5 of spatial dimension 0 with padding 0 and 0 "
               "(spatial_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::conv(x, td::zeros({6, 4, 3, 3}), nullptr, {.strides = {1, 2, 3}}),
               "conv: strides has 3 numbers; 2 are needed for the 2 spatial dimensions of shape (1, 4, 5, 5) "
               "(spatial_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::conv(x, td::zeros({6, 4, 3, 3}), nullptr, {.auto_pad = "SAME"}),
               "conv: auto_pad \"SAME\" is unknown; expected \"NOTSET\", \"SAME_UPPER\", \"SAME_LOWER\" or "
               "\"VALID\" (spatial_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::conv(td::zeros({1, 4}), td::zeros({6, 4})),
               "conv: X has shape (1, 4); a batch, channels and one to three spatial dimensions are needed "
               "(spatial_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::conv(x, td::zeros({6, 4, 3, 3}), td::zeros({5})),
               "conv: B has shape (5,); one number for each of 6 output channels is needed "
               "(spatial_ops_test.cpp:LINE)");
}

TEST(Pooling, LastWindowsMayBeCut) {
  const Tensor x = counting({1, 1, 4, 4}) + 1;
  const td::PoolOptions up{.strides = {2}, .ceil_mode = true};
  EXPECT_EQ(td::max_pool(x, {3, 3}, up).to_vector<float>(), (Numbers{11, 12, 15, 16}));
  EXPECT_EQ(td::max_pool(x, {3, 3}, {.strides = {2}}).to_vector<float>(), (Numbers{11}));
  // A window that would start in the padding behind the input is dropped.
  const Tensor two = counting({1, 1, 2, 2});
  EXPECT_EQ(td::max_pool(two, {1, 1}, {.strides = {2}, .pads = {0, 0, 1, 1}, .ceil_mode = true}).shape(),
            (td::Shape{1, 1, 1, 1}));
}

TEST(Pooling, PaddingCountsOnRequest) {
  const Tensor x = td::ones({1, 1, 2, 2});
  EXPECT_EQ(td::average_pool(x, {2, 2}, {.pads = {1, 1, 0, 0}}).to_vector<float>(), (Numbers{1, 1, 1, 1}));
  EXPECT_EQ(td::average_pool(x, {2, 2}, {.pads = {1, 1, 0, 0}, .count_include_pad = true}).to_vector<float>(),
            (Numbers{0.25, 0.5, 0.5, 1}));
}

TEST(Pooling, IndicesLeadBack) {
  const Tensor x = td::reshape(Tensor({1.f, 5.f, 2.f, 3.f, 0.f, 9.f, 4.f, 7.f}), {1, 1, 2, 4});
  const auto [values, indices] = td::max_pool_indices(x, {2, 2}, {.strides = {2}});
  EXPECT_EQ(values.to_vector<float>(), (Numbers{9, 7}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (std::vector<int64_t>{5, 7}));
  const auto by_columns = td::max_pool_indices(x, {2, 2}, {.strides = {2}}, true);
  EXPECT_EQ(by_columns.indices.to_vector<int64_t>(), (std::vector<int64_t>{3, 7}));
  EXPECT_EQ(td::max_unpool(values, indices, {2, 2}, {.strides = {2}}).to_vector<float>(),
            (Numbers{0, 0, 0, 0, 0, 9, 0, 7}));
  EXPECT_ERROR(td::max_unpool(values, indices + 3, {2, 2}, {.strides = {2}}),
               "max_unpool: index 8 is out of range for the 8 elements of shape (1, 1, 2, 4) "
               "(spatial_ops_test.cpp:LINE)");
}

// float32 has loops of its own: eight windows at a time, the rest one by one.
TEST(Pooling, SingleAndDoublePrecisionAgree) {
  const std::pair<td::Shape, td::Dims> sizes[] = {
      {{2, 3, 21, 40}, {3, 2}}, {{1, 2, 9, 11}, {2, 4}}, {{3, 2, 50}, {5}}, {{1, 2, 6, 7, 19}, {2, 3, 3}}};
  for (const auto& [shape, kernel] : sizes)
    for (const int64_t stride : {1, 2, 3})
      for (const int64_t pad : {0, 1})
        for (const int64_t dilation : {1, 2}) {
          Tensor x = td::round(td::sin(counting(shape)) * 50);
          x = td::where(x == 7, NAN, td::where(x == 11, -INFINITY, x));
          const Tensor wide = td::cast(x, td::float64);
          const td::PoolOptions options{
              .strides = {stride}, .pads = {pad}, .dilations = {dilation}, .ceil_mode = stride == 2};
          const auto single = td::max_pool_indices(x, kernel, options),
                     twice = td::max_pool_indices(wide, kernel, options);
          EXPECT_EQ(single.indices.to_vector<int64_t>(), twice.indices.to_vector<int64_t>()) << shape;
          const auto text = [](const Tensor& t) { return td::to_string(td::cast(t, td::float32)); };
          EXPECT_EQ(text(single.values), text(twice.values)) << shape;
          const Tensor whole = td::where(td::is_nan(x) | td::is_inf(x), 0, x);
          const Tensor sums = td::sum_pool(whole, kernel, options);
          EXPECT_EQ(text(sums), text(td::sum_pool(td::cast(whole, td::float64), kernel, options))) << shape;
        }
}

}  // namespace
